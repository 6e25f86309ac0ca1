package delivery_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// witness is an Observer that keeps what it is told.
type witness struct {
	mu      sync.Mutex
	results []delivery.Result
	stages  []string
	settled map[uuid.UUID]delivery.State
	pauses  int
	store   func(uuid.UUID) delivery.State
	early   bool // it was told of what the store did not know
}

func (w *witness) Attempted(a *delivery.Attempt, result delivery.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.results, w.stages = append(w.results, result), append(w.stages, a.Stage)
}

func (w *witness) Settled(d *delivery.Delivery) {
	state := w.store(d.ID)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settled[d.ID] = d.State
	w.early = w.early || state != d.State
}

func (w *witness) Paused() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pauses++
}

// watched makes the rig's lane have a witness.
func (r *rig) watched() *witness {
	w := &witness{settled: make(map[uuid.UUID]delivery.State), store: func(id uuid.UUID) delivery.State {
		d, err := r.store.Get(r.Context(), id)
		require.NoError(r, err)
		return d.State
	}}
	d := definition(r.upstream)
	d.Observer = w
	r.define(d)
	return w
}

func TestObserver(t *testing.T) {
	lost := unavailable
	lost.Unknown = true
	for name, test := range map[string]struct {
		outcome delivery.Outcome
		result  delivery.Result
		state   delivery.State
	}{
		"success":       {success, delivery.ResultDelivered, delivery.Delivered},
		"transient":     {tooMany, delivery.ResultTransient, delivery.Pending},
		"transcript":    {noTranscript, delivery.ResultTransient, delivery.Pending},
		"unknown":       {lost, delivery.ResultUnknown, delivery.Pending},
		"permanent":     {badRequest, delivery.ResultPermanent, delivery.Dead},
		"refused once":  {forbidden, delivery.ResultTransient, delivery.Pending},
		"misconfigured": {unauthorized, delivery.ResultMisconfigured, delivery.Pending},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				w := r.watched()
				r.upstream.replies(always(test.outcome))
				d := r.submits(5 * time.Second)
				synctest.Wait()
				w.mu.Lock()
				defer w.mu.Unlock()
				require.Equal(r, []delivery.Result{test.result}, w.results)
				require.Equal(r, []string{test.outcome.Stage}, w.stages)
				if test.state == delivery.Pending {
					require.Empty(r, w.settled)
				} else {
					require.Equal(r, map[uuid.UUID]delivery.State{d.ID: test.state}, w.settled)
				}
				require.False(r, w.early)
				require.Equal(r, test.result == delivery.ResultMisconfigured, w.pauses == 1)
			})
		})
	}
}

// A pause that goes on is told of once, and one by hand not at all.
func TestObserverOfAPause(t *testing.T) {
	run(t, func(r *rig) {
		w := r.watched()
		r.upstream.replies(always(unauthorized))
		for range 5 {
			r.submits(5 * time.Second)
		}
		r.at(time.Hour)
		require.Equal(r, 1, w.pauses)
		r.upstream.replies(always(success))
		r.at(2 * time.Hour)
		require.Len(r, w.settled, 5)
		require.NoError(r, r.q.Pause(lane))
		r.passes(time.Hour)
		require.Equal(r, 1, w.pauses)
	})
}

func TestObserverOfAShutdown(t *testing.T) {
	for result, unknown := range map[delivery.Result]bool{delivery.ResultCutOff: false, delivery.ResultUnknown: true} {
		run(t, func(r *rig) {
			w := r.watched()
			r.upstream.replies(func(ctx context.Context, _ *delivery.Delivery) delivery.Outcome {
				<-ctx.Done()
				return delivery.Outcome{Stage: delivery.StageUpstream, Err: context.Cause(ctx), Unknown: unknown}
			})
			r.submits(5 * time.Second)
			r.shutdown(10 * time.Second)
			require.Equal(r, []delivery.Result{result}, w.results)
			require.Empty(r, w.settled)
		})
	}
}

// Whoever was told to wait for a ticket finds in the log that it came.
func TestLogOfWhatComesLater(t *testing.T) {
	delivered := func(r *rig) func() []string {
		return func() (levels []string) {
			for _, line := range r.logs.FilterMessage("ticket delivered").All() {
				levels = append(levels, line.Level.String())
			}
			r.logs.TakeAll()
			return levels
		}
	}
	run(t, func(r *rig) {
		levels := delivered(r)
		r.upstream.replies(slowly(2*time.Second, success))
		r.submits(5 * time.Second)
		require.Equal(r, []string{"debug"}, levels(), "in the answer")
		r.submits(time.Second)
		r.passes(time.Minute)
		require.Equal(r, []string{"info"}, levels(), "after the answer")
		r.submits(0)
		r.passes(time.Minute)
		require.Equal(r, []string{"debug"}, levels(), "nobody waits for any")
	})
	run(t, func(r *rig) {
		levels := delivered(r)
		r.breaks()
		r.logs.TakeAll()
		r.submits(5 * time.Second)
		r.upstream.replies(always(success))
		r.passes(time.Hour)
		later := levels()
		require.NotEmpty(r, later)
		require.NotContains(r, later, "debug", "by later attempts")
	})
}

// What has no HTTP status has none in the log.
func TestLogWithoutStatus(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(delivery.Outcome{Stage: delivery.StageUpstream, Err: errDisk, Down: true}))
		for range 10 {
			r.submits(5 * time.Second)
		}
		r.at(time.Minute)
		require.NotEmpty(r, r.logs.FilterMessageSnippet("upstream seems to be down").All())
		require.NotContains(r, r.logged(), `"status":0`)
		for _, line := range r.logs.FilterLevelExact(zap.WarnLevel).All() {
			require.Contains(r, line.ContextMap(), "delivery")
		}
	})
}
