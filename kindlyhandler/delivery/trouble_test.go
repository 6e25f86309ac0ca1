package delivery_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// until fails until so long after the start.
func (r *rig) until(end time.Duration, err error) func(context.Context) error {
	return func(context.Context) error {
		if r.now() < end {
			return err
		}
		return nil
	}
}

func TestStoreThatCannotSave(t *testing.T) {
	for _, test := range []struct {
		name  string
		reply delivery.Outcome
		want  delivery.State
	}{
		{"a delivered one", success, delivery.Delivered},
		{"a dead one", badRequest, delivery.Dead},
		{"a pending one", after(24*time.Hour, unavailable), delivery.Pending},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.store.on(&r.store.save, r.until(time.Hour, errDisk))
				first, second := r.inChat("chat"), r.inChat("chat")
				r.upstream.replies(only(first, always(test.reply), always(success)))
				r.submit(5*time.Second, first)
				require.Equal(r, 5*time.Second, r.now(), "what is not saved is not certain")
				r.submit(5*time.Second, second)
				r.at(time.Hour + time.Minute)
				r.is(test.want, first)
				require.False(r, r.stored(first).Claimed)
				require.Equal(r, 1, r.stored(first).Tries)
				if test.want == delivery.Pending {
					r.attempted(first)
				} else {
					r.is(delivery.Delivered, second)
					r.attempted(first, second)
				}
			})
		})
	}
}

func TestStoreThatCannotSaveARevival(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(badRequest))
		d := r.submits(5 * time.Second)
		r.pop()
		r.store.on(&r.store.save, r.until(time.Minute, errDisk))
		require.Equal(r, delivery.Pending, r.submit(5*time.Second, r.again(d)).Delivery.State)
		require.Zero(r, r.now())
		r.at(2 * time.Minute)
		require.False(r, r.stored(d).Claimed)
	})
}

func TestStoreThatHasLostADelivery(t *testing.T) {
	run(t, func(r *rig) {
		tries := 0
		r.store.on(&r.store.save, func(context.Context) error {
			tries++
			return delivery.ErrNotFound
		})
		r.submits(5 * time.Second)
		require.Zero(r, r.now())
		r.passes(time.Hour)
		require.Equal(r, 1, tries, "there is nothing to be saved")
	})
}

func TestStoreThatCannotClaim(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(inTurn(after(time.Minute, unavailable), success))
		d := r.submits(5 * time.Second)
		r.store.on(&r.store.claim, r.until(610*time.Second, errDisk))
		r.at(611 * time.Second)
		r.is(delivery.Delivered, d)
	})
}

func TestStoreThatCannotClaimAProbe(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(inTurn(unauthorized, success))
		d := r.submits(5 * time.Second)
		r.store.on(&r.store.claim, r.until(10*time.Minute, errDisk))
		r.at(10*time.Minute + time.Second)
		r.is(delivery.Delivered, d)
	})
}

func TestCloseWithAStoreThatCannotSave(t *testing.T) {
	run(t, func(r *rig) {
		r.store.on(&r.store.save, fails(0))
		dead := r.new()
		r.submit(time.Second, dead)
		r.shutdown(10 * time.Second)
		require.Equal(r, 11*time.Second, r.now())
		require.NoError(r, r.q.Close())
	})
}

func TestCloseWithAStoreThatCannotSaveARevival(t *testing.T) {
	for range 10 {
		run(t, func(r *rig) {
			r.upstream.replies(always(badRequest))
			d := r.submits(5 * time.Second)
			r.pop()
			r.store.on(&r.store.save, r.until(time.Hour, errDisk))
			r.submit(5*time.Second, r.again(d))
			require.NoError(r, r.q.Close())
			require.Zero(r, r.now())
		})
	}
}

func TestPanic(t *testing.T) {
	const secret = "what the stranger wrote"
	for _, test := range []struct {
		name    string
		panics  func(r *rig)
		mend    func(r *rig)
		unknown bool
	}{
		{"before the request", func(r *rig) {
			r.upstream.fetches(func(context.Context, *delivery.Delivery) *delivery.Outcome { panic(errors.New(secret)) })
		}, func(r *rig) { r.upstream.fetches(nil) }, false},
		{"in the request", func(r *rig) {
			r.upstream.replies(func(context.Context, *delivery.Delivery) delivery.Outcome { panic(secret) })
		}, func(r *rig) { r.upstream.replies(always(success)) }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.limit(1)
				test.panics(r)
				d := r.submits(5 * time.Second)
				require.Zero(r, r.now(), "it is a failure like others")
				stored := r.stored(d)
				require.Equal(r, delivery.Pending, stored.State)
				require.False(r, stored.Claimed)
				require.Equal(r, 1, stored.Tries)
				require.Equal(r, test.unknown, stored.Attempts[0].Unknown)
				require.NotContains(r, stored.Attempts[0].Error, secret)
				logged := r.logs.FilterMessage("panic in an attempt").All()
				require.Len(r, logged, 1)
				require.Contains(r, logged[0].ContextMap()["type"], "r")
				require.NotContains(r, r.logged(), secret)

				test.mend(r)
				r.passes(time.Second)
				r.is(delivery.Delivered, d)
				require.Equal(r, delivery.Delivered, r.submit(5*time.Second, r.new()).Delivery.State, "the place at the gate is free")
			})
		})
	}
}

func TestPanicInAProbe(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(unauthorized))
		d := r.submits(5 * time.Second)
		r.upstream.replies(func(context.Context, *delivery.Delivery) delivery.Outcome { panic("oh") })
		r.at(5 * time.Minute)
		r.upstream.replies(always(success))
		r.passes(time.Second)
		r.is(delivery.Delivered, d)
	})
}

// mute is a Target whose answers panic.
type mute struct{ *upstream }

func (mute) Answer(*delivery.Delivery) []byte { panic("what the stranger wrote") }

func TestPanicInAnAnswer(t *testing.T) {
	run(t, func(r *rig) {
		r.define(definition(mute{r.upstream}))
		d := r.new()
		got := r.submit(5*time.Second, d)
		require.Equal(r, delivery.Delivered, got.Delivery.State)
		require.Empty(r, got.Delivery.Answer)
		r.is(delivery.Delivered, d)
		require.Equal(r, 1, r.logs.FilterMessage("panic in an attempt").FilterField(zap.String("type", "string")).Len())
		require.NotContains(r, r.logged(), "what the stranger wrote")
	})
}

func TestTargetThatAsksTwice(t *testing.T) {
	run(t, func(r *rig) {
		r.define(definition(greedy{r.upstream}))
		for range 40 {
			require.Equal(r, delivery.Delivered, r.submit(5*time.Second, r.new()).Delivery.State)
		}
		synctest.Wait()
		require.Zero(r, r.now(), "it takes one place only")
	})
}

// greedy is a Target that calls proceed more than once.
type greedy struct{ *upstream }

func (g greedy) Attempt(ctx context.Context, d *delivery.Delivery, proceed func() error) delivery.Outcome {
	if err := proceed(); err != nil {
		return delivery.Outcome{Stage: delivery.StageTicket, Err: err}
	}
	return g.upstream.Attempt(ctx, d, proceed)
}
