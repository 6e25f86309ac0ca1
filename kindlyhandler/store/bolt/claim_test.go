package bolt_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
)

// What a Save could not write in its time is pending after the next start.
func TestSaveThatIsNotWaitedFor(t *testing.T) {
	path := filepath.Join(fastDir(t), "deliveries.db")
	store, err := bolt.Open(bolt.Options{Path: path})
	require.NoError(t, err)
	lane := delivery.Lane{Webhook: "support", Upstream: "zendesk"}
	d := &delivery.Delivery{ID: uuid.Must(uuid.NewV7()), Lane: lane, ReceivedAt: time.Now(), DueAt: time.Now(), Claimed: true}
	require.NoError(t, store.Put(t.Context(), []*delivery.Delivery{d}))
	d.State = delivery.Dead
	store.Frozen(t.Context(), func() {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := store.Save(ctx, d)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	due, _, err := store.Claim(t.Context(), lane, time.Now(), 10)
	require.NoError(t, err)
	require.Empty(t, due, "it is claimed still")
	require.NoError(t, store.Close())

	store, err = bolt.Open(bolt.Options{Path: path})
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	due, _, err = store.Claim(t.Context(), lane, time.Now(), 10)
	require.NoError(t, err)
	require.Len(t, due, 1)
	require.Equal(t, d.ID, due[0].ID)
}
