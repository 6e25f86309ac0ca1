package delivery_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func (r *rig) pauses() {
	r.Helper()
	require.NoError(r, r.q.Pause(lane))
	synctest.Wait()
}

func (r *rig) resumes() {
	r.Helper()
	require.NoError(r, r.q.Resume(lane))
	synctest.Wait()
}

func (r *rig) lanes() delivery.LaneStatus {
	r.Helper()
	lanes := r.q.Lanes()
	require.Len(r, lanes, 1)
	return lanes[0]
}

func TestPauseByHand(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(unavailable))
		before := r.submits(5 * time.Second)
		r.upstream.replies(always(success))
		r.pauses()
		r.upstream.take()
		started := r.now()
		got := r.submit(5*time.Second, r.new())
		require.Equal(r, started, r.now(), "nobody waits meanwhile")
		require.Equal(r, delivery.Pending, got.Delivery.State)
		r.passes(48 * time.Hour)
		r.attempted()
		r.resumes()
		require.Len(r, r.upstream.take(), 2)
		r.is(delivery.Delivered, before)
		require.Equal(r, delivery.Delivered, r.submit(5*time.Second, r.new()).Delivery.State)
	})
}

func TestPauseByHandHoldsOverReloads(t *testing.T) {
	run(t, func(r *rig) {
		r.pauses()
		d := r.submits(0)
		r.define(definition(r.upstream))
		pop := r.pop
		r.define(definition(r.upstream))
		pop()
		r.passes(time.Hour)
		r.attempted()
		require.Equal(r, delivery.PausedByHand, r.lanes().Condition)
		r.resumes()
		r.attempted(d)
	})
}

func TestPauseByHandMakesNoProbes(t *testing.T) {
	for _, test := range []struct {
		name    string
		outcome delivery.Outcome
		want    delivery.Condition
	}{
		{"of a lane that is paused", unauthorized, delivery.Paused},
		{"of a lane that is open", unavailable, delivery.Open},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.upstream.replies(always(test.outcome))
				for range 5 {
					r.submits(5 * time.Second)
				}
				require.Equal(r, test.want, r.lanes().Condition)
				r.pauses()
				r.upstream.take()
				r.passes(48 * time.Hour)
				r.attempted()
				r.resumes()
				require.Len(r, r.upstream.take(), 1, "a probe, at once")
				require.Equal(r, test.want, r.lanes().Condition)
			})
		})
	}
}

// What is with the upstream goes on; what waits for a place there does not.
func TestPauseByHandOfAttemptsUnderWay(t *testing.T) {
	run(t, func(r *rig) {
		one := definition(r.upstream)
		one.Concurrency = 1
		r.define(one)
		r.upstream.replies(slowly(time.Minute, success))
		first := r.submits(0)
		synctest.Wait()
		second := r.new()
		waiting := make(chan delivery.Receipt)
		go func() { waiting <- r.submit(2*time.Minute, second) }()
		synctest.Wait()
		r.pauses()
		require.Equal(r, delivery.Pending, (<-waiting).Delivery.State)
		require.Equal(r, time.Minute, r.now(), "the receipt does not wait longer than for the place")
		r.passes(time.Hour)
		r.attempted(first)
		r.is(delivery.Delivered, first)
		r.unclaimed(second)
		r.resumes()
		r.passes(time.Minute)
		r.is(delivery.Delivered, second)
	})
}

func TestPauseByHandOfAProbeUnderWay(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(unauthorized))
		d := r.submits(5 * time.Second)
		r.upstream.fetches(func(context.Context, *delivery.Delivery) *delivery.Outcome {
			time.Sleep(10 * time.Second)
			return nil
		})
		r.at(time.Minute + time.Second) // the probe fetches
		r.upstream.take()
		r.pauses()
		r.passes(time.Hour)
		r.attempted()
		r.upstream.fetches(nil)
		r.upstream.replies(always(success))
		r.resumes()
		r.attempted(d)
	})
}

func TestResume(t *testing.T) {
	for _, test := range []struct {
		name    string
		trouble delivery.Outcome
	}{
		{"ends a pause", unauthorized},
		{"closes the breaker", unavailable},
		{"ends what the upstream asked for", held(24*time.Hour, tooMany)},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.upstream.replies(always(test.trouble))
				for range 5 {
					r.submits(5 * time.Second)
				}
				r.upstream.replies(always(success))
				r.resumes()
				r.passes(time.Second) // their own intervals
				require.Equal(r, delivery.Healthy, r.lanes().Condition)
				require.Equal(r, delivery.Delivered, r.submit(5*time.Second, r.new()).Delivery.State)
			})
		})
	}
}

func TestPauseOfALaneThatNeverWas(t *testing.T) {
	run(t, func(r *rig) {
		require.ErrorIs(r, r.q.Pause(other), delivery.ErrNoLane)
		require.ErrorIs(r, r.q.Resume(other), delivery.ErrNoLane)
	})
}

func TestLogOfAPauseByHand(t *testing.T) {
	run(t, func(r *rig) {
		for range 2 {
			r.pauses()
		}
		for range 2 {
			r.resumes()
		}
		require.Len(r, r.logs.FilterMessageSnippet("upstream paused by hand").All(), 1)
		require.Len(r, r.logs.FilterMessage("upstream resumed by hand").All(), 1)
		require.Zero(r, r.levels()[zap.ErrorLevel])
	})
}

func TestLanes(t *testing.T) {
	run(t, func(r *rig) {
		at := func(d time.Duration) time.Time { return r.start.Add(d) }
		healthy := delivery.LaneStatus{Lane: lane, Defined: true, Condition: delivery.Healthy, Since: r.start}
		require.Equal(r, healthy, r.lanes())
		r.submits(5 * time.Second)
		require.Equal(r, healthy, r.lanes())

		r.at(time.Minute)
		r.upstream.replies(always(unauthorized))
		r.submits(5 * time.Second)
		r.at(3 * time.Minute) // a probe after one minute
		paused := delivery.LaneStatus{
			Lane: lane, Defined: true, Condition: delivery.Paused, Since: at(time.Minute),
			LastError: "401 Unauthorized", LastErrorAt: at(2 * time.Minute), NextProbe: at(4 * time.Minute),
		}
		require.Equal(r, paused, r.lanes())

		r.pauses()
		byHand := paused
		byHand.Condition, byHand.Since, byHand.NextProbe = delivery.PausedByHand, at(3*time.Minute), time.Time{}
		require.Equal(r, byHand, r.lanes())

		r.at(5 * time.Minute)
		r.upstream.replies(always(held(time.Hour, tooMany)))
		r.resumes()
		asked := paused
		asked.LastError, asked.LastErrorAt = "429 Too Many Requests", at(5*time.Minute)
		asked.HeldUntil, asked.NextProbe = at(65*time.Minute), at(65*time.Minute)
		require.Equal(r, asked, r.lanes())

		r.upstream.replies(always(success))
		r.at(70 * time.Minute)
		asked.Condition, asked.Since = delivery.Healthy, at(65*time.Minute)
		asked.HeldUntil, asked.NextProbe = time.Time{}, time.Time{}
		require.Equal(r, asked, r.lanes())

		r.pop()
		asked.Defined = false
		require.Equal(r, asked, r.lanes())

		pop := r.q.Push(map[delivery.Lane]delivery.Definition{lane: definition(r.upstream), other: definition(r.upstream)})
		lanes := r.q.Lanes()
		require.Equal(r, []delivery.Lane{other, lane}, []delivery.Lane{lanes[0].Lane, lanes[1].Lane}, "by name")
		pop()
	})
}
