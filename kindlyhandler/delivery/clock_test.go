package delivery_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

func TestClockThatIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		target := &upstream{reply: inTurn(after(time.Hour, unavailable), success)}
		q := delivery.NewDispatcher(memory.New(memory.Options{Now: now}), delivery.WithNow(now))
		q.Push(map[delivery.Lane]delivery.Definition{lane: definition(target)})
		d := &delivery.Delivery{ID: [16]byte{1}, Lane: lane}
		receipt, err := q.Submit(t.Context(), []*delivery.Delivery{d}, 5*time.Second)
		require.NoError(t, err)
		require.Equal(t, delivery.Pending, receipt.Delivery.State)

		ahead.Store(int64(2 * time.Hour))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, target.take(), 2, "it is noticed soon")
		require.NoError(t, q.Close())
	})
}
