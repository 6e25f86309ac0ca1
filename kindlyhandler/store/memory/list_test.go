package memory_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

// A call looks through a bounded number of deliveries, and says where to go on.
func TestListIsBounded(t *testing.T) {
	b := newBench(t, memory.Options{})
	want := b.dead(1)
	for range 25_000 {
		d := b.new(0)
		d.ID = uuid.Must(uuid.NewV7())
		d.Key = delivery.Key{}
		require.NoError(t, b.Put(t.Context(), []*delivery.Delivery{d}))
	}
	first := b.new(0)
	first.ID = uuid.UUID{15: 1}
	require.NoError(t, b.Put(t.Context(), []*delivery.Delivery{first}))

	var found []uuid.UUID
	pages := 0
	query := delivery.Query{States: []delivery.State{delivery.Dead}, Limit: 10}
	for {
		page, err := b.List(t.Context(), query)
		require.NoError(t, err)
		pages++
		for _, d := range page.Deliveries {
			found = append(found, d.ID)
		}
		if query.Before = page.Before; query.Before == uuid.Nil {
			break
		}
	}
	require.Equal(t, []uuid.UUID{want.ID}, found)
	require.Equal(t, 3, pages)
}

// What is forgotten is not listed, got or counted.
func TestListForgets(t *testing.T) {
	b := newBench(t, memory.Options{})
	put := func() *delivery.Delivery {
		d := b.new(0)
		d.ID, d.Key = uuid.Must(uuid.NewV7()), delivery.Key{}
		require.NoError(t, b.Put(t.Context(), []*delivery.Delivery{d}))
		return d
	}
	var pending []uuid.UUID // the newest first
	for range 5 {
		pending = append([]uuid.UUID{put().ID}, pending...)
		var last *delivery.Delivery
		for range 1500 {
			last = put()
			b.settle(last, delivery.Delivered)
		}
		counts, err := b.Count(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1500, counts[lane].Delivered)

		b.time = b.time.Add(time.Hour)
		_, err = b.Get(t.Context(), last.ID)
		require.ErrorIs(t, err, delivery.ErrNotFound)
		page, err := b.List(t.Context(), delivery.Query{Limit: 10_000})
		require.NoError(t, err)
		var listed []uuid.UUID
		for _, d := range page.Deliveries {
			listed = append(listed, d.ID)
		}
		require.Equal(t, pending, listed)
		counts, err = b.Count(t.Context())
		require.NoError(t, err)
		require.Equal(t, len(pending), counts[lane].Pending)
		require.Zero(t, counts[lane].Delivered)
	}
}
