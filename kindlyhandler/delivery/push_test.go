package delivery_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// push pushes a definition of the rig's lane with an upstream of its own.
func (r *rig) push(reply reply) (u *upstream, pop func()) {
	u = &upstream{reply: reply}
	return u, r.q.Push(map[delivery.Lane]delivery.Definition{lane: definition(u)})
}

func TestPushTheNewestHolds(t *testing.T) {
	for _, test := range []struct {
		name string
		pops []int // of the three, in this order
		want int   // which holds then, -1 for none
	}{
		{"the last", nil, 2},
		{"the last, without the first", []int{0}, 2},
		{"the last, without both others", []int{1, 0}, 2},
		{"the one before, without the last", []int{2}, 1},
		{"the first, without both others", []int{2, 1}, 0},
		{"the one between", []int{0, 2}, 1},
		{"twice is once", []int{2, 2, 2}, 1},
		{"none", []int{0, 1, 2}, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.pop()
				var upstreams [3]*upstream
				var pops [3]func()
				for i := range 3 {
					upstreams[i], pops[i] = r.push(always(success))
				}
				for _, i := range test.pops {
					pops[i]()
				}
				d := r.submits(5 * time.Second)
				for i, u := range upstreams {
					require.Equal(r, i == test.want, len(u.take()) == 1, "definition %d", i)
				}
				if test.want < 0 {
					r.is(delivery.Pending, d)
				} else {
					r.is(delivery.Delivered, d)
				}
			})
		})
	}
}

func TestPushOfALaneThatWasGone(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(after(time.Minute, unavailable)))
		waiting := r.submits(5 * time.Second)
		r.pop()
		arrived := r.new()
		require.Equal(r, delivery.Pending, r.submit(5*time.Second, arrived).Delivery.State)
		require.Zero(r, r.now(), "nobody waits meanwhile")
		r.passes(time.Hour)
		r.attempted(waiting)

		r.upstream.replies(always(success))
		r.define(definition(r.upstream))
		r.is(delivery.Delivered, waiting, arrived)
	})
}

func TestPushOfAnotherLane(t *testing.T) {
	run(t, func(r *rig) {
		r.q.Push(map[delivery.Lane]delivery.Definition{other: definition(r.upstream)})
		here, there := r.new(), r.new()
		there.Lane = other
		require.Equal(r, delivery.Pending, r.submit(5*time.Second, here).Delivery.State)
		require.Equal(r, delivery.Delivered, r.submit(5*time.Second, there).Delivery.State)
	})
}

func TestPushAfterTheDeliveries(t *testing.T) {
	run(t, func(r *rig) {
		d := r.new()
		d.Lane = other
		require.Equal(r, delivery.Pending, r.submit(5*time.Second, d).Delivery.State)
		r.q.Push(map[delivery.Lane]delivery.Definition{other: definition(r.upstream)})
		synctest.Wait()
		r.is(delivery.Delivered, d)
	})
}

func TestPushLeavesAttemptsUnderWayAlone(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(slowly(3*time.Second, success))
		d := r.new()
		go func() {
			r.passes(time.Second)
			r.pop()
		}()
		require.Equal(r, delivery.Delivered, r.submit(5*time.Second, d).Delivery.State)
		require.Equal(r, 3*time.Second, r.now())
	})
}

func TestPopStopsThoseAtTheGate(t *testing.T) {
	run(t, func(r *rig) {
		r.limit(1)
		r.upstream.replies(slowly(3*time.Second, success))
		occupant := r.submits(0)
		synctest.Wait()
		waiting := r.submits(0)
		synctest.Wait()
		r.pop()
		r.passes(time.Hour)
		r.attempted(occupant)
		r.is(delivery.Pending, waiting)
		r.limit(1)
		r.attempted(waiting)
	})
}

func TestPopWhileALaneClaims(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(after(time.Minute, unavailable)))
		d := r.submits(5 * time.Second)
		r.upstream.take()
		r.store.on(&r.store.claim, func(context.Context) error {
			if r.now() == time.Minute {
				r.pop()
			}
			return nil
		})
		r.upstream.replies(always(success))
		r.at(time.Hour)
		r.attempted()
		require.False(r, r.stored(d).Claimed)
		r.define(definition(r.upstream))
		r.is(delivery.Delivered, d)
	})
}

func TestPushProbesAtOnce(t *testing.T) {
	for _, test := range []struct {
		name   string
		spoil  func(r *rig)
		failed delivery.Outcome
		next   time.Duration // until the probe after one that failed
	}{
		{"a paused lane", func(r *rig) {
			r.upstream.replies(always(unauthorized))
			r.submits(5 * time.Second)
		}, unauthorized, time.Minute},
		{"one whose breaker is open", func(r *rig) { r.breaks() }, after(1, unavailable), time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				test.spoil(r)
				r.at(8 * time.Hour) // the intervals have grown
				r.upstream.take()
				mended, pop := r.push(always(success))
				synctest.Wait()
				require.NotEmpty(r, mended.take())
				require.Equal(r, delivery.Delivered, r.submit(5*time.Second, r.new()).Delivery.State)
				pop()
			})
			run(t, func(r *rig) {
				test.spoil(r)
				r.at(8 * time.Hour)
				r.upstream.take()
				r.upstream.replies(always(test.failed))
				r.define(definition(r.upstream)) // and takes back the old one
				require.Len(r, r.upstream.take(), 1, "one probe")
				r.passes(test.next - 1)
				require.Empty(r, r.upstream.take())
				r.passes(1)
				require.Len(r, r.upstream.take(), 1)
			})
		})
	}
}

func TestPushWhileAProbeIsUnderWay(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(unauthorized))
		first := r.submits(5 * time.Second)
		r.submits(0)
		r.upstream.replies(slowly(10*time.Second, unauthorized))
		r.at(time.Minute)
		r.attempted(first, first)
		mended, _ := r.push(slowly(time.Second, unauthorized))
		r.at(10 * time.Minute)
		// What the old configuration's probe finds is no news.
		require.Equal(r, []time.Duration{
			time.Minute,
			2*time.Minute + time.Second,
			4*time.Minute + 2*time.Second,
			8*time.Minute + 3*time.Second,
		}, mended.times(r.start))
	})
}

func TestPushProbesABusyUpstreamOnce(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(unauthorized))
		for range 3 {
			r.submits(5 * time.Second)
		}
		r.upstream.take()
		busy, _ := r.push(always(tooMany))
		r.at(time.Minute - 1)
		require.Len(r, busy.take(), 1)
		r.at(time.Minute)
		require.Len(r, busy.take(), 1)
	})
}

func TestPushDoesNotOverrideRetryAfter(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(inTurn(held(time.Hour, tooMany), success))
		d := r.submits(5 * time.Second)
		r.define(definition(r.upstream))
		r.at(time.Hour - 1)
		r.attempted(d)
		r.at(time.Hour)
		r.is(delivery.Delivered, d)
	})
}
