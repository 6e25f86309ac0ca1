package storetest

import (
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func (b *bench) get(id uuid.UUID) *delivery.Delivery {
	b.Helper()
	got, err := b.store.Get(b.Context(), id)
	require.NoError(b, err)
	return got
}

// gone requires there to be no delivery with the id of d.
func (b *bench) gone(d *delivery.Delivery) {
	b.Helper()
	_, err := b.store.Get(b.Context(), d.ID)
	require.ErrorIs(b, err, delivery.ErrNotFound)
}

var gets = []test{
	{"gives every field", func(b *bench) {
		for _, state := range []delivery.State{delivery.Pending, delivery.Delivered, delivery.Dead} {
			d := claimed(b.full())
			d.ChatID = state.String()
			b.put(d)
			b.same(d, b.get(d.ID))
			b.settle(d, state)
			d.Claimed, d.State = false, state
			b.same(d, b.get(d.ID))
		}
	}},
	{"claims nothing", func(b *bench) {
		d := b.new(zendesk)
		b.put(d)
		require.False(b, b.get(d.ID).Claimed)
		b.are(b.claim(zendesk), d)
		require.True(b, b.get(d.ID).Claimed)
	}},
	{"needs no key", func(b *bench) {
		d := b.new(zendesk)
		d.Key = delivery.Key{}
		b.put(d)
		b.same(d, b.get(d.ID))
		b.clock.move(window)
		b.same(d, b.get(d.ID))
	}},
	{"shares nothing with the caller", func(b *bench) {
		d := b.full()
		b.put(d)
		got := b.get(d.ID)
		got.State, got.Event, got.Body, got.Attempts = delivery.Dead, "scribble", nil, nil
		b.same(d, b.get(d.ID))
	}},
	{"needs the delivery", func(b *bench) {
		b.gone(b.new(zendesk))
		b.put(b.new(zendesk))
		b.gone(b.new(zendesk))
		b.gone(&delivery.Delivery{})
	}},
}
