package storetest

import (
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func (b *bench) dead(d *delivery.Delivery) *delivery.Delivery {
	b.Helper()
	b.put(claimed(d))
	require.True(b, d.Claimed)
	b.settle(d, delivery.Dead)
	return d
}

var revivals = []test{
	{"keeps all but the state, the answer and the time", func(b *bench) {
		d := b.dead(b.full())
		b.clock.move(time.Minute)
		want := claimed(d)
		want.State, want.Answer, want.Elapsed, want.DueAt = delivery.Pending, nil, 0, b.clock.now()
		b.same(want, b.revive(d.ID))
		b.same(want, b.find(d.Key)[0])
	}},
	{"claims", func(b *bench) {
		d := b.dead(b.new(zendesk))
		d = b.revive(d.ID)
		require.Empty(b, b.claim(zendesk))
		require.False(b, b.save(d))
		b.are(b.claim(zendesk), d)
	}},
	{"needs a dead letter", func(b *bench) {
		pending, held, taken, delivered := b.inChat(zendesk, "chat"), b.inChat(zendesk, "chat"), claimed(b.new(slack)), claimed(b.new(slack))
		b.put(pending)
		b.put(held)
		b.put(taken)
		b.put(delivered)
		b.settle(delivered, delivery.Delivered)
		unknown := b.new(slack)
		unknown.ID = uuid.New()
		for _, d := range []*delivery.Delivery{pending, held, taken, delivered, unknown} {
			_, err := b.store.Revive(b.Context(), d.ID)
			require.ErrorIs(b, err, delivery.ErrNotFound)
		}
	}},
	{"goes once", func(b *bench) {
		d := b.dead(b.new(zendesk))
		b.revive(d.ID)
		_, err := b.store.Revive(b.Context(), d.ID)
		require.ErrorIs(b, err, delivery.ErrNotFound)
		b.settle(d, delivery.Dead)
		b.revive(d.ID)
		b.settle(d, delivery.Delivered)
		require.Zero(b, b.pending())
	}},
	{"is not held back", func(b *bench) {
		d := b.dead(b.inChat(zendesk, "chat"))
		later, latest := claimed(b.inChat(zendesk, "chat")), b.inChat(zendesk, "chat")
		b.put(later)
		b.put(latest)
		d = b.revive(d.ID)
		b.save(d)
		b.are(b.claim(zendesk), d)
		require.False(b, b.settle(d, delivery.Delivered), "it held back none")
		require.Empty(b, b.claim(zendesk), "later is claimed still")
		require.True(b, b.settle(later, delivery.Delivered))
		b.are(b.claim(zendesk), latest)
	}},
	{"holds back none", func(b *bench) {
		d := b.dead(b.inChat(zendesk, "chat"))
		b.revive(d.ID)
		later := claimed(b.inChat(zendesk, "chat"))
		b.put(later)
		require.True(b, later.Claimed)
		b.save(later)
		b.are(b.claim(zendesk), later)
		require.False(b, b.settle(later, delivery.Delivered))
		require.False(b, b.settle(d, delivery.Dead))
	}},
	{"does not unblock what it was before", func(b *bench) {
		d := b.dead(b.inChat(zendesk, "chat"))
		first, second := claimed(b.inChat(zendesk, "chat")), b.inChat(zendesk, "chat")
		b.put(first)
		b.put(second)
		for _, state := range []delivery.State{delivery.Dead, delivery.Delivered} {
			b.revive(d.ID)
			require.False(b, b.settle(d, state))
			require.Empty(b, b.claim(zendesk))
		}
	}},
	{"keeps the key", func(b *bench) {
		d := b.dead(b.new(zendesk))
		b.revive(d.ID)
		b.refused(b.again(d))
		b.settle(d, delivery.Delivered)
		b.refused(b.again(d))
	}},
}
