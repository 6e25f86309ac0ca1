package delivery_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

// shutdown shuts down with a grace period.
func (r *rig) shutdown(grace time.Duration) {
	ctx, cancel := context.WithTimeout(r.Context(), grace)
	defer cancel()
	r.q.Shutdown(ctx)
}

// restart ends the dispatcher and begins with another one, as a process does:
// what the upstream has asked for is forgotten.
func (r *rig) restart(d delivery.Definition, options ...delivery.Option) {
	r.Helper()
	r.shutdown(10 * time.Second)
	r.q = delivery.NewDispatcher(r.store, options...)
	r.pop = nil
	r.define(d)
}

// unclaimed requires deliveries to be pending and nobody's.
func (r *rig) unclaimed(deliveries ...*delivery.Delivery) {
	r.Helper()
	r.is(delivery.Pending, deliveries...)
	for i, d := range deliveries {
		require.False(r, r.stored(d).Claimed, "delivery %d", i)
	}
}

func TestShutdownWithNothingToDo(t *testing.T) {
	run(t, func(r *rig) {
		r.submits(5 * time.Second)
		r.shutdown(10 * time.Second)
		r.shutdown(10 * time.Second)
		require.Zero(r, r.now())
	})
}

func TestShutdownWaitsForAttempts(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(slowly(3*time.Second, success))
		first, second := r.inChat("chat"), r.inChat("chat")
		answered := make(chan delivery.Receipt, 1)
		go func() { answered <- r.submit(5*time.Second, first) }()
		synctest.Wait()
		r.submit(0, second)
		r.shutdown(10 * time.Second)
		require.Equal(r, 3*time.Second, r.now())
		require.Equal(r, delivery.Delivered, (<-answered).Delivery.State)
		r.passes(time.Hour)
		r.attempted(first)
		r.unclaimed(second)
	})
}

func TestShutdownCutsOff(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(slowly(time.Hour, success))
		d := r.submits(5 * time.Second)
		start := r.now()
		r.shutdown(10 * time.Second)
		require.Equal(r, 10*time.Second, r.now()-start)
		r.unclaimed(d)
		stored := r.stored(d)
		require.Zero(r, stored.Tries)
		require.Len(r, stored.Attempts, 1)
		require.Equal(r, "the server is stopping", stored.Attempts[0].Error)
		require.True(r, stored.Attempts[0].Unknown)
		require.Zero(r, stored.Elapsed)
		require.WithinDuration(r, time.Now(), stored.DueAt, 0)
	})
}

// What the upstream has not seen is as if it had not been tried.
func TestShutdownCutsOffReading(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.fetches(func(ctx context.Context, d *delivery.Delivery) *delivery.Outcome {
			d.Transcript = []byte("the chat")
			<-ctx.Done()
			return &noTranscript
		})
		first, later := r.submits(0), r.new()
		r.pop()
		r.submit(0, later)
		r.pop = nil
		r.define(definition(r.upstream))
		start := r.now()
		r.shutdown(10 * time.Second)
		require.Equal(r, 10*time.Second, r.now()-start)
		r.unclaimed(first, later)
		for _, d := range []*delivery.Delivery{first, later} {
			stored := r.stored(d)
			require.Zero(r, stored.Tries)
			require.Empty(r, stored.Attempts)
			require.Zero(r, stored.Elapsed)
			require.Equal(r, d.ReceivedAt, stored.DueAt)
			require.Equal(r, "the chat", string(stored.Transcript), "what it has read is kept")
		}
		require.Empty(r, r.upstream.take())
	})
}

// With a store that outlives the process, a stop loses nothing and costs
// nothing: what was cut off goes on under its id, with the shortest interval,
// and what came during the stop goes out.
func TestShutdownAndTheNextStart(t *testing.T) {
	run(t, func(r *rig) {
		def := definition(r.upstream)
		def.Retry.Multiplier, def.Retry.MaxInterval = 100, time.Hour
		r.define(def)
		r.upstream.replies(slowly(time.Hour, success))
		var cutOff, during []*delivery.Delivery
		for range 5 {
			cutOff = append(cutOff, r.submits(0))
		}
		synctest.Wait()
		require.Len(r, r.upstream.take(), 5)
		stopped := make(chan struct{})
		go func() {
			r.shutdown(10 * time.Second)
			close(stopped)
		}()
		for range 5 {
			r.passes(time.Second)
			d := r.new()
			require.Equal(r, delivery.Pending, r.submit(5*time.Second, d).Delivery.State)
			require.True(r, r.submit(5*time.Second, r.again(d)).Duplicate)
			during = append(during, d)
		}
		<-stopped
		require.Equal(r, 10*time.Second, r.now())
		require.Len(r, r.logs.FilterMessageSnippet("attempt cut off by the shutdown").All(), 5)

		r.upstream.replies(inTurn(tooMany, tooMany, tooMany, tooMany, tooMany, success))
		r.restart(def)
		r.passes(2 * time.Second)
		r.is(delivery.Delivered, cutOff...)
		r.is(delivery.Delivered, during...)
		for _, d := range cutOff {
			require.Len(r, r.stored(d).Attempts, r.stored(d).Tries+1)
		}
	})
}

func TestShutdownCutsOffWhateverTheVerdict(t *testing.T) {
	for _, test := range []struct {
		name    string
		outcome delivery.Outcome
		want    delivery.State
	}{
		{"success", success, delivery.Delivered},
		{"permanent", badRequest, delivery.Pending},
		{"refused", forbidden, delivery.Pending},
		{"misconfigured", unauthorized, delivery.Pending},
		{"asked to wait", held(time.Hour, tooMany), delivery.Pending},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.upstream.replies(func(ctx context.Context, _ *delivery.Delivery) delivery.Outcome {
					<-ctx.Done()
					return test.outcome
				})
				d := r.submits(0)
				synctest.Wait()
				r.shutdown(10 * time.Second)
				r.is(test.want, d)
				require.False(r, r.stored(d).Claimed)
				require.WithinDuration(r, time.Now(), r.stored(d).DueAt, 0)
			})
		})
	}
}

func TestShutdownCutsOffThoseWhoWait(t *testing.T) {
	run(t, func(r *rig) {
		r.limit(1)
		r.upstream.replies(slowly(time.Hour, success))
		occupant, first := r.submits(0), r.new()
		synctest.Wait()
		go r.submit(time.Minute, first)
		synctest.Wait()
		r.shutdown(10 * time.Second)
		require.Equal(r, 10*time.Second, r.now())
		r.unclaimed(occupant, first)
		require.Zero(r, r.stored(first).Tries)
	})
}

func TestShutdownCutsOffLaterAttempts(t *testing.T) {
	run(t, func(r *rig) {
		r.limit(1)
		r.upstream.replies(slowly(time.Hour, success))
		r.pop()
		deliveries := []*delivery.Delivery{r.submits(0), r.submits(0)}
		r.limit(1)
		require.Len(r, r.upstream.take(), 1)
		r.shutdown(10 * time.Second)
		r.unclaimed(deliveries...)
	})
}

func TestShutdownDuringACommit(t *testing.T) {
	run(t, func(r *rig) {
		r.store.on(&r.store.put, sleep(3*time.Second))
		d := r.new()
		answered := make(chan delivery.Receipt, 1)
		go func() { answered <- r.submit(5*time.Second, d) }()
		r.at(time.Second)
		r.shutdown(time.Second)
		require.Equal(r, delivery.Pending, (<-answered).Delivery.State)
		require.Equal(r, 3*time.Second, r.now())
		r.unclaimed(d)
		r.attempted()
	})
}

func TestShutdownDuringAClaim(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(after(time.Minute, unavailable)))
		d := r.submits(5 * time.Second)
		r.store.on(&r.store.claim, func(context.Context) error {
			time.Sleep(2 * time.Second) // the claim succeeds when it is too late
			return nil
		})
		r.at(time.Minute + time.Second)
		r.shutdown(10 * time.Second)
		require.Equal(r, time.Minute+2*time.Second, r.now())
		r.attempted(d)
		r.unclaimed(d)
	})
}

func TestShutdownDuringAClaimThatHangs(t *testing.T) {
	run(t, func(r *rig) {
		r.store.on(&r.store.claim, sleep(time.Hour))
		r.at(2 * time.Minute)
		r.shutdown(10 * time.Second)
		require.Equal(r, 2*time.Minute+10*time.Second, r.now())
	})
}

// A store that works, but is slow, gets the time for what was done in time.
func TestShutdownWaitsForASave(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(slowly(9*time.Second, success))
		r.store.on(&r.store.save, sleep(5*time.Second))
		d := r.submits(0)
		r.shutdown(10 * time.Second)
		require.Equal(r, 14*time.Second, r.now())
		r.is(delivery.Delivered, d)
	})
}

// What a store cannot save that is being repaired is not waited for: a claim
// ends with the process.
func TestShutdownDuringSavesThatHang(t *testing.T) {
	run(t, func(r *rig) {
		r.store.on(&r.store.save, sleep(time.Hour))
		early := r.submits(0)
		r.passes(time.Second)
		r.upstream.replies(slowly(time.Hour, success))
		late := r.submits(0)
		r.shutdown(9 * time.Second)
		require.Equal(r, 15*time.Second, r.now())
		r.is(delivery.Pending, early, late)
		require.True(r, r.stored(early).Claimed)
		require.NoError(r, r.q.Close())
		require.Equal(r, 15*time.Second, r.now())
	})
}

func TestShutdownDuringAClaimWhoseSavesHang(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(after(time.Minute, tooMany)))
		for range 5 {
			r.submits(0)
		}
		synctest.Wait()
		r.store.on(&r.store.save, sleep(time.Hour))
		r.store.on(&r.store.claim, func(context.Context) error {
			time.Sleep(2 * time.Second)
			return nil
		})
		r.at(time.Minute + time.Second)
		require.Len(r, r.upstream.take(), 5)
		r.shutdown(10 * time.Second)
		require.Equal(r, time.Minute+16*time.Second, r.now())
		r.attempted()
	})
}

func TestCloseDuringASaveThatHangs(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(badRequest))
		d := r.submits(5 * time.Second)
		r.shutdown(time.Second)
		r.store.on(&r.store.save, sleep(time.Hour))
		r.submit(5*time.Second, r.again(d)) // revives it, to be saved without an attempt
		require.NoError(r, r.q.Close())
		require.Equal(r, 5*time.Second, r.now())
	})
}

func TestCloseOfAStoreThatIsNotReady(t *testing.T) {
	run(t, func(r *rig) {
		r.store.on(&r.store.count, sleep(time.Hour))
		require.NoError(r, r.q.Close())
		require.Equal(r, time.Second, r.now())
	})
}

func TestWebhooksDuringAndAfterAShutdown(t *testing.T) {
	run(t, func(r *rig) {
		dead := r.new()
		r.upstream.replies(only(dead, always(badRequest), slowly(time.Hour, success)))
		r.submit(5*time.Second, dead)
		running := r.submits(0)
		synctest.Wait()
		go r.shutdown(10 * time.Second)
		synctest.Wait()
		for range 2 {
			before := r.now()
			d := r.new()
			require.Equal(r, delivery.Pending, r.submit(5*time.Second, d).Delivery.State)
			require.True(r, r.submit(5*time.Second, r.again(d)).Duplicate)
			got := r.submit(5*time.Second, r.again(dead))
			require.Equal(r, delivery.Pending, got.Delivery.State)
			require.Equal(r, before, r.now(), "nobody waits")
			synctest.Wait()
			r.unclaimed(d, dead)
			r.passes(time.Minute)
		}
		r.attempted(dead, running)
	})
}

func TestPushAfterAShutdown(t *testing.T) {
	run(t, func(r *rig) {
		r.pop()
		d := r.submits(0)
		r.shutdown(time.Second)
		r.define(definition(r.upstream))
		r.passes(time.Hour)
		r.attempted()
		r.unclaimed(d)
	})
}

func TestCloseWaitsForSubmitsWithoutAttempts(t *testing.T) {
	run(t, func(r *rig) {
		r.pop()
		r.store.on(&r.store.put, sleep(3*time.Second))
		done := make(chan delivery.Receipt, 1)
		go func() { done <- r.submit(5*time.Second, r.new()) }()
		r.at(time.Second)
		require.NoError(r, r.q.Close())
		require.Equal(r, 3*time.Second, r.now())
		require.Equal(r, delivery.Pending, (<-done).Delivery.State)
	})
}

func TestCloseWaitsForSubmits(t *testing.T) {
	run(t, func(r *rig) {
		r.store.on(&r.store.put, sleep(3*time.Second))
		first, second := r.new(), r.new()
		done := make(chan delivery.Receipt, 3)
		go func() { done <- r.submit(5*time.Second, first) }()
		go func() { done <- r.submit(5*time.Second, second) }()
		synctest.Wait()
		go func() { done <- r.submit(5*time.Second, r.again(second)) }()
		r.at(time.Second)
		require.NoError(r, r.q.Close())
		require.Equal(r, 3*time.Second, r.now())
		synctest.Wait()
		require.Len(r, done, 3, "all were accepted")

		r.store.on(&r.store.find, func(context.Context) error { return errors.New("the store is asked") })
		_, err := r.q.Submit(r.Context(), []*delivery.Delivery{r.new()}, 5*time.Second)
		require.ErrorIs(r, err, delivery.ErrClosed)
		_, err = r.store.Count(r.Context())
		require.ErrorIs(r, err, delivery.ErrClosed, "the store is closed, too")
		require.EqualValues(r, 2, r.logs.FilterMessageSnippet("deliveries pending").All()[0].ContextMap()["pending"])
	})
}

func TestCloseCutsOff(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(slowly(time.Hour, success))
		answered := make(chan delivery.Receipt, 1)
		go func() { answered <- r.submit(time.Minute, r.new()) }()
		synctest.Wait()
		require.NoError(r, r.q.Close())
		require.Zero(r, r.now())
		require.Equal(r, delivery.Pending, (<-answered).Delivery.State)
	})
}

func TestCloseWithoutLanes(t *testing.T) {
	run(t, func(r *rig) {
		r.pop()
		require.NoError(r, r.q.Close())
		r.pop()
	})
}

func TestShutdown_refusesWhatItWouldLose(t *testing.T) {
	q := delivery.NewDispatcher(memory.New(memory.Options{}), delivery.RefuseWhileStopping())
	defer q.Close()
	q.Shutdown(t.Context())
	_, err := q.Submit(t.Context(), []*delivery.Delivery{{ID: uuid.New(), Lane: delivery.Lane{Webhook: "a", Upstream: "b"}}}, time.Second)
	require.ErrorIs(t, err, delivery.ErrClosed)
}
