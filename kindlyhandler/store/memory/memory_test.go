package memory_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

var lane = delivery.Lane{Webhook: "support", Upstream: "zendesk"}

// bench is a store with a clock that stands still unless it is moved.
type bench struct {
	*testing.T
	*memory.Store
	time time.Time
	keys byte
}

func newBench(t *testing.T, options memory.Options) *bench {
	b := &bench{T: t, time: time.Date(2026, 11, 22, 14, 28, 0, 0, time.UTC)}
	options.Now = func() time.Time { return b.time }
	b.Store = memory.New(options)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// new returns a delivery with a key that lasts for ten minutes.
func (b *bench) new(bytes int) *delivery.Delivery {
	b.keys++
	return &delivery.Delivery{
		ID:         uuid.New(),
		Lane:       lane,
		Key:        delivery.Key{b.keys},
		KeyExpires: b.time.Add(10 * time.Minute),
		Body:       make([]byte, bytes),
		Claimed:    true,
		DueAt:      b.time,
	}
}

func (b *bench) put(bytes int) *delivery.Delivery {
	b.Helper()
	d := b.new(bytes)
	require.NoError(b, b.Put(b.Context(), []*delivery.Delivery{d}))
	return d
}

// full requires the store to have no room for more deliveries of a size.
func (b *bench) full(bytes ...int) {
	b.Helper()
	var deliveries []*delivery.Delivery
	for _, n := range bytes {
		deliveries = append(deliveries, b.new(n))
	}
	before, err := b.Count(b.Context())
	require.NoError(b, err)
	require.ErrorIs(b, b.Put(b.Context(), deliveries), delivery.ErrFull)
	after, err := b.Count(b.Context())
	require.NoError(b, err)
	require.Equal(b, before, after)
	for _, d := range deliveries {
		found, err := b.Find(b.Context(), d.Key)
		require.NoError(b, err)
		require.Empty(b, found)
	}
}

func (b *bench) settle(d *delivery.Delivery, state delivery.State) {
	b.Helper()
	d.State = state
	if state == delivery.Delivered {
		d.Body, d.Transcript = nil, nil
	}
	_, err := b.Save(b.Context(), d)
	require.NoError(b, err)
}

// dead puts a dead letter.
func (b *bench) dead(bytes int) *delivery.Delivery {
	b.Helper()
	d := b.put(bytes)
	b.settle(d, delivery.Dead)
	return d
}

// kept tells whether a dead letter can be revived, and leaves it dead.
func (b *bench) kept(d *delivery.Delivery) bool {
	b.Helper()
	revived, err := b.Revive(b.Context(), d.ID)
	if err != nil {
		require.ErrorIs(b, err, delivery.ErrNotFound)
		return false
	}
	b.settle(revived, delivery.Dead)
	return true
}

// tidy makes the store forget what it may.
func (b *bench) tidy() {
	b.Helper()
	_, _, err := b.Claim(b.Context(), lane, b.time, 1)
	require.NoError(b, err)
}
