package delivery_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func TestRetries(t *testing.T) {
	run(t, func(r *rig) {
		def := definition(r.upstream)
		def.Retry.Multiplier, def.Retry.MaxInterval = 2, 10*time.Second
		r.define(def)
		answered := tooMany // by an upstream that is not down
		r.upstream.replies(inTurn(answered, answered, answered, answered, answered, answered, answered, success))
		d := r.submits(5 * time.Second)
		due := []time.Time{r.start}
		for r.stored(d).State == delivery.Pending {
			due = append(due, r.stored(d).DueAt)
			r.passes(time.Until(r.stored(d).DueAt))
		}
		times := r.upstream.times(r.start)
		require.Len(r, times, 8)
		ceiling := time.Second
		for i, at := range times {
			require.Equal(r, due[i].Sub(r.start), at, "exactly when it is due")
			if i > 0 {
				require.LessOrEqual(r, at-times[i-1], ceiling)
				ceiling = min(2*ceiling, 10*time.Second)
			}
		}
		stored := r.stored(d)
		require.Equal(r, delivery.Delivered, stored.State)
		require.Equal(r, 8, stored.Tries)
		require.Equal(r, times[7], stored.Elapsed)
	})
}

func TestMaxElapsed(t *testing.T) {
	run(t, func(r *rig) {
		def := definition(r.upstream)
		def.Retry.MaxElapsed = 20 * time.Second
		r.define(def)
		r.upstream.replies(always(tooMany))
		d := r.submits(5 * time.Second)
		var last time.Duration
		for r.stored(d).State == delivery.Pending {
			last = r.now()
			require.LessOrEqual(r, last, 20*time.Second)
			r.passes(time.Until(r.stored(d).DueAt))
		}
		stored := r.stored(d)
		require.Equal(r, delivery.Dead, stored.State)
		require.Greater(r, r.now(), 20*time.Second, "with the first attempt after it")
		require.Equal(r, r.now(), stored.Elapsed)
		require.Equal(r, "answer: dead", string(stored.Answer))
		require.Equal(r, "body", string(stored.Body))

		tries := stored.Tries
		r.passes(time.Hour)
		require.Equal(r, tries, r.stored(d).Tries)
		require.Len(r, r.upstream.take(), tries)
	})
}

func TestMaxElapsedCountsSlowAttempts(t *testing.T) {
	run(t, func(r *rig) {
		def := definition(r.upstream)
		def.Retry.MaxElapsed = time.Minute
		r.define(def)
		r.upstream.replies(slowly(2*time.Minute, tooMany))
		d := r.submits(0)
		r.at(2 * time.Minute)
		r.is(delivery.Dead, d)
	})
}

func TestNothingDiesUnattempted(t *testing.T) {
	run(t, func(r *rig) {
		def := definition(r.upstream)
		def.Retry.MaxElapsed = time.Second
		r.pop()
		d := r.submits(0)
		r.passes(1000 * time.Minute)
		r.define(def)
		r.is(delivery.Delivered, d)
	})
}

func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		name  string
		after time.Duration
		want  time.Duration
	}{
		{"is obeyed", 90 * time.Second, 90 * time.Second},
		{"is obeyed up to a day", 1000 * time.Hour, 24 * time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				def := definition(r.upstream)
				def.Retry.MaxElapsed = 0 // the time does not count
				r.define(def)
				first, second := r.new(), r.new()
				r.upstream.replies(only(first, inTurn(after(test.after, unavailable), success), always(success)))
				r.submit(5*time.Second, first)
				require.Equal(r, delivery.Delivered, r.submit(5*time.Second, second).Delivery.State, "it holds for one delivery")
				r.passes(test.want - 1)
				r.is(delivery.Pending, first)
				r.passes(1)
				r.is(delivery.Delivered, first)
				r.attempted(first, second, first)
			})
		})
	}
}

func TestRetryAfterForTheLane(t *testing.T) {
	for _, test := range []struct {
		name  string
		after time.Duration
		want  time.Duration
	}{
		{"is obeyed", 90 * time.Second, 90 * time.Second},
		{"is obeyed up to a day", 1000 * time.Hour, 24 * time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.upstream.replies(inTurn(held(test.after, tooMany), success))
				first := r.submits(5 * time.Second)
				second := r.new()
				got := r.submit(5*time.Second, second)
				require.Zero(r, r.now(), "nobody waits meanwhile")
				require.Equal(r, delivery.Pending, got.Delivery.State)
				r.passes(test.want - 1)
				r.attempted(first)
				r.passes(1)
				r.is(delivery.Delivered, first, second)
				require.Equal(r, delivery.Delivered, r.submit(5*time.Second, r.new()).Delivery.State)
			})
		})
	}
}

func TestRetryAfterHoldsThoseAtTheGate(t *testing.T) {
	run(t, func(r *rig) {
		r.limit(1)
		first, second := r.new(), r.new()
		r.upstream.replies(func(ctx context.Context, d *delivery.Delivery) delivery.Outcome {
			if d.ID == first.ID && r.now() == 0 {
				return slowly(time.Second, held(time.Minute, tooMany))(ctx, d)
			}
			return success
		})
		go r.submit(5*time.Second, first)
		synctest.Wait()
		got := r.submit(5*time.Second, second)
		require.Equal(r, time.Second, r.now(), "it is not worth the wait any more")
		require.Equal(r, delivery.Pending, got.Delivery.State)
		r.attempted(first)
		r.at(time.Minute + time.Second - 1)
		r.attempted()
		r.at(time.Minute + 2*time.Second)
		r.is(delivery.Delivered, first, second)
	})
}

func TestRetryAfterTheLongestHolds(t *testing.T) {
	run(t, func(r *rig) {
		first, second := r.new(), r.new()
		r.upstream.replies(only(first, inTurn(held(time.Minute, tooMany), success),
			func(ctx context.Context, d *delivery.Delivery) delivery.Outcome {
				if r.now() == 0 {
					return slowly(time.Second, held(10*time.Second, tooMany))(ctx, d)
				}
				return success
			}))
		r.submit(0, second)
		synctest.Wait()
		r.submit(5*time.Second, first)
		r.at(time.Minute - 1)
		require.Len(r, r.upstream.take(), 2)
		r.at(time.Minute)
		r.is(delivery.Delivered, first, second)
	})
}
