package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

var chats = []test{
	{"goes in the order of the put", func(b *bench) {
		all := make([]*delivery.Delivery, 0, 5)
		for i := range cap(all) {
			d := b.inChat(zendesk, "chat")
			b.due(d, -time.Duration(i)*time.Second) // the younger, the longer due
			b.put(d)
			all = append(all, d)
		}
		for i, d := range all {
			b.are(b.claim(zendesk), d)
			require.Empty(b, b.claim(zendesk))
			require.Equal(b, i < len(all)-1, b.settle(d, delivery.Delivered), "delivery %d", i)
		}
	}},
	{"is held back by what is not due", func(b *bench) {
		first, second := b.inChat(zendesk, "chat"), b.inChat(zendesk, "chat")
		b.due(first, time.Minute)
		b.put(first)
		b.put(second)
		require.Empty(b, b.claim(zendesk))
		b.clock.move(time.Minute)
		b.are(b.claim(zendesk), first)
	}},
	{"grants no claim of what is held back", func(b *bench) {
		first, second, third := claimed(b.inChat(zendesk, "chat")), claimed(b.inChat(zendesk, "chat")), claimed(b.inChat(zendesk, "chat"))
		b.put(first)
		b.put(second)
		require.True(b, first.Claimed)
		require.False(b, second.Claimed)
		require.False(b, b.find(second.Key)[0].Claimed)
		require.False(b, b.save(first), "it is pending still")
		b.put(third)
		require.False(b, third.Claimed)
		b.are(b.claim(zendesk), first)
		require.True(b, b.settle(first, delivery.Delivered))
		b.are(b.claim(zendesk), second)
	}},
	{"waits for a retry", func(b *bench) {
		first, second := claimed(b.inChat(zendesk, "chat")), b.inChat(zendesk, "chat")
		b.put(first)
		b.put(second)
		b.due(first, time.Minute)
		require.False(b, b.save(first))
		require.Empty(b, b.claim(zendesk))
		b.clock.move(time.Minute)
		b.are(b.claim(zendesk), first)
	}},
	{"goes on after a dead letter", func(b *bench) {
		first, second := claimed(b.inChat(zendesk, "chat")), b.inChat(zendesk, "chat")
		b.put(first)
		b.put(second)
		require.True(b, b.settle(first, delivery.Dead))
		b.are(b.claim(zendesk), second)
		require.False(b, b.settle(second, delivery.Delivered), "nothing is behind it")

		third := claimed(b.inChat(zendesk, "chat"))
		b.put(third)
		require.True(b, third.Claimed)
	}},
	{"is unblocked when the next is not due", func(b *bench) {
		first, second := claimed(b.inChat(zendesk, "chat")), b.inChat(zendesk, "chat")
		b.put(first)
		b.put(b.due(second, time.Minute))
		require.True(b, b.settle(first, delivery.Delivered))
		_, next, err := b.store.Claim(b.Context(), zendesk, b.clock.now(), 10)
		require.NoError(b, err)
		require.WithinDuration(b, second.DueAt, next, 0)
	}},
	{"holds back no other chat or lane", func(b *bench) {
		first := claimed(b.inChat(zendesk, "chat"))
		held := b.inChat(zendesk, "chat")
		b.put(first)
		b.put(held)
		elsewhere, other, none := b.inChat(slack, "chat"), b.inChat(zendesk, "other"), b.new(zendesk)
		b.put(elsewhere)
		b.put(other)
		b.put(none)
		b.are(b.claim(slack), elsewhere)
		b.are(b.claim(zendesk), other, none)
	}},
	{"orders each lane by itself", func(b *bench) {
		one := claimed(b.inChat(zendesk, "chat"))
		two := claimed(b.inChat(slack, "chat"))
		two.Key = one.Key
		b.put(one, two)
		require.True(b, one.Claimed)
		require.True(b, two.Claimed)
		later := claimed(b.inChat(zendesk, "chat"))
		b.settle(two, delivery.Delivered)
		laterToo := claimed(b.inChat(slack, "chat"))
		laterToo.Key = later.Key
		b.put(later, laterToo)
		require.False(b, later.Claimed)
		require.True(b, laterToo.Claimed)
	}},
	{"is no order without one", func(b *bench) {
		one, two := claimed(b.new(zendesk)), claimed(b.new(zendesk))
		b.put(one)
		b.put(two)
		require.True(b, two.Claimed)
		require.False(b, b.settle(one, delivery.Delivered))
	}},
}
