package delivery_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// eager redefines the rig's lane so that what failed is due at once.
func (r *rig) eager() {
	d := definition(r.upstream)
	d.Retry.InitialInterval = 1
	r.define(d)
}

// seconds returns so many seconds each.
func seconds(n ...int) (times []time.Duration) {
	for _, n := range n {
		times = append(times, time.Duration(n)*time.Second)
	}
	return times
}

// breaks submits five deliveries that find the upstream down.
func (r *rig) breaks() (deliveries []*delivery.Delivery) {
	r.Helper()
	r.upstream.replies(always(after(time.Millisecond, unavailable)))
	for range 5 {
		deliveries = append(deliveries, r.submits(5*time.Second))
	}
	r.attempted(deliveries...)
	return deliveries
}

func TestBreaker(t *testing.T) {
	run(t, func(r *rig) {
		r.eager()
		deliveries := r.breaks()
		require.Zero(r, r.now())

		r.at(200 * time.Second)
		require.Equal(r, seconds(1, 3, 7, 15, 31, 61, 91, 121, 151, 181), r.upstream.times(r.start))

		got := r.submit(5*time.Second, r.new())
		require.Equal(r, 200*time.Second, r.now(), "nobody waits meanwhile")
		require.Equal(r, delivery.Pending, got.Delivery.State)
		require.Empty(r, r.upstream.take())

		r.upstream.replies(always(success))
		r.at(211*time.Second - 1)
		require.Empty(r, r.upstream.take())
		r.at(211 * time.Second)
		require.Len(r, r.upstream.take(), 6, "the probe, and all else by that")
		r.is(delivery.Delivered, deliveries...)
		require.Equal(r, delivery.Delivered, r.submit(5*time.Second, r.new()).Delivery.State)
	})
}

func TestBreakerNeedsFailuresInARow(t *testing.T) {
	for _, test := range []struct {
		name    string
		between delivery.Outcome
	}{
		{"a success", success},
		{"a refusal", badRequest},
		{"an upstream that is busy", tooMany},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				for range 4 {
					r.upstream.replies(always(after(time.Hour, unavailable)))
					for range 4 {
						r.submits(5 * time.Second)
					}
					r.upstream.replies(always(test.between))
					r.submits(5 * time.Second)
				}
				require.Len(r, r.upstream.take(), 20)
				require.Zero(r, r.logs.FilterMessageSnippet("seems to be down").Len())
			})
		})
	}
}

func TestBreakerKnowsNothingOfTranscripts(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.fetches(func(context.Context, *delivery.Delivery) *delivery.Outcome { return &noTranscript })
		for range 20 {
			r.submits(5 * time.Second)
		}
		r.upstream.fetches(nil)
		require.Equal(r, delivery.Delivered, r.submit(5*time.Second, r.new()).Delivery.State)
	})
}

func TestBreakerProbesOneAtATime(t *testing.T) {
	run(t, func(r *rig) {
		r.eager()
		r.breaks()
		r.upstream.replies(slowly(10*time.Second, unavailable))
		r.at(11*time.Second - 1)
		require.Equal(r, seconds(1), r.upstream.times(r.start))
		r.at(30 * time.Second)
		require.Equal(r, seconds(13, 27), r.upstream.times(r.start))
	})
}

// What was under way when the breaker opened is no probe, however it ends.
func TestBreakerWithLateFailures(t *testing.T) {
	run(t, func(r *rig) {
		r.eager()
		late, probe := 1500*time.Millisecond, 4*time.Second
		r.upstream.replies(slowly(late, unavailable))
		for range 3 {
			r.submits(0)
		}
		synctest.Wait()
		r.upstream.take()
		r.breaks()
		r.upstream.replies(slowly(probe, unavailable))
		r.at(20 * time.Second)
		// The probe of 1 s ends at 5 s, long after those, and the next one
		// comes two seconds later.
		require.Equal(r, seconds(1, 7, 15), r.upstream.times(r.start))
	})
}

func TestBreakerWithALateSuccess(t *testing.T) {
	run(t, func(r *rig) {
		r.eager()
		r.upstream.replies(slowly(1500*time.Millisecond, success))
		r.submits(0)
		synctest.Wait()
		r.upstream.take()
		deliveries := r.breaks()
		r.upstream.replies(only(deliveries[0], slowly(time.Hour, success), always(success)))
		r.at(1500 * time.Millisecond)
		r.is(delivery.Delivered, deliveries[1:]...)
		require.Equal(r, delivery.Delivered, r.submit(5*time.Second, r.new()).Delivery.State, "it works, whatever becomes of the probe")
	})
}

func TestBreakerCutsOffThoseAtTheGate(t *testing.T) {
	run(t, func(r *rig) {
		r.limit(1)
		var deliveries []*delivery.Delivery
		for range 10 {
			deliveries = append(deliveries, r.new())
		}
		r.upstream.replies(slowly(time.Second, after(time.Hour, unavailable)))
		for _, got := range r.together(time.Minute, deliveries...) {
			require.Equal(r, delivery.Pending, got.Delivery.State)
			require.LessOrEqual(r, got.at, 5*time.Second, "nobody waits meanwhile")
		}
		require.Equal(r, seconds(0, 1, 2, 3, 4), r.upstream.times(r.start))
	})
}

func TestBreakerWithNothingToProbe(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(after(time.Hour, unavailable)))
		for range 5 {
			r.submits(5 * time.Second)
		}
		r.upstream.take()
		r.upstream.replies(always(success))
		r.at(30 * time.Minute)
		d := r.new()
		require.Equal(r, delivery.Pending, r.submit(5*time.Second, d).Delivery.State)
		synctest.Wait()
		r.is(delivery.Delivered, d) // it is the probe
		require.Equal(r, delivery.Delivered, r.submit(5*time.Second, r.new()).Delivery.State)
	})
}

func TestBreakerProbesThatDoNotGetThere(t *testing.T) {
	run(t, func(r *rig) {
		r.breaks()
		bad := r.submits(0)
		r.upstream.fetches(func(_ context.Context, d *delivery.Delivery) *delivery.Outcome {
			if d.ID == bad.ID {
				return &noTranscript
			}
			return nil
		})
		r.upstream.replies(always(success))
		r.at(3 * time.Second)
		require.Equal(r, delivery.Delivered, r.submit(5*time.Second, r.new()).Delivery.State, "another one found out")
		r.is(delivery.Pending, bad)
	})
}
