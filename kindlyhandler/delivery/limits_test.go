package delivery_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// full fills a chat: its first delivery does as the test says, the others wait
// for it.
func (r *rig) full(its reply) (first *delivery.Delivery) {
	r.Helper()
	first = r.inChat("full")
	r.upstream.replies(only(first, its, always(success)))
	r.submit(0, first)
	synctest.Wait()
	for range delivery.MaxPendingPerChat - 1 {
		r.submit(0, r.inChat("full"))
	}
	_, err := r.q.Submit(r.Context(), []*delivery.Delivery{r.inChat("full")}, 5*time.Second)
	require.ErrorIs(r, err, delivery.ErrChatFull)
	r.upstream.take()
	return first
}

// A chat that has as many deliveries pending as it may, with an upstream that
// hangs on its first one, keeps no other chat's ticket waiting: neither a first
// attempt nor a later one.
func TestLimitOfAChat(t *testing.T) {
	for name, its := range map[string]reply{
		"in a first attempt":  slowly(time.Hour, success),
		"in a later attempt":  inThatOrder(always(after(time.Minute, tooMany)), slowly(time.Hour, success)),
		"in every attempt":    slowly(15*time.Second, tooMany),
		"in each but quickly": always(tooMany),
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.limit(2)
				first := r.full(its)
				r.at(90 * time.Second)
				r.upstream.take()

				for range 10 {
					before := r.now()
					got := r.submit(5*time.Second, r.inChat("other"))
					require.Equal(r, delivery.Delivered, got.Delivery.State)
					require.Equal(r, before, r.now())
				}

				retried := r.inChat("another")
				r.upstream.replies(only(first, its, only(retried, inTurn(after(10*time.Second, unavailable), success), always(success))))
				r.submit(5*time.Second, retried)
				r.passes(10 * time.Second)
				r.is(delivery.Delivered, retried)
				r.is(delivery.Pending, first)
			})
		})
	}
}

// inThatOrder replies once in each way, and in the last one from then on.
func inThatOrder(replies ...reply) reply {
	return func(ctx context.Context, d *delivery.Delivery) delivery.Outcome {
		return replies[min(d.Tries, len(replies)-1)](ctx, d)
	}
}

// A backlog that drains at the limit keeps a first attempt waiting for one of
// its attempts at the most.
func TestLimitOfConcurrencyAndABacklog(t *testing.T) {
	run(t, func(r *rig) {
		r.pop()
		for range 200 {
			r.submits(0)
		}
		r.upstream.replies(slowly(500*time.Millisecond, success))
		r.limit(4)
		for range 10 {
			before := r.now()
			got := r.submit(5*time.Second, r.inChat("other"))
			require.Equal(r, delivery.Delivered, got.Delivery.State)
			require.LessOrEqual(r, r.now()-before, time.Second)
			r.passes(70 * time.Millisecond)
		}
		require.Less(r, len(r.upstream.take()), 100, "there still is a backlog")
		require.Equal(r, 4, r.upstream.most)
	})
}

// So does one that drains at the limit of its rate.
func TestLimitOfRateAndABacklog(t *testing.T) {
	run(t, func(r *rig) {
		r.pop()
		for range 200 {
			r.submits(0)
		}
		r.rate("10/s")
		for range 10 {
			before := r.now()
			got := r.submit(5*time.Second, r.inChat("other"))
			require.Equal(r, delivery.Delivered, got.Delivery.State)
			require.LessOrEqual(r, r.now()-before, time.Second/9+within)
			r.passes(70 * time.Millisecond)
		}
		require.Less(r, len(r.upstream.take()), 100, "there still is a backlog")
	})
}
