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

func TestParseRate(t *testing.T) {
	for s, want := range map[string]delivery.Rate{
		"1/s":    {Attempts: 1, Per: time.Second},
		"200/m":  {Attempts: 200, Per: time.Minute},
		"1000/h": {Attempts: 1000, Per: time.Hour},
	} {
		got, err := delivery.ParseRate(s)
		require.NoError(t, err, s)
		require.Equal(t, want, got)
	}
	for _, s := range []string{"", "10", "10/", "/s", "0/s", "-1/s", "+1/s", "1.5/s", "10/d", "10/S", "10 / s", "10/s/s", "9999999999/s"} {
		_, err := delivery.ParseRate(s)
		require.ErrorContains(t, err, "is not a rate: write how many attempts a second, minute or hour may have, such as 10/s, 200/m or 1000/h", s)
	}
}

// rate redefines the rig's lane with a rate.
func (r *rig) rate(s string) {
	r.Helper()
	d := definition(r.upstream)
	var err error
	d.Rate, err = delivery.ParseRate(s)
	require.NoError(r, err)
	r.define(d)
}

// within is what a limiter's arithmetic may be off.
const within = time.Millisecond

// requireRate requires that no period has more than n requests, and returns
// when they were made.
func (r *rig) requireRate(n int, per time.Duration) []time.Duration {
	r.Helper()
	times := r.upstream.times(r.start)
	for i := n; i < len(times); i++ {
		require.GreaterOrEqual(r, times[i]-times[i-n], per, "%d requests in less than %s", n+1, per)
	}
	return times
}

func TestRateOfFirstAttempts(t *testing.T) {
	run(t, func(r *rig) {
		r.rate("1/s")
		for i, got := range r.together(10*time.Second, r.new(), r.new(), r.new()) {
			require.Equal(r, delivery.Delivered, got.Delivery.State)
			require.Less(r, got.at, 2*time.Second+within, "webhook %d", i)
		}
		times := r.requireRate(1, time.Second)
		require.Len(r, times, 3)
		require.InDelta(r, 2*time.Second, times[2], float64(within))
	})
}

func TestRateThatALaterAnswerCannotWaitFor(t *testing.T) {
	run(t, func(r *rig) {
		r.rate("1/m")
		r.submits(5 * time.Second)
		second, third := r.new(), r.new()
		for _, d := range []*delivery.Delivery{second, third} {
			got := r.submit(5*time.Second, d)
			require.Equal(r, delivery.Pending, got.Delivery.State)
			require.Zero(r, r.now(), "it does not wait for what will not be in time")
			synctest.Wait()
			require.False(r, r.stored(d).Claimed, "nor hold its delivery")
		}
		var claims atomic.Int32
		r.store.on(&r.store.claim, func(context.Context) error { claims.Add(1); return nil })
		r.at(time.Minute - within)
		require.Len(r, r.upstream.take(), 1)
		require.Less(r, claims.Load(), int32(5), "nothing polls")
		r.at(2*time.Minute + within)
		r.attempted(second, third)
		require.Zero(r, r.stored(second).Attempts[0].Duration)
		require.Equal(r, 1, r.stored(third).Tries)
	})
}

func TestRateOfAllAttempts(t *testing.T) {
	run(t, func(r *rig) {
		r.pop()
		for range 100 {
			r.submits(0)
		}
		r.upstream.replies(inTurn(tooMany, tooMany, tooMany, success))
		r.rate("20/s")
		for i := range 40 { // while the backlog drains
			r.at(time.Duration(i) * 100 * time.Millisecond)
			got := r.submit(5*time.Second, r.new())
			require.NotEqual(r, delivery.Dead, got.Delivery.State)
		}
		r.at(10 * time.Second)
		times := r.requireRate(20, time.Second)
		require.Len(r, times, 143)
		require.Less(r, times[142], 8500*time.Millisecond, "it makes use of what it may")
	})
}

func TestRateLetsFirstAttemptsGoFirst(t *testing.T) {
	run(t, func(r *rig) {
		r.pop()
		backlog := []*delivery.Delivery{r.submits(0), r.submits(0), r.submits(0)}
		r.rate("1/s")
		r.attempted(backlog[0])
		first := r.new()
		require.Equal(r, delivery.Delivered, r.submit(5*time.Second, first).Delivery.State)
		require.InDelta(r, time.Second, r.now(), float64(within))
		r.at(3*time.Second + within)
		r.attempted(first, backlog[1], backlog[2])
	})
}

// A later attempt whose turn somebody else took keeps what it has read.
func TestRateThatWasTakenMeanwhile(t *testing.T) {
	run(t, func(r *rig) {
		r.pop()
		d := r.submits(0)
		reads := 0
		r.upstream.fetches(func(_ context.Context, got *delivery.Delivery) *delivery.Outcome {
			if got.ID == d.ID && got.Transcript == nil {
				reads++
				time.Sleep(time.Second)
				got.Transcript = []byte("the chat")
			}
			return nil
		})
		r.rate("1/m")
		r.at(500 * time.Millisecond)
		first := r.submits(5 * time.Second)
		r.at(time.Second)
		require.Equal(r, "the chat", string(r.stored(d).Transcript))
		require.False(r, r.stored(d).Claimed)
		require.Zero(r, r.stored(d).Tries)
		r.at(time.Minute + time.Second)
		r.attempted(first, d)
		require.Equal(r, 1, reads)
	})
}

func TestRateOverReloads(t *testing.T) {
	run(t, func(r *rig) {
		r.rate("10/m") // 2 at once
		for range 30 {
			r.submits(0)
			r.rate("10/m")
			r.passes(time.Second)
		}
		r.at(10 * time.Minute)
		require.Len(r, r.requireRate(10, time.Minute), 30)
	})
}

func TestRateChanges(t *testing.T) {
	run(t, func(r *rig) {
		r.rate("1/h")
		for range 5 {
			r.submits(0)
		}
		synctest.Wait()
		require.Len(r, r.upstream.take(), 1)
		r.rate("1/s")
		r.passes(2*time.Second + within)
		require.Len(r, r.requireRate(1, time.Second), 2)
		r.define(definition(r.upstream))
		require.Len(r, r.upstream.take(), 2, "there is none any more")
	})
}

func TestRateOfRetriesByHand(t *testing.T) {
	run(t, func(r *rig) {
		r.rate("1/h")
		r.upstream.replies(inTurn(after(time.Minute, unavailable), success))
		d := r.submits(5 * time.Second)
		require.NoError(r, r.q.Retry(r.Context(), d.ID))
		synctest.Wait()
		r.unclaimed(d)
		r.at(time.Hour - within)
		r.attempted(d)
		r.at(time.Hour + within)
		r.is(delivery.Delivered, d)
	})
}

func TestRateOfProbes(t *testing.T) {
	run(t, func(r *rig) {
		r.rate("1/h")
		r.upstream.replies(inTurn(unauthorized, success))
		d := r.submits(5 * time.Second)
		r.at(time.Hour - time.Second)
		r.attempted(d)
		r.at(time.Hour + within)
		r.attempted(d)
		r.is(delivery.Delivered, d)
	})
}
