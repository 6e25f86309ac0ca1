package delivery_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// minutes returns so many minutes each.
func minutes(n ...int) (times []time.Duration) {
	for _, n := range n {
		times = append(times, time.Duration(n)*time.Minute)
	}
	return times
}

// paused requires the lane to be paused, or not, as a new webhook finds it.
// That is delivered unless it is, or dropped from the record of requests.
func (r *rig) paused(want bool) {
	r.Helper()
	before := r.upstream.take()
	r.submits(0)
	synctest.Wait()
	attempted := len(r.upstream.take()) > 0
	require.NotEqual(r, want, attempted)
	r.upstream.mu.Lock()
	r.upstream.requests = before
	r.upstream.mu.Unlock()
}

func TestPause(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(unauthorized))
		first := r.submits(5 * time.Second)
		got := r.submit(5*time.Second, r.new())
		require.Zero(r, r.now(), "nobody waits meanwhile")
		require.Equal(r, delivery.Pending, got.Delivery.State)

		r.at(70 * time.Minute)
		require.Equal(r, minutes(0, 1, 3, 7, 15, 30, 45, 60), r.upstream.times(r.start))
		require.Zero(r, r.stored(first).Elapsed, "the time does not count")

		r.upstream.replies(always(success))
		r.at(75*time.Minute - 1)
		require.Empty(r, r.upstream.take())
		r.at(75 * time.Minute)
		require.Len(r, r.upstream.take(), 2)
		r.is(delivery.Delivered, first)
		require.Equal(r, delivery.Delivered, r.submit(5*time.Second, r.new()).Delivery.State)
	})
}

func TestPauseProbesInTurn(t *testing.T) {
	run(t, func(r *rig) {
		// Only the first delivery is refused: it may not stand in the way.
		first, second := r.new(), r.new()
		r.upstream.replies(only(first, always(unauthorized), always(success)))
		r.submit(5*time.Second, first)
		r.submit(5*time.Second, second)
		r.at(3 * time.Minute)
		r.is(delivery.Delivered, second)
	})
}

func TestPauseEnds(t *testing.T) {
	for _, test := range []struct {
		name    string
		outcome delivery.Outcome
		ends    bool
	}{
		{"with a success", success, true},
		{"with a ticket refused for good", badRequest, true},
		{"not with 401", unauthorized, false},
		{"not with 403", forbidden, false},
		{"not with 429", tooMany, false},
		{"not when it is down", unavailable, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.upstream.replies(always(unauthorized))
				first := r.submits(5 * time.Second)
				r.upstream.replies(inTurn(test.outcome, success))
				r.at(time.Minute)
				r.attempted(first, first)
				r.paused(!test.ends)
				r.at(3*time.Minute + 2*time.Second)
				r.paused(false)
			})
		})
	}
}

func TestPauseBecomesAnOutage(t *testing.T) {
	run(t, func(r *rig) {
		r.eager()
		r.upstream.replies(inTurn(unauthorized, unavailable))
		r.submits(5 * time.Second)
		r.at(34 * time.Minute)
		// Five probes find the upstream down; the breaker's are quicker.
		want := minutes(0, 1, 3, 7, 15, 30)
		for _, s := range seconds(1, 3, 7, 15, 31, 61, 91, 121, 151, 181, 211) {
			want = append(want, 30*time.Minute+s)
		}
		require.Equal(r, want, r.upstream.times(r.start))
	})
}

func TestPauseForgetsTheOutageBefore(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(after(time.Hour, unavailable)))
		for range 4 {
			r.submits(5 * time.Second)
		}
		r.upstream.replies(always(unauthorized))
		r.submits(5 * time.Second)
		r.upstream.take()
		r.upstream.replies(always(unavailable))
		r.at(20 * time.Minute)
		require.Equal(r, minutes(1, 3, 7, 15), r.upstream.times(r.start), "it takes five to be an outage")
	})
}

func TestPauseAfterThreeRefusals(t *testing.T) {
	for _, status := range []int{403, 404} {
		refusal := forbidden
		refusal.Status = status
		refusal = after(time.Hour, refusal)
		for _, test := range []struct {
			name     string
			outcomes []delivery.Outcome
			paused   bool
		}{
			{"two are not enough", []delivery.Outcome{refusal, refusal}, false},
			{"three are", []delivery.Outcome{refusal, refusal, refusal}, true},
			{"not with a success in between", []delivery.Outcome{refusal, refusal, success, refusal, refusal}, false},
			{"three after a success are", []delivery.Outcome{refusal, success, refusal, refusal, refusal}, true},
		} {
			t.Run(test.name, func(t *testing.T) {
				run(t, func(r *rig) {
					for _, o := range test.outcomes {
						r.upstream.replies(always(o))
						r.submits(5 * time.Second)
					}
					require.Len(r, r.upstream.take(), len(test.outcomes))
					r.upstream.replies(always(success))
					r.paused(test.paused)
				})
			})
		}
	}
}

func TestPauseForgetsTheRefusalsBefore(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(after(time.Hour, forbidden)))
		for range 3 {
			r.submits(5 * time.Second)
		}
		r.upstream.replies(inTurn(badRequest, success))
		r.at(30 * time.Minute) // the third one was due at once; the others are not yet
		r.upstream.replies(always(after(time.Hour, forbidden)))
		r.submits(5 * time.Second)
		r.submits(5 * time.Second)
		r.upstream.replies(always(success))
		r.paused(false)
	})
}

func TestOneDeliveryPausesNothing(t *testing.T) {
	run(t, func(r *rig) {
		r.submits(5 * time.Second) // a success before it proves nothing
		r.upstream.replies(always(forbidden))
		d := r.submits(5 * time.Second)
		r.passes(time.Minute)
		require.Greater(r, r.stored(d).Tries, 10)
		require.Equal(r, delivery.Pending, r.stored(d).State)
		r.upstream.replies(only(d, always(forbidden), always(success)))
		r.paused(false)
		r.passes(time.Second)
		r.is(delivery.Dead, d) // since another one got through
	})
}

func TestRefusalIsPermanentAfterAnotherOnesSuccess(t *testing.T) {
	notFound := forbidden
	notFound.Status = 404
	for _, test := range []struct {
		name    string
		refusal reply
		want    delivery.State
	}{
		{"the same refusal", always(after(time.Minute, forbidden)), delivery.Dead},
		{"another one", inTurn(after(time.Minute, notFound), after(time.Minute, forbidden)), delivery.Pending},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				first := r.new()
				r.upstream.replies(only(first, test.refusal, always(success)))
				r.submit(5*time.Second, first)
				r.passes(time.Second)
				r.submits(5 * time.Second)
				r.at(time.Minute)
				r.is(test.want, first)
				r.paused(false)
			})
		})
	}
}

func TestRefusalOfATranscriptProvesNothing(t *testing.T) {
	run(t, func(r *rig) {
		first := r.new()
		r.upstream.fetches(func(context.Context, *delivery.Delivery) *delivery.Outcome {
			o := after(time.Minute, noTranscript)
			o.Status = forbidden.Status
			return &o
		})
		r.submit(5*time.Second, first)
		r.upstream.fetches(nil)
		r.passes(time.Second)
		r.upstream.replies(only(first, always(after(time.Minute, forbidden)), always(success)))
		r.submits(5 * time.Second)
		r.at(time.Minute)
		r.is(delivery.Pending, first)
	})
}

func TestRefusalUnderAPauseKillsNothing(t *testing.T) {
	run(t, func(r *rig) {
		first := r.new()
		r.upstream.replies(only(first, always(after(time.Minute, forbidden)), always(success)))
		r.submit(5*time.Second, first)
		r.passes(time.Second)
		r.submits(5 * time.Second)
		r.upstream.replies(always(unauthorized))
		r.submits(5 * time.Second)
		r.upstream.replies(always(after(time.Minute, forbidden)))
		r.passes(3 * time.Minute)
		r.is(delivery.Pending, first)
		r.paused(true)
	})
}

func TestPauseStopsThoseAtTheGate(t *testing.T) {
	run(t, func(r *rig) {
		r.limit(1)
		r.upstream.replies(slowly(time.Second, unauthorized))
		for _, got := range r.together(time.Minute, r.new(), r.new(), r.new()) {
			require.Equal(r, time.Second, got.at)
		}
		require.Len(r, r.upstream.take(), 1, "wrong credentials are not sent again and again")
	})
}

func TestPauseProbesThatDoNotGetThere(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(unauthorized))
		first := r.submits(5 * time.Second)
		r.upstream.fetches(func(context.Context, *delivery.Delivery) *delivery.Outcome { return &noTranscript })
		r.upstream.replies(always(success))
		r.at(10 * time.Minute)
		r.attempted(first)
		r.is(delivery.Pending, first)
		r.upstream.fetches(nil)
		r.passes(time.Second)
		r.is(delivery.Delivered, first)
	})
}
