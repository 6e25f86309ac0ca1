package delivery_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

var errDisk = errors.New("no space left on device")

func TestFirstAttempt(t *testing.T) {
	for _, test := range []struct {
		name    string
		outcome delivery.Outcome
		want    delivery.State
		answer  string
		body    string
		error   string
		dueIn   time.Duration // at the most
	}{
		{"success", success, delivery.Delivered, "answer: delivered", "", "", 0},
		{"transient", unavailable, delivery.Pending, "", "body", "503 Service Unavailable", time.Second},
		{"asked to wait", after(time.Hour, unavailable), delivery.Pending, "", "body", "503 Service Unavailable", time.Hour},
		{"permanent", badRequest, delivery.Dead, "answer: dead", "body", "400 Bad Request", 0},
		{"refused", forbidden, delivery.Pending, "", "body", "403 Forbidden", time.Second},
		{"misconfigured", unauthorized, delivery.Pending, "", "body", "401 Unauthorized", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.upstream.replies(slowly(time.Second, test.outcome))
				d := r.new()
				d.Transcript = []byte("transcript")
				got := r.submit(5*time.Second, d)

				require.Equal(r, time.Second, r.now(), "nobody waits for a second attempt")
				require.False(r, got.Duplicate)
				require.Equal(r, d.ID, got.Delivery.ID)
				require.Equal(r, test.want, got.Delivery.State)
				require.Equal(r, test.answer, string(got.Delivery.Answer))
				require.Equal(r, test.outcome.Ticket, got.Delivery.Ticket)

				stored := r.stored(d)
				require.Equal(r, test.want, stored.State)
				require.Equal(r, test.answer, string(stored.Answer))
				require.Equal(r, test.outcome.Ticket, stored.Ticket)
				require.Equal(r, test.body, string(stored.Body))
				require.Equal(r, test.body != "", len(stored.Customer) > 0)
				require.Equal(r, test.body != "", len(stored.Transcript) > 0)
				require.Equal(r, 1, stored.Tries)
				require.Len(r, stored.Attempts, 1)
				require.Equal(r, delivery.Attempt{
					At:       r.start,
					Duration: time.Second,
					Stage:    delivery.StageUpstream,
					Status:   test.outcome.Status,
					Error:    test.error,
				}, stored.Attempts[0])
				require.WithinRange(r, stored.DueAt, time.Now(), time.Now().Add(test.dueIn))
			})
		})
	}
}

func TestSlowAttempt(t *testing.T) {
	for _, test := range []struct {
		name    string
		outcome delivery.Outcome
		want    delivery.State
	}{
		{"delivered", success, delivery.Delivered},
		{"dead", badRequest, delivery.Dead},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.upstream.replies(slowly(12*time.Second, test.outcome))
				d := r.new()
				got := r.submit(5*time.Second, d)
				require.Equal(r, 5*time.Second, r.now())
				require.Equal(r, delivery.Pending, got.Delivery.State)
				require.Empty(r, got.Delivery.Answer)

				r.at(12*time.Second - 1)
				r.is(delivery.Pending, d)
				r.at(12 * time.Second)
				r.is(test.want, d)
				r.attempted(d)
			})
		})
	}
}

func TestNoWait(t *testing.T) {
	run(t, func(r *rig) {
		r.store.on(&r.store.put, sleep(time.Second))
		r.upstream.replies(slowly(time.Second, success))
		d := r.new()
		got := r.submit(0, d)
		require.Equal(r, time.Second, r.now(), "only for the commit")
		require.Equal(r, delivery.Pending, got.Delivery.State)
		r.passes(time.Second)
		r.is(delivery.Delivered, d)
	})
}

func TestNothingIsSentBeforeTheCommit(t *testing.T) {
	run(t, func(r *rig) {
		r.store.on(&r.store.put, sleep(2*time.Second))
		fetched := false
		r.upstream.fetches(func(context.Context, *delivery.Delivery) *delivery.Outcome {
			fetched = true
			return nil
		})
		d := r.new()
		go r.submit(5*time.Second, d)
		r.at(2*time.Second - 1)
		require.True(r, fetched, "only reading may go on")
		require.Empty(r, r.upstream.take())
		r.at(2 * time.Second)
		r.attempted(d)
	})
}

func TestFailedCommit(t *testing.T) {
	run(t, func(r *rig) {
		r.store.on(&r.store.put, fails(time.Second))
		var cut error
		r.upstream.fetches(func(ctx context.Context, _ *delivery.Delivery) *delivery.Outcome {
			<-ctx.Done()
			cut = context.Cause(ctx)
			return nil // and proceeds, which it must not
		})
		d := r.new()
		_, err := r.q.Submit(r.Context(), []*delivery.Delivery{d}, 5*time.Second)
		require.ErrorIs(r, err, errDisk)
		require.Equal(r, time.Second, r.now())
		synctest.Wait()
		require.Error(r, cut, "the attempt ends with the commit")
		r.passes(time.Hour)
		r.attempted()

		r.store.on(&r.store.put, nil)
		r.upstream.fetches(nil)
		require.Equal(r, delivery.Delivered, r.submit(5*time.Second, d).Delivery.State, "nothing is left of it")
	})
}

func TestFailedCommitAfterFailedAttempt(t *testing.T) {
	run(t, func(r *rig) {
		r.store.on(&r.store.put, fails(time.Second))
		r.upstream.fetches(func(context.Context, *delivery.Delivery) *delivery.Outcome { return &noTranscript })
		_, err := r.q.Submit(r.Context(), []*delivery.Delivery{r.new()}, 5*time.Second)
		require.ErrorIs(r, err, errDisk)
		synctest.Wait()
		require.Zero(r, r.logs.Len(), "as if there had been no attempt")
	})
}

func TestCommitAfterFailedAttempt(t *testing.T) {
	run(t, func(r *rig) {
		r.store.on(&r.store.put, sleep(3*time.Second))
		r.upstream.fetches(func(context.Context, *delivery.Delivery) *delivery.Outcome { return &noTranscript })
		d := r.new()
		got := r.submit(5*time.Second, d)
		require.Equal(r, 3*time.Second, r.now())
		require.Equal(r, delivery.Pending, got.Delivery.State)
		require.Equal(r, 1, got.Delivery.Tries)
		require.Zero(r, got.Delivery.Attempts[0].Duration, "the commit is not part of it")

		r.upstream.fetches(nil)
		r.passes(time.Second)
		r.is(delivery.Delivered, d)
	})
}

func TestSlowCommit(t *testing.T) {
	for _, test := range []struct {
		name string
		wait time.Duration
		want time.Duration
	}{
		{"within the wait", 3 * time.Second, 3 * time.Second},
		{"without a wait", 0, 5 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.store.on(&r.store.put, sleep(time.Minute))
				_, err := r.q.Submit(r.Context(), []*delivery.Delivery{r.new()}, test.wait)
				require.ErrorIs(r, err, context.DeadlineExceeded)
				require.Equal(r, test.want, r.now())
				r.passes(time.Hour)
				r.attempted()
			})
		})
	}
}

func TestTranscriptIsKept(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.fetches(func(_ context.Context, d *delivery.Delivery) *delivery.Outcome {
			if d.Transcript == nil {
				assert.Equal(r, "memo", d.Memo)
				d.Transcript = []byte("transcript")
			} else {
				assert.Nil(r, d.Memo)
			}
			return nil
		})
		r.upstream.replies(inTurn(unavailable, success))
		d := r.new()
		d.Memo = "memo"
		require.Nil(r, r.submit(5*time.Second, d).Delivery.Memo, "nobody needs it any more")
		require.Equal(r, "transcript", string(r.stored(d).Transcript))
		r.passes(time.Second)
		r.is(delivery.Delivered, d)
		require.Empty(r, r.stored(d).Transcript)
	})
}

func TestUnknownOutcome(t *testing.T) {
	run(t, func(r *rig) {
		lost := unavailable
		lost.Unknown = true
		r.upstream.replies(inTurn(lost, success))
		d := r.submits(5 * time.Second)
		r.passes(time.Second)
		r.attempted(d, d)
		stored := r.stored(d)
		require.True(r, stored.Attempts[0].Unknown)
		require.False(r, stored.Attempts[1].Unknown)
	})
}
