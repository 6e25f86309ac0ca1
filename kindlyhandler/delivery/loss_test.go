package delivery_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// Whatever does not become a ticket of its own is counted by its reason.
func TestLosses(t *testing.T) {
	type told struct {
		lane delivery.Lane
		why  delivery.Loss
	}
	tell := make(map[told]int)
	losses := delivery.NewLosses(func(lane delivery.Lane, why delivery.Loss, n int) { tell[told{lane, why}] += n })
	run(t, func(r *rig) {
		r.restart(definition(r.upstream), delivery.WithLosses(losses))
		first := r.submits(time.Second)
		r.submit(time.Second, r.again(first))
		r.submit(time.Second, r.again(first))
		require.Equal(t, map[delivery.Loss]int{delivery.LossDuplicate: 2}, losses.Of(lane))

		r.upstream.replies(always(badRequest))
		dead := r.submits(time.Second)
		r.is(delivery.Dead, dead)
		r.upstream.replies(always(unavailable))
		pending := r.inChat("chat")
		r.submit(time.Second, pending)
		for _, d := range []*delivery.Delivery{dead, first} {
			_, err := r.q.Drop(t.Context(), d.ID)
			require.NoError(t, err)
		}
		_, err := r.q.Erase(t.Context(), "chat")
		require.NoError(t, err)
		require.Equal(t, map[delivery.Loss]int{
			delivery.LossDuplicate: 2, delivery.LossDead: 1, delivery.LossDropped: 1, delivery.LossErased: 1,
		}, losses.Of(lane), "what was delivered is no loss")
	})
	require.Equal(t, 2, tell[told{lane, delivery.LossDuplicate}])
	require.Equal(t, 1, tell[told{lane, delivery.LossErased}])
}
