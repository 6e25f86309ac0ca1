package delivery_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// submitted is what a call of Submit returned, and when.
type submitted struct {
	delivery.Receipt
	err error
	at  time.Duration
}

// together submits webhooks at once.
func (r *rig) together(wait time.Duration, deliveries ...*delivery.Delivery) []submitted {
	got := make([]submitted, len(deliveries))
	var all sync.WaitGroup
	for i, d := range deliveries {
		all.Go(func() {
			receipt, err := r.q.Submit(r.Context(), []*delivery.Delivery{d}, wait)
			got[i] = submitted{receipt, err, r.now()}
		})
	}
	all.Wait()
	return got
}

// copies returns n deliveries with one key.
func (r *rig) copies(n int) (copies []*delivery.Delivery) {
	d := r.new()
	for range n {
		copies = append(copies, r.again(d))
	}
	return copies
}

func TestDuplicatesAtOnce(t *testing.T) {
	for _, test := range []struct {
		name  string
		reply reply
		want  delivery.State
		at    time.Duration
	}{
		{"delivered", slowly(2*time.Second, success), delivery.Delivered, 2 * time.Second},
		{"dead", slowly(2*time.Second, badRequest), delivery.Dead, 2 * time.Second},
		{"slow", slowly(12*time.Second, success), delivery.Pending, 5 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.upstream.replies(test.reply)
				all := r.together(5*time.Second, r.copies(24)...)
				firsts := 0
				for _, got := range all {
					require.NoError(r, got.err)
					require.Equal(r, test.at, got.at)
					require.Equal(r, all[0].Delivery, got.Delivery)
					require.Equal(r, test.want, got.Delivery.State)
					if !got.Duplicate {
						firsts++
					}
				}
				require.Equal(r, 1, firsts)
				require.Equal(r, 1, r.store.puts)
				require.Len(r, r.upstream.take(), 1)
			})
		})
	}
}

func TestDuplicatesShareTheFailure(t *testing.T) {
	run(t, func(r *rig) {
		r.store.on(&r.store.put, fails(time.Second))
		for _, got := range r.together(5*time.Second, r.copies(24)...) {
			require.ErrorIs(r, got.err, errDisk)
			require.Equal(r, time.Second, got.at)
		}
		require.Equal(r, 1, r.store.puts)
		r.attempted()
	})
}

func TestDuplicateSharesTheDeadline(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(slowly(time.Minute, success))
		d := r.new()
		go r.submit(5*time.Second, d)
		r.at(3 * time.Second)
		got := r.submit(5*time.Second, r.again(d))
		require.Equal(r, 5*time.Second, r.now())
		require.True(r, got.Duplicate)
		require.Equal(r, d.ID, got.Delivery.ID)
	})
}

func TestLaterDuplicate(t *testing.T) {
	for _, test := range []struct {
		name   string
		reply  reply
		want   delivery.State
		answer string
	}{
		{"of a delivered one", always(success), delivery.Delivered, "answer: delivered"},
		{"of one under way", slowly(time.Hour, success), delivery.Pending, ""},
		{"of a failed one", always(after(time.Hour, unavailable)), delivery.Pending, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.upstream.replies(test.reply)
				d := r.submits(5 * time.Second)
				r.passes(time.Second)
				before := r.now()
				got := r.submit(5*time.Second, r.again(d))
				require.Equal(r, before, r.now(), "at once")
				require.True(r, got.Duplicate)
				require.Equal(r, d.ID, got.Delivery.ID)
				require.Equal(r, test.want, got.Delivery.State)
				require.Equal(r, test.answer, string(got.Delivery.Answer))
				r.attempted(d)
			})
		})
	}
}

func TestDuplicateAfterTheWindow(t *testing.T) {
	run(t, func(r *rig) {
		d := r.new()
		d.KeyExpires = time.Now().Add(10 * time.Minute)
		r.submit(5*time.Second, d)
		r.passes(10 * time.Minute)
		again := r.again(d)
		got := r.submit(5*time.Second, again)
		require.False(r, got.Duplicate)
		require.Equal(r, again.ID, got.Delivery.ID)
		r.attempted(d, again)
	})
}

func TestWithoutKeyNothingIsADuplicate(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(slowly(time.Second, success))
		one, two := r.new(), r.new()
		one.Key, two.Key = delivery.Key{}, delivery.Key{}
		for _, got := range r.together(5*time.Second, one, two) {
			require.NoError(r, got.err)
			require.False(r, got.Duplicate)
		}
		require.Len(r, r.upstream.take(), 2)
	})
}

func TestDuplicateOfADeadLetter(t *testing.T) {
	for _, test := range []struct {
		name  string
		reply reply
		want  delivery.State
		took  time.Duration
	}{
		{"is delivered", slowly(time.Second, success), delivery.Delivered, time.Second},
		{"dies again", slowly(time.Second, badRequest), delivery.Dead, time.Second},
		{"is slow", slowly(time.Minute, success), delivery.Pending, 5 * time.Second},
		{"fails", always(unavailable), delivery.Pending, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.upstream.replies(always(badRequest))
				d := r.submits(5 * time.Second)
				r.is(delivery.Dead, d)
				r.passes(time.Minute)

				r.upstream.replies(test.reply)
				before := r.now()
				all := r.together(5*time.Second, r.again(d), r.again(d), r.again(d))
				for _, got := range all {
					require.NoError(r, got.err)
					require.True(r, got.Duplicate)
					require.Equal(r, d.ID, got.Delivery.ID)
					require.Equal(r, test.want, got.Delivery.State)
					require.Equal(r, test.want == delivery.Pending, len(got.Delivery.Answer) == 0, "no answer of its first death")
					require.Equal(r, test.took, got.at-before)
				}
				r.attempted(d, d)
				require.Equal(r, 1, r.store.puts)
			})
		})
	}
}

func TestDuplicateOfADeadLetterThatNobodyCanSend(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(r *rig)
		mend  func(r *rig)
	}{
		{"while the lane is paused", func(r *rig) {
			r.upstream.replies(always(unauthorized))
			r.submits(5 * time.Second)
		}, func(r *rig) {
			r.upstream.replies(always(success))
			r.passes(time.Minute)
		}},
		{"while the lane is gone", func(r *rig) {
			r.pop()
		}, func(r *rig) {
			r.upstream.replies(always(success))
			r.define(definition(r.upstream))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.upstream.replies(always(badRequest))
				d := r.submits(5 * time.Second)
				test.spoil(r)
				before := r.now()
				got := r.submit(5*time.Second, r.again(d))
				require.Equal(r, before, r.now(), "nobody waits")
				require.True(r, got.Duplicate)
				require.Equal(r, delivery.Pending, got.Delivery.State)
				require.Empty(r, got.Delivery.Answer)
				synctest.Wait()
				require.False(r, r.stored(d).Claimed)
				test.mend(r)
				r.is(delivery.Delivered, d)
			})
		})
	}
}

func TestDuplicateRevivesEachDeadLetterOfAWebhook(t *testing.T) {
	run(t, func(r *rig) {
		second := &upstream{reply: always(badRequest)}
		r.q.Push(map[delivery.Lane]delivery.Definition{lane: definition(r.upstream), other: definition(second)})
		one := r.new()
		two := r.again(one)
		two.Lane = other
		r.submit(5*time.Second, one, two)
		synctest.Wait()
		r.is(delivery.Delivered, one)
		r.is(delivery.Dead, two)

		second.replies(always(success))
		got := r.submit(5*time.Second, r.again(one))
		require.Equal(r, one.ID, got.Delivery.ID)
		require.Equal(r, delivery.Delivered, got.Delivery.State)
		synctest.Wait()
		r.is(delivery.Delivered, two)
		r.attempted(one)
		require.Len(r, second.take(), 2)
	})
}

func TestDuplicateByAnotherProcess(t *testing.T) {
	run(t, func(r *rig) {
		theirs := r.new()
		ours := r.again(theirs)
		r.store.on(&r.store.put, func(context.Context) error {
			return r.store.Store.Put(r.Context(), []*delivery.Delivery{theirs})
		})
		got := r.submit(5*time.Second, ours)
		require.True(r, got.Duplicate)
		require.Equal(r, theirs.ID, got.Delivery.ID)
		require.Equal(r, delivery.Pending, got.Delivery.State)
		synctest.Wait()
		r.attempted()
	})
}

func TestDuplicateThatExpiresMeanwhile(t *testing.T) {
	run(t, func(r *rig) {
		r.store.on(&r.store.put, func(context.Context) error { return delivery.ErrDuplicate })
		_, err := r.q.Submit(r.Context(), []*delivery.Delivery{r.new()}, 5*time.Second)
		require.ErrorIs(r, err, delivery.ErrDuplicate, "what is not stored is not accepted")
	})
}

func TestDuplicateOfADeadLetterRevivedByAnotherProcess(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(badRequest))
		d := r.submits(5 * time.Second)
		r.store.on(&r.store.revive, func(context.Context) error {
			_, err := r.store.Store.Revive(r.Context(), d.ID)
			if err != nil {
				require.ErrorIs(r, err, delivery.ErrNotFound)
			}
			return nil
		})
		got := r.submit(5*time.Second, r.again(d))
		require.True(r, got.Duplicate)
		require.Equal(r, d.ID, got.Delivery.ID)
		require.Equal(r, delivery.Pending, got.Delivery.State)
		require.Empty(r, got.Delivery.Answer)
		r.attempted(d)
	})
}

func TestFailedQuestionForDuplicates(t *testing.T) {
	run(t, func(r *rig) {
		r.store.on(&r.store.find, fails(0))
		_, err := r.q.Submit(r.Context(), []*delivery.Delivery{r.new()}, 5*time.Second)
		require.ErrorIs(r, err, errDisk)
		require.Zero(r, r.store.puts)
		r.attempted()
	})
}
