package storetest

import (
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func (b *bench) take(id uuid.UUID) *delivery.Delivery {
	b.Helper()
	taken, err := b.store.Take(b.Context(), id)
	require.NoError(b, err)
	return taken
}

func (b *bench) busy(d *delivery.Delivery) {
	b.Helper()
	_, err := b.store.Take(b.Context(), d.ID)
	require.ErrorIs(b, err, delivery.ErrBusy)
}

var takes = []test{
	{"claims, and changes nothing else", func(b *bench) {
		d := b.due(b.full(), time.Minute)
		b.put(d)
		want := claimed(d)
		b.same(want, b.take(d.ID))
		b.same(want, b.find(d.Key)[0])
		b.clock.move(time.Hour / 2)
		require.Empty(b, b.claim(zendesk))
		b.save(d)
		b.are(b.claim(zendesk), d)
	}},
	{"gives what is due, and what is not", func(b *bench) {
		for _, in := range []time.Duration{-time.Minute, 0, time.Minute} {
			d := b.due(b.new(zendesk), in)
			b.put(d)
			b.take(d.ID)
			b.settle(d, delivery.Delivered)
		}
		require.Zero(b, b.pending())
	}},
	{"leaves the rest of the lane", func(b *bench) {
		one, two, three := b.new(zendesk), b.new(zendesk), b.due(b.new(zendesk), time.Minute)
		b.put(one)
		b.put(two)
		b.put(three)
		b.take(two.ID)
		got, next, err := b.store.Claim(b.Context(), zendesk, b.clock.now(), 10)
		require.NoError(b, err)
		b.are(got, one)
		require.WithinDuration(b, three.DueAt, next, 0)
		b.take(three.ID)
		_, next, err = b.store.Claim(b.Context(), zendesk, b.clock.now(), 10)
		require.NoError(b, err)
		require.Zero(b, next)
	}},
	{"is refused while another has the claim", func(b *bench) {
		put, got, taken := claimed(b.new(zendesk)), b.new(zendesk), b.due(b.new(zendesk), time.Minute)
		b.put(put)
		b.put(got)
		b.put(taken)
		b.are(b.claim(zendesk), got)
		b.take(taken.ID)
		revived := b.dead(b.new(zendesk))
		b.revive(revived.ID)
		for _, d := range []*delivery.Delivery{put, got, taken, revived} {
			b.busy(d)
			b.save(d)
			b.take(d.ID)
		}
	}},
	{"is refused while an older one of the chat is pending", func(b *bench) {
		first, second, third := b.inChat(zendesk, "chat"), b.inChat(zendesk, "chat"), b.inChat(zendesk, "chat")
		b.put(b.due(first, time.Minute))
		b.put(second)
		b.put(third)
		b.busy(second)
		b.take(first.ID)
		b.busy(second)
		require.True(b, b.settle(first, delivery.Dead))
		b.busy(third)
		b.take(second.ID)
	}},
	{"of a revived one asks nothing of its chat", func(b *bench) {
		d := b.dead(b.inChat(zendesk, "chat"))
		b.put(b.inChat(zendesk, "chat"))
		b.save(b.revive(d.ID))
		b.take(d.ID)
		require.False(b, b.settle(d, delivery.Delivered))
	}},
	{"needs a pending delivery", func(b *bench) {
		dead, delivered, unknown := b.dead(b.new(zendesk)), claimed(b.new(zendesk)), b.new(zendesk)
		b.put(delivered)
		b.settle(delivered, delivery.Delivered)
		for _, d := range []*delivery.Delivery{dead, delivered, unknown} {
			_, err := b.store.Take(b.Context(), d.ID)
			require.ErrorIs(b, err, delivery.ErrNotFound)
		}
	}},
}
