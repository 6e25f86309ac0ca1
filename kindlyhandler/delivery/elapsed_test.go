package delivery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// expires redefines the rig's lane with a max_elapsed.
func (r *rig) expires(after time.Duration) {
	r.define(expiring(r.upstream, after))
}

func expiring(target delivery.Target, after time.Duration) delivery.Definition {
	def := definition(target)
	def.Retry.MaxElapsed = after
	return def
}

// dies returns when a delivery becomes a dead letter, to the second.
func (r *rig) dies(d *delivery.Delivery) time.Duration {
	r.Helper()
	for r.stored(d).State == delivery.Pending {
		r.passes(time.Second)
		require.Less(r, r.now(), 100*time.Hour)
	}
	r.is(delivery.Dead, d)
	return r.now()
}

// A delivery fails for half an hour. Ten hours follow that do not count, and
// then it fails on, and has another half.
func TestMaxElapsedDoesNotCount(t *testing.T) {
	const before, meanwhile = 30 * time.Minute, 10 * time.Hour
	for name, pass := range map[string]func(r *rig, d *delivery.Delivery){
		"a pause": func(r *rig, d *delivery.Delivery) {
			r.upstream.replies(always(unauthorized))
			r.at(before + meanwhile)
			r.upstream.replies(only(d, always(tooMany), always(success)))
			for other := r.submits(0); r.stored(other).State == delivery.Pending; {
				r.passes(time.Second)
			}
		},
		"a pause by hand": func(r *rig, _ *delivery.Delivery) {
			require.NoError(r, r.q.Pause(lane))
			r.at(before + meanwhile)
			require.NoError(r, r.q.Resume(lane))
			synctest.Wait()
		},
		"the time without a definition": func(r *rig, _ *delivery.Delivery) {
			r.pop()
			r.at(before + meanwhile)
			r.pop = nil
			r.expires(time.Hour)
		},
		"a Retry-After": func(r *rig, d *delivery.Delivery) {
			r.upstream.replies(inTurn(after(meanwhile, unavailable), tooMany))
			r.passes(time.Second)
			require.Greater(r, time.Until(r.stored(d).DueAt), meanwhile-2*time.Second)
			r.at(before + meanwhile)
		},
		"a hold that it met": func(r *rig, _ *delivery.Delivery) {
			r.upstream.replies(inTurn(held(meanwhile, tooMany), tooMany))
			r.at(before + meanwhile)
		},
		"a hold that another one met": func(r *rig, d *delivery.Delivery) {
			r.upstream.replies(only(d, always(tooMany), inTurn(held(meanwhile, tooMany), success)))
			r.submits(0)
			synctest.Wait()
			r.at(before + meanwhile)
		},
		"the time in which nothing runs": func(r *rig, _ *delivery.Delivery) {
			r.shutdown(0)
			r.at(before + meanwhile)
			r.restart(expiring(r.upstream, time.Hour))
		},
		"a stop that cuts it off": func(r *rig, _ *delivery.Delivery) {
			r.upstream.replies(slowly(1000*time.Hour, success))
			r.passes(time.Second)
			r.at(before + meanwhile)
			r.upstream.replies(always(tooMany))
			r.restart(expiring(r.upstream, time.Hour))
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.expires(time.Hour)
				r.upstream.replies(always(tooMany))
				d := r.submits(5 * time.Second)
				r.at(before)
				pass(r, d)
				r.is(delivery.Pending, d)
				r.upstream.replies(always(tooMany))
				again := r.now()
				require.GreaterOrEqual(r, again, before+meanwhile)
				require.InDelta(r, again+time.Hour-before, r.dies(d), float64(3*time.Second))
			})
		})
	}
}

func TestMaxElapsedDoesNotCountTheWaitForAnEarlierOne(t *testing.T) {
	run(t, func(r *rig) {
		r.expires(time.Hour)
		first, second := r.inChat("chat"), r.inChat("chat")
		r.upstream.replies(only(first, inTurn(after(10*time.Hour, unavailable), success), always(tooMany)))
		r.submit(5*time.Second, first)
		r.submit(5*time.Second, second)
		r.at(10*time.Hour + time.Minute)
		r.is(delivery.Delivered, first)
		require.InDelta(r, 11*time.Hour, r.dies(second), float64(3*time.Second))
	})
}

func TestMaxElapsedDoesNotCountTheWaitForOneThatIsDropped(t *testing.T) {
	run(t, func(r *rig) {
		r.expires(time.Hour)
		first, second := r.inChat("chat"), r.inChat("chat")
		r.upstream.replies(only(first, always(after(20*time.Hour, unavailable)), always(tooMany)))
		r.submit(5*time.Second, first)
		r.submit(5*time.Second, second)
		r.at(10 * time.Hour)
		_, err := r.q.Drop(r.Context(), first.ID)
		require.NoError(r, err)
		synctest.Wait()
		require.InDelta(r, 11*time.Hour, r.dies(second), float64(3*time.Second))
	})
}

// During an outage, time passes for those, too, whose turn to probe does not
// come; but none dies without an attempt after its time.
func TestMaxElapsedCountsAnOutage(t *testing.T) {
	run(t, func(r *rig) {
		r.expires(time.Hour)
		r.upstream.replies(always(unavailable))
		var deliveries []*delivery.Delivery
		for range 200 { // one of which probes in half a minute
			deliveries = append(deliveries, r.submits(0))
		}
		r.at(time.Hour - time.Second)
		r.is(delivery.Pending, deliveries...)
		r.at(2 * time.Hour)
		dead, pending := 0, 0
		for _, d := range deliveries {
			stored := r.stored(d)
			if stored.State == delivery.Pending {
				pending++
				continue
			}
			dead++
			require.Equal(r, delivery.Dead, stored.State)
			require.Greater(r, stored.Attempts[len(stored.Attempts)-1].At, r.start.Add(time.Hour))
		}
		require.InDelta(r, 120, dead, 5)
		r.upstream.replies(always(success))
		r.passes(time.Minute)
		delivered := 0
		for _, d := range deliveries {
			if r.stored(d).State == delivery.Delivered {
				delivered++
			}
		}
		require.Equal(r, pending, delivered)
	})
}

func TestMaxElapsedAfterARevival(t *testing.T) {
	run(t, func(r *rig) {
		r.expires(time.Hour)
		r.upstream.replies(always(tooMany))
		d := r.submits(0)
		r.dies(d)
		r.at(5 * time.Hour)
		r.submit(0, r.again(d))
		synctest.Wait()
		r.is(delivery.Pending, d)
		require.InDelta(r, 6*time.Hour, r.dies(d), float64(3*time.Second))
	})
}
