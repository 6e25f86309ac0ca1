package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// again returns another delivery with the key of d.
func (b *bench) again(d *delivery.Delivery) *delivery.Delivery {
	b.Helper()
	repeated := b.new(d.Lane)
	repeated.Key = d.Key
	return repeated
}

func (b *bench) refused(deliveries ...*delivery.Delivery) {
	b.Helper()
	before := b.pending()
	require.ErrorIs(b, b.store.Put(b.Context(), deliveries), delivery.ErrDuplicate)
	require.Equal(b, before, b.pending(), "nothing was stored")
}

var duplicates = []test{
	{"are refused", func(b *bench) {
		d := b.new(zendesk)
		b.put(d)
		b.refused(b.again(d))
		b.are(b.find(d.Key), d)
	}},
	{"are refused in another lane", func(b *bench) {
		d := b.new(zendesk)
		b.put(d)
		other := b.again(d)
		other.Lane = slack
		b.refused(other)
	}},
	{"are refused in every state", func(b *bench) {
		for _, state := range []delivery.State{delivery.Pending, delivery.Delivered, delivery.Dead} {
			d := claimed(b.new(zendesk))
			b.put(d)
			b.settle(d, state)
			b.refused(b.again(d))
			b.are(b.find(d.Key), d)
			require.Equal(b, state, b.find(d.Key)[0].State)
		}
	}},
	{"are refused until the key expires", func(b *bench) {
		d := b.new(zendesk)
		b.put(d)
		b.clock.move(window - time.Millisecond)
		b.refused(b.again(d))
		b.are(b.find(d.Key), d)
		b.clock.move(time.Millisecond)
		require.Empty(b, b.find(d.Key))
		repeated := b.again(d)
		b.put(repeated)
		b.are(b.find(d.Key), repeated)
		require.Equal(b, 2, b.pending())
	}},
	{"are told from the reuse of a key", func(b *bench) {
		old := claimed(b.new(zendesk))
		b.put(old)
		b.clock.move(window)
		reused := claimed(b.again(old))
		b.put(reused)
		b.refused(b.again(old))

		b.settle(old, delivery.Dead)
		b.are(b.find(old.Key), reused)
		b.revive(old.ID)
		b.are(b.find(old.Key), reused)
		b.settle(old, delivery.Delivered)
		b.are(b.find(old.Key), reused)
		b.settle(reused, delivery.Delivered)
		b.are(b.find(old.Key), reused)

		b.clock.move(window)
		require.Empty(b, b.find(old.Key))
		third := b.again(old)
		b.put(third)
		b.are(b.find(old.Key), third)
	}},
	{"are refused with other upstreams", func(b *bench) {
		one := b.new(zendesk)
		two := b.again(one)
		two.Lane = slack
		b.put(one, two)
		b.refused(b.again(one), b.again(two))
		b.are(b.find(one.Key), one, two)
	}},
	{"are told by the whole key", func(b *bench) {
		d := b.new(zendesk)
		b.put(d)
		for i := range d.Key {
			other := b.again(d)
			other.Key[i] ^= 1
			b.put(other)
			b.are(b.find(other.Key), other)
		}
	}},
	{"need a key", func(b *bench) {
		for range 3 {
			d := b.new(zendesk)
			d.Key = delivery.Key{}
			b.put(d)
		}
		require.Empty(b, b.find(delivery.Key{}))
		require.Len(b, b.claim(zendesk), 3)
	}},
	{"need a window", func(b *bench) {
		d := b.new(zendesk)
		d.KeyExpires = time.Time{}
		b.put(d)
		require.Empty(b, b.find(d.Key))
		b.put(b.again(d))
	}},
	{"unknown keys find nothing", func(b *bench) {
		b.put(b.new(zendesk))
		require.Empty(b, b.find(newKey()))
	}},
}
