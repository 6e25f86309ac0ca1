package storetest

import (
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// oddChats are ids of different chats.
var oddChats = []string{"a", "A", "a ", "ä", "a\u0308", "a\x00", "\x00a", "a\xff", "a\xfe", "a/b", "a'b", "☎", strings.Repeat("a", 10_000)}

var puts = []test{
	{"keeps every field", func(b *bench) {
		d := b.full()
		b.put(d)
		b.are(b.find(d.Key), d)
		b.same(d, b.find(d.Key)[0])
	}},
	{"keeps a large body", func(b *bench) {
		d := b.new(zendesk)
		d.Body = make([]byte, 4<<20)
		for i := range d.Body {
			d.Body[i] = byte(i * i >> 8)
		}
		b.put(d)
		b.same(d, b.find(d.Key)[0])
	}},
	{"keeps no memo", func(b *bench) {
		d := claimed(b.new(zendesk))
		d.Memo = "remember"
		b.put(d)
		require.Equal(b, "remember", d.Memo, "of the caller")
		require.Nil(b, b.find(d.Key)[0].Memo)
		b.save(d)
		require.Equal(b, "remember", d.Memo, "of the caller")
		require.Nil(b, b.find(d.Key)[0].Memo)
	}},
	{"grants claims", func(b *bench) {
		asks, asksNot := claimed(b.new(zendesk)), b.new(slack)
		b.put(asks, asksNot)
		require.True(b, asks.Claimed)
		require.False(b, asksNot.Claimed)
		require.Empty(b, b.claim(zendesk))
		b.are(b.claim(slack), asksNot)
	}},
	{"grants the claim of what is not due", func(b *bench) {
		d := claimed(b.new(zendesk))
		d.DueAt = b.clock.now().Add(time.Minute)
		b.put(d)
		require.True(b, d.Claimed)
		b.clock.move(time.Hour / 2)
		require.Empty(b, b.claim(zendesk))
	}},
	{"finds in the order of the put", func(b *bench) {
		one, two, three := b.new(slack), b.new(sales), b.new(zendesk)
		two.Key, three.Key = one.Key, one.Key
		b.put(three, one, two)
		b.are(b.find(one.Key), three, one, two)
	}},
	{"counts what is pending", func(b *bench) {
		require.Zero(b, b.pending())
		one, two := claimed(b.new(zendesk)), claimed(b.new(slack))
		b.put(one, two)
		b.put(b.inChat(zendesk, "chat"))
		b.put(b.inChat(zendesk, "chat"))
		require.Equal(b, 4, b.pending())
		b.settle(one, delivery.Delivered)
		b.settle(two, delivery.Dead)
		require.Equal(b, 2, b.pending())
		b.revive(two.ID)
		require.Equal(b, 3, b.pending())
	}},
	{"bounds what is pending of a chat in a lane", func(b *bench) {
		first := claimed(b.inChat(zendesk, "chat"))
		b.put(first)
		for range delivery.MaxPendingPerChat - 1 {
			b.put(b.inChat(zendesk, "chat"))
		}
		require.ErrorIs(b, b.store.Put(b.Context(), []*delivery.Delivery{b.inChat(zendesk, "chat")}), delivery.ErrFull)

		b.put(b.inChat(zendesk, "another chat"))
		b.put(b.inChat(slack, "chat"))
		b.put(b.inChat(sales, "chat"))

		b.settle(first, delivery.Dead)
		b.put(b.inChat(zendesk, "chat"))
		require.ErrorIs(b, b.store.Put(b.Context(), []*delivery.Delivery{b.inChat(zendesk, "chat")}), delivery.ErrFull)
	}},
	{"does not bound what is of no chat", func(b *bench) {
		for range delivery.MaxPendingPerChat + 5 {
			b.put(b.new(zendesk))
		}
		require.Len(b, b.claim(zendesk), delivery.MaxPendingPerChat+5)
	}},
	{"stores all or none at the limit of a chat", func(b *bench) {
		for range delivery.MaxPendingPerChat {
			b.put(b.inChat(slack, "chat"))
		}
		for _, order := range [][2]delivery.Lane{{zendesk, slack}, {slack, zendesk}} {
			one, two := claimed(b.inChat(order[0], "chat")), b.inChat(order[1], "chat")
			two.Key = one.Key
			require.ErrorIs(b, b.store.Put(b.Context(), []*delivery.Delivery{one, two}), delivery.ErrFull)
			require.Empty(b, b.find(one.Key), "the key is free")
			require.Equal(b, delivery.MaxPendingPerChat, b.pending())
		}
		other := claimed(b.inChat(zendesk, "chat"))
		b.put(other)
		require.True(b, other.Claimed, "nothing of the chat is in this lane")
	}},
	{"tells chats apart", func(b *bench) {
		for _, chat := range oddChats {
			d := claimed(b.inChat(zendesk, chat))
			b.put(d)
			require.True(b, d.Claimed, "%.20q", chat)
			require.Equal(b, chat, b.find(d.Key)[0].ChatID)
		}
	}},
	{"tells lanes apart", func(b *bench) {
		for _, lane := range []delivery.Lane{
			{Webhook: "a", Upstream: "b"},
			{Webhook: "b", Upstream: "a"},
			{Webhook: "A", Upstream: "b"},
			{Webhook: "a.b", Upstream: "c"},
			{Webhook: "a", Upstream: "b.c"},
			{Webhook: "ab", Upstream: "c"},
		} {
			d := claimed(b.inChat(lane, "chat"))
			b.put(d)
			require.True(b, d.Claimed, "%v", lane)
			b.save(d)
			b.are(b.claim(lane), d)
		}
	}},
}
