package delivery_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// dead submits a delivery that is refused for good.
func (r *rig) dead() *delivery.Delivery {
	r.Helper()
	r.upstream.replies(always(badRequest))
	d := r.submits(5 * time.Second)
	r.is(delivery.Dead, d)
	r.upstream.take()
	return d
}

// retries retries a delivery by hand.
func (r *rig) retries(d *delivery.Delivery) {
	r.Helper()
	require.NoError(r, r.q.Retry(r.Context(), d.ID))
	synctest.Wait()
}

func TestRetryOfADeadLetter(t *testing.T) {
	run(t, func(r *rig) {
		d := r.dead()
		r.passes(time.Hour)
		r.upstream.replies(always(success))
		r.retries(d)
		require.Equal(r, time.Hour, r.now(), "at once")
		r.attempted(d)
		got := r.stored(d)
		require.Equal(r, delivery.Delivered, got.State)
		require.Equal(r, "answer: delivered", string(got.Answer))
		require.Equal(r, 2, got.Tries, "the history goes on")
	})
}

func TestRetryThatFails(t *testing.T) {
	run(t, func(r *rig) {
		d := r.dead()
		r.retries(d)
		r.is(delivery.Dead, d)
		r.upstream.replies(inTurn(unavailable, success))
		r.retries(d)
		r.is(delivery.Pending, d)
		r.passes(time.Second)
		r.is(delivery.Delivered, d)
	})
}

// A retry by hand overrides all that holds a delivery back.
func TestRetryAtOnce(t *testing.T) {
	for _, test := range []struct {
		name    string
		trouble func(r *rig)
	}{
		{"whatever its own Retry-After", func(r *rig) { r.upstream.replies(always(after(time.Hour, unavailable))) }},
		{"whatever the upstream's Retry-After", func(r *rig) { r.upstream.replies(always(held(time.Hour, tooMany))) }},
		{"whatever the breaker", func(r *rig) { r.breaks() }},
		{"whatever the pause", func(r *rig) { r.upstream.replies(always(unauthorized)) }},
		{"whatever the pause by hand", func(r *rig) { require.NoError(r, r.q.Pause(lane)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				test.trouble(r)
				d := r.submits(5 * time.Second)
				r.is(delivery.Pending, d)
				r.upstream.take()
				r.upstream.replies(always(success))
				started := r.now()
				r.retries(d)
				require.Equal(r, started, r.now())
				requests := r.upstream.take()
				require.NotEmpty(r, requests)
				require.Equal(r, d.ID, requests[0].id)
				r.is(delivery.Delivered, d)
			})
		})
	}
}

func TestRetryCountsAsAProbe(t *testing.T) {
	t.Run("that fails", func(t *testing.T) {
		run(t, func(r *rig) {
			r.upstream.replies(always(unauthorized))
			d := r.submits(5 * time.Second)
			r.at(30 * time.Second)
			r.retries(d)
			r.at(10 * time.Minute)
			require.Equal(r, []time.Duration{0, 30 * time.Second, 150 * time.Second, 390 * time.Second}, r.upstream.times(r.start))
		})
	})
	t.Run("that succeeds", func(t *testing.T) {
		run(t, func(r *rig) {
			r.upstream.replies(always(unauthorized))
			one, two := r.submits(5*time.Second), r.submits(0)
			r.at(30 * time.Second)
			r.upstream.replies(always(success))
			r.retries(one)
			r.is(delivery.Delivered, one, two)
			require.Equal(r, 30*time.Second, r.now(), "the others do not wait for the next probe")
		})
	})
	t.Run("after which the dead leave the others their probes", func(t *testing.T) {
		run(t, func(r *rig) {
			short := definition(r.upstream)
			short.Retry.MaxElapsed = 10 * time.Second
			r.define(short)
			r.breaks()
			r.upstream.replies(slowly(20*time.Second, unavailable))
			dies, stays := r.submits(0), r.submits(0)
			r.retries(dies)
			r.at(20 * time.Second)
			r.is(delivery.Dead, dies)
			r.upstream.replies(always(success))
			r.at(22 * time.Second)
			r.is(delivery.Delivered, stays)
		})
	})
	t.Run("unless there is one", func(t *testing.T) {
		run(t, func(r *rig) {
			r.upstream.replies(slowly(10*time.Second, unauthorized))
			probed, forced := r.submits(15*time.Second), r.submits(0)
			r.at(75 * time.Second) // the probe began five seconds ago
			r.upstream.replies(always(unauthorized))
			r.retries(forced)
			r.upstream.take()
			r.at(4 * time.Minute)
			require.Equal(r, []time.Duration{200 * time.Second}, r.upstream.times(r.start), "two minutes after the probe")
			r.is(delivery.Pending, probed, forced)
		})
	})
	t.Run("beside which there is none", func(t *testing.T) {
		run(t, func(r *rig) {
			r.upstream.replies(always(unauthorized))
			one, two := r.submits(5*time.Second), r.submits(0)
			r.at(time.Minute - 1)
			r.upstream.replies(slowly(10*time.Second, unauthorized))
			r.upstream.take()
			r.retries(two)
			r.at(time.Minute + 9*time.Second)
			r.attempted(two)
			r.at(5 * time.Minute)
			r.is(delivery.Pending, one, two)
			require.NotEmpty(r, r.upstream.take(), "probes go on")
		})
	})
}

// One pauses by hand to try a single delivery with: that ends no pause.
func TestRetryEndsNoPauseByHand(t *testing.T) {
	run(t, func(r *rig) {
		require.NoError(r, r.q.Pause(lane))
		one, two := r.submits(0), r.submits(0)
		r.retries(one)
		r.passes(time.Hour)
		r.is(delivery.Delivered, one)
		r.is(delivery.Pending, two)
	})
}

func TestRetryWaitsForAPlace(t *testing.T) {
	run(t, func(r *rig) {
		one := definition(r.upstream)
		one.Concurrency = 1
		d := r.dead()
		r.define(one)
		r.upstream.replies(slowly(time.Minute, success))
		r.submits(0)
		synctest.Wait()
		r.retries(d)
		r.at(2*time.Minute - 1)
		require.Equal(r, 1, r.upstream.most)
		r.is(delivery.Pending, d)
		r.at(2 * time.Minute)
		r.is(delivery.Delivered, d)
	})
}

func TestRetryOfALaneThatIsGone(t *testing.T) {
	run(t, func(r *rig) {
		d := r.dead()
		r.upstream.replies(always(success))
		r.pop()
		r.retries(d)
		r.passes(time.Hour)
		got := r.stored(d)
		require.Equal(r, delivery.Pending, got.State)
		require.False(r, got.Claimed)
		require.Equal(r, r.start, got.DueAt.Local())
		r.define(definition(r.upstream))
		r.is(delivery.Delivered, d)
	})
}

func TestRetryOfALaneThatNeverWas(t *testing.T) {
	run(t, func(r *rig) {
		d := r.new()
		d.Lane = delivery.Lane{Webhook: "long", Upstream: "gone"}
		r.submit(0, d)
		r.retries(d)
		require.False(r, r.stored(d).Claimed)
	})
}

func TestRetryFails(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(success))
		delivered := r.submits(5 * time.Second)
		require.ErrorIs(r, r.q.Retry(r.Context(), delivered.ID), delivery.ErrNotFound)
		require.ErrorIs(r, r.q.Retry(r.Context(), uuid.New()), delivery.ErrNotFound)

		r.upstream.replies(slowly(time.Minute, success))
		first, second := r.inChat("chat"), r.inChat("chat")
		r.submit(0, first)
		r.submit(0, second)
		synctest.Wait()
		require.ErrorIs(r, r.q.Retry(r.Context(), first.ID), delivery.ErrBusy, "it is being attempted")
		require.ErrorIs(r, r.q.Retry(r.Context(), second.ID), delivery.ErrBusy, "it waits for the first")
		r.passes(time.Hour)
		r.is(delivery.Delivered, first, second)

		r.store.on(&r.store.revive, fails(0))
		require.ErrorIs(r, r.q.Retry(r.Context(), first.ID), errDisk)
	})
}

func TestRetryWhileStopping(t *testing.T) {
	run(t, func(r *rig) {
		d := r.dead()
		r.upstream.replies(always(success))
		r.shutdown(time.Second)
		r.retries(d)
		r.attempted()
		r.is(delivery.Pending, d)
		r.unclaimed(d)
		require.NoError(r, r.q.Close())
		require.ErrorIs(r, r.q.Retry(r.Context(), d.ID), delivery.ErrClosed)
		_, err := r.q.RetryAll(r.Context(), delivery.Query{})
		require.ErrorIs(r, err, delivery.ErrClosed)
	})
}

// all retries many and returns how many it were.
func (r *rig) all(q delivery.Query) int {
	r.Helper()
	n, err := r.q.RetryAll(r.Context(), q)
	require.NoError(r, err)
	synctest.Wait()
	return n
}

func TestRetryAll(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(badRequest))
		var dead []*delivery.Delivery
		for range 1000 {
			d := r.new()
			d.Key = delivery.Key{0: 1, 1: byte(len(dead)), 2: byte(len(dead) >> 8)}
			r.submit(5*time.Second, d)
			dead = append(dead, d)
		}
		r.upstream.take()
		r.upstream.most = 0
		r.upstream.replies(slowly(time.Second, success))
		reviving := make(chan struct{}, 1000)
		var most atomic.Int32
		r.store.on(&r.store.revive, func(context.Context) error {
			reviving <- struct{}{}
			time.Sleep(time.Millisecond) // until all that go together are there
			most.Store(int32(max(int(most.Load()), len(reviving))))
			time.Sleep(time.Millisecond)
			<-reviving
			return nil
		})
		require.Equal(r, 1000, r.all(delivery.Query{States: []delivery.State{delivery.Dead}}))
		r.passes(61 * time.Second)
		require.Less(r, len(r.upstream.take()), 1000)
		r.passes(2 * time.Second)
		r.is(delivery.Delivered, dead...)
		require.EqualValues(r, 64, most.Load())
		require.Equal(r, 16, r.upstream.most, "with the concurrency of everything else")
		require.Zero(r, r.all(delivery.Query{}))
	})
}

func TestRetryAllOfWhatIsAskedFor(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(success))
		delivered := r.submits(5 * time.Second)
		dead := r.dead()
		elsewhere := r.new()
		elsewhere.Lane = other // which nothing defines
		r.submit(0, elsewhere)
		r.upstream.replies(always(after(time.Hour, unavailable)))
		waits := r.submits(5 * time.Second)

		r.upstream.replies(always(success))
		require.Zero(r, r.all(delivery.Query{Webhook: "sales"}))
		require.Zero(r, r.all(delivery.Query{Upstream: other.Upstream}), "it is due already")
		require.Zero(r, r.all(delivery.Query{States: []delivery.State{delivery.Delivered}}))
		r.is(delivery.Pending, waits)
		require.Equal(r, 1, r.all(delivery.Query{States: []delivery.State{delivery.Pending}}))
		r.is(delivery.Delivered, waits)
		r.is(delivery.Dead, dead)
		require.Equal(r, 1, r.all(delivery.Query{}), "of both states")
		r.is(delivery.Delivered, dead, delivered)
		r.is(delivery.Pending, elsewhere)
		require.Zero(r, r.now())
	})
}

func TestRetryAllProbesAtOnce(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(unauthorized))
		var deliveries []*delivery.Delivery
		for range 5 {
			deliveries = append(deliveries, r.submits(0))
			synctest.Wait()
		}
		r.at(10 * time.Minute)
		r.upstream.take()
		r.upstream.replies(slowly(time.Second, success))
		require.Zero(r, r.all(delivery.Query{}), "they are due already")
		require.Len(r, r.upstream.take(), 1, "the probe")
		r.passes(2 * time.Second)
		r.is(delivery.Delivered, deliveries...)
	})
}

func TestRetryAllUnderAPauseByHand(t *testing.T) {
	run(t, func(r *rig) {
		d := r.dead()
		r.upstream.replies(always(success))
		require.NoError(r, r.q.Pause(lane))
		require.Equal(r, 1, r.all(delivery.Query{}))
		r.passes(time.Hour)
		r.is(delivery.Pending, d)
		require.NoError(r, r.q.Resume(lane))
		synctest.Wait()
		r.is(delivery.Delivered, d)
	})
}

func TestRetryAllWithABrokenStore(t *testing.T) {
	run(t, func(r *rig) {
		for range 3 {
			r.dead()
		}
		var revived atomic.Int32
		r.store.on(&r.store.revive, func(context.Context) error {
			if revived.Add(1) == 2 {
				return errDisk
			}
			return nil
		})
		n, err := r.q.RetryAll(r.Context(), delivery.Query{})
		require.ErrorIs(r, err, errDisk)
		require.Less(r, n, 3)
		r.store.on(&r.store.revive, nil)
		synctest.Wait()
		r.upstream.replies(always(success))
		r.all(delivery.Query{})
		page, err := r.q.List(r.Context(), delivery.Query{States: []delivery.State{delivery.Delivered}, Limit: 10})
		require.NoError(r, err)
		require.Len(r, page.Deliveries, 3)
	})
}

// What cannot be read here is left alone, and keeps nothing else from being
// retried.
func TestRetryAllOfWhatCannotBeRead(t *testing.T) {
	run(t, func(r *rig) {
		for range 3 {
			r.dead()
		}
		var revived atomic.Int32
		r.store.on(&r.store.revive, func(context.Context) error {
			if revived.Add(1) == 1 {
				return delivery.ErrUnreadable
			}
			return nil
		})
		r.upstream.replies(always(success))
		require.Equal(r, 2, r.all(delivery.Query{}))
		r.passes(time.Second)
		page, err := r.q.List(r.Context(), delivery.Query{States: []delivery.State{delivery.Delivered}, Limit: 10})
		require.NoError(r, err)
		require.Len(r, page.Deliveries, 2)
	})
}
