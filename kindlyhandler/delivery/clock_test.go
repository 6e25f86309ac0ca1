package delivery_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// wallClock is a wall clock that can be set. What it tells has no monotonic
// reading, like the times that a durable store returns.
type wallClock struct{ ahead atomic.Int64 }

func (c *wallClock) now() time.Time { return time.Now().Round(0).Add(time.Duration(c.ahead.Load())) }

func (c *wallClock) set(ahead time.Duration) { c.ahead.Store(int64(ahead)) }

// runSettable runs a test with a clock that can be set.
func runSettable(t *testing.T, test func(r *rig, clock *wallClock)) {
	synctest.Test(t, func(t *testing.T) {
		clock := new(wallClock)
		r := newRig(t, clock.now)
		t.Cleanup(func() { require.NoError(t, r.q.Close()) })
		test(r, clock)
	})
}

// A clock that is set changes nothing about what waits: neither does it wait
// for longer, nor is it attempted before its time, be it asked for or not.
func TestClockThatIsSet(t *testing.T) {
	requests := map[string]struct {
		outcomes []delivery.Outcome
		want     []time.Duration
	}{
		"a Retry-After": {[]delivery.Outcome{after(30*time.Minute, unavailable), success}, minutes(0, 30)},
		"a hold":        {[]delivery.Outcome{held(30*time.Minute, tooMany), success}, minutes(0, 30)},
		"a pause":       {[]delivery.Outcome{unauthorized, unauthorized, unauthorized, unauthorized, success}, minutes(0, 1, 3, 7, 15)},
	}
	for name, test := range requests {
		for to, ahead := range map[string]time.Duration{"ahead": time.Hour, "back": -time.Hour} {
			t.Run(name+", "+to, func(t *testing.T) {
				runSettable(t, func(r *rig, clock *wallClock) {
					d := r.new()
					r.upstream.replies(only(d, inTurn(test.outcomes...), always(success)))
					r.submit(5*time.Second, d)
					r.at(30 * time.Second)
					clock.set(ahead)
					r.at(31 * time.Minute)
					require.Equal(r, test.want, r.upstream.times(r.start))
					r.is(delivery.Delivered, d)
				})
			})
		}
	}
}

func TestClockThatIsSetDuringAnOutage(t *testing.T) {
	for to, ahead := range map[string]time.Duration{"ahead": time.Hour, "back": -time.Hour} {
		t.Run(to, func(t *testing.T) {
			runSettable(t, func(r *rig, clock *wallClock) {
				r.upstream.replies(always(unavailable))
				for range 50 {
					r.submits(0)
				}
				r.at(10 * time.Minute)
				r.upstream.take()
				clock.set(ahead)
				r.at(20 * time.Minute)
				require.InDelta(r, 20, len(r.upstream.take()), 1, "one probe each half minute, as before")
				r.upstream.replies(always(success))
				r.at(20*time.Minute + 31*time.Second)
				require.Len(r, r.upstream.take(), 50)
			})
		})
	}
}

func TestClockThatIsSetWhileRetriesWait(t *testing.T) {
	for to, ahead := range map[string]time.Duration{"ahead": time.Hour, "back": -time.Hour} {
		t.Run(to, func(t *testing.T) {
			runSettable(t, func(r *rig, clock *wallClock) {
				def := definition(r.upstream)
				def.Retry.InitialInterval, def.Retry.MaxInterval = time.Hour, time.Hour
				r.define(def)
				r.upstream.replies(always(tooMany))
				var deliveries []*delivery.Delivery
				due := make(map[time.Duration]int)
				for range 50 {
					d := r.submits(5 * time.Second)
					deliveries = append(deliveries, d)
					due[r.stored(d).DueAt.Sub(r.start)]++
				}
				r.upstream.take()
				r.upstream.replies(always(success))
				clock.set(ahead)
				require.Equal(r, delivery.Delivered, r.submit(5*time.Second, r.new()).Delivery.State)
				r.at(time.Hour)
				r.is(delivery.Delivered, deliveries...)
				attempted := make(map[time.Duration]int)
				for _, at := range r.upstream.times(r.start)[1:] {
					attempted[at]++
				}
				require.Equal(r, due, attempted)
			})
		})
	}
}

// Times that are shown are the wall clock's, and so is everything once nothing
// waits any more.
func TestClockIsFollowed(t *testing.T) {
	const message = "the system clock was set: deliveries are due by it from now on"
	runSettable(t, func(r *rig, clock *wallClock) {
		r.upstream.replies(inTurn(after(30*time.Minute, unavailable), after(30*time.Minute, unavailable), success))
		d := r.submits(5 * time.Second)
		clock.set(5 * time.Hour)
		r.at(40 * time.Minute)
		require.Empty(r, r.logs.FilterMessage(message).All(), "something waits")
		require.Equal(r, clock.now().Add(-10*time.Minute), r.stored(d).Attempts[1].At)
		got, err := r.q.Get(r.Context(), d.ID)
		require.NoError(r, err)
		require.Equal(r, clock.now().Add(20*time.Minute), got.DueAt)
		page, err := r.q.List(r.Context(), delivery.Query{Limit: 1})
		require.NoError(r, err)
		require.Equal(r, got.DueAt, page.Deliveries[0].DueAt)
		r.at(62 * time.Minute)
		r.is(delivery.Delivered, d)
		require.Len(r, r.logs.FilterMessage(message).All(), 1)

		r.upstream.replies(always(after(time.Hour, unavailable)))
		d = r.submits(5 * time.Second)
		require.Equal(r, clock.now().Add(time.Hour), r.stored(d).DueAt)
		r.passes(30 * time.Minute)
		require.Len(r, r.logs.FilterMessage(message).All(), 1)
	})
}

func TestClockThatIsSetBeforeARevival(t *testing.T) {
	runSettable(t, func(r *rig, clock *wallClock) {
		r.upstream.replies(always(badRequest))
		d := r.submits(5 * time.Second)
		clock.set(time.Hour)
		require.NoError(r, r.q.Pause(lane))
		r.submit(5*time.Second, r.again(d))
		synctest.Wait()
		r.is(delivery.Pending, d)
		r.upstream.replies(always(success))
		require.NoError(r, r.q.Resume(lane))
		synctest.Wait()
		r.is(delivery.Delivered, d)
	})
}

// A refusal is for good only after another one's success, by whatever clock.
func TestClockThatIsSetBeforeARefusal(t *testing.T) {
	runSettable(t, func(r *rig, clock *wallClock) {
		waiting, refused := r.new(), r.new()
		r.upstream.replies(only(waiting, always(after(time.Hour, unavailable)), always(success)))
		r.submit(5*time.Second, waiting)
		clock.set(-time.Hour)
		r.passes(time.Minute)
		r.submits(5 * time.Second)
		r.passes(time.Minute)
		r.upstream.replies(only(refused, always(forbidden), always(success)))
		r.submit(5*time.Second, refused)
		r.passes(time.Minute)
		r.is(delivery.Pending, refused)
		r.submits(5 * time.Second)
		r.passes(time.Second)
		r.is(delivery.Dead, refused)
	})
}

func TestClockIsNotFollowedUnderAHold(t *testing.T) {
	runSettable(t, func(r *rig, clock *wallClock) {
		r.upstream.replies(inTurn(held(10*time.Minute, tooMany), success))
		r.submits(5 * time.Second)
		clock.set(-time.Hour)
		r.at(10*time.Minute - 1)
		require.Len(r, r.upstream.take(), 1)
		r.at(10 * time.Minute)
		require.Len(r, r.upstream.take(), 1)
	})
}

// A clock that was ahead before a restart does not delay what it has put off.
func TestClockThatWasAheadBeforeARestart(t *testing.T) {
	for _, test := range []struct {
		name string
		back time.Duration
		want time.Duration // the second attempt's
	}{
		{"as it should be", 0, 5 * time.Hour},
		{"a bit", 30 * time.Second, 5*time.Hour + 30*time.Second},
		{"hours", 3 * time.Hour, time.Hour},
		{"years", 50 * 365 * 24 * time.Hour, time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			runSettable(t, func(r *rig, clock *wallClock) {
				r.upstream.replies(inTurn(after(5*time.Hour, unavailable), success))
				d := r.submits(5 * time.Second)
				r.at(time.Hour)
				clock.set(-test.back)
				r.restart(definition(r.upstream), delivery.WithNow(clock.now))
				var claims atomic.Int32
				r.store.on(&r.store.claim, func(context.Context) error { claims.Add(1); return nil })
				if test.want > time.Hour {
					r.at(test.want - 1)
					require.Len(r, r.upstream.take(), 1)
					require.Less(r, claims.Load(), int32(6*60), "it is looked at once")
				}
				r.at(test.want)
				r.is(delivery.Delivered, d)
				require.Equal(r, 2, r.stored(d).Tries)
			})
		})
	}
}
