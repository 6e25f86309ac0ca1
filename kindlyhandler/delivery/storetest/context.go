package storetest

import (
	"context"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

var contexts = []test{
	{"ended before a put", func(b *bench) {
		one, two := claimed(b.inChat(zendesk, "chat")), b.new(slack)
		two.Key = one.Key
		require.ErrorIs(b, b.store.Put(ended(), []*delivery.Delivery{one, two}), context.Canceled)
		require.Empty(b, b.find(one.Key))
		require.Zero(b, b.pending())

		one.Claimed = true
		b.put(one, two)
		require.True(b, one.Claimed)
	}},
	{"ended before a claim", func(b *bench) {
		d := b.new(zendesk)
		b.put(d)
		_, _, err := b.store.Claim(ended(), zendesk, b.clock.now(), 10)
		require.ErrorIs(b, err, context.Canceled)
		b.are(b.claim(zendesk), d)
	}},
	{"ended before a save", func(b *bench) {
		d := claimed(b.new(zendesk))
		b.put(d)
		_, err := b.store.Save(ended(), d)
		require.ErrorIs(b, err, context.Canceled)
		require.Empty(b, b.claim(zendesk), "it is claimed still")
		b.save(d)
	}},
	{"ended before a revival", func(b *bench) {
		d := b.dead(b.new(zendesk))
		_, err := b.store.Revive(ended(), d.ID)
		require.ErrorIs(b, err, context.Canceled)
		b.revive(d.ID)
	}},
	{"ended before a take", func(b *bench) {
		d := b.new(zendesk)
		b.put(d)
		_, err := b.store.Take(ended(), d.ID)
		require.ErrorIs(b, err, context.Canceled)
		b.take(d.ID)
	}},
	{"ended before a drop", func(b *bench) {
		d := b.inChat(zendesk, "chat")
		b.put(d)
		_, err := b.store.Drop(ended(), d.ID)
		require.ErrorIs(b, err, context.Canceled)
		_, err = b.store.Erase(ended(), "chat")
		require.ErrorIs(b, err, context.Canceled)
		b.are(b.claim(zendesk), d)
	}},
	{"ended before a question", func(b *bench) {
		_, err := b.store.Find(ended(), newKey())
		require.ErrorIs(b, err, context.Canceled)
		_, err = b.store.Get(ended(), b.new(zendesk).ID)
		require.ErrorIs(b, err, context.Canceled)
		_, err = b.store.List(ended(), delivery.Query{Limit: 1})
		require.ErrorIs(b, err, context.Canceled)
		_, err = b.store.Count(ended())
		require.ErrorIs(b, err, context.Canceled)
	}},
}
