package storetest

import (
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func (b *bench) drop(id uuid.UUID) *delivery.Delivery {
	b.Helper()
	dropped, err := b.store.Drop(b.Context(), id)
	require.NoError(b, err)
	return dropped
}

func (b *bench) erase(chat string) int {
	b.Helper()
	n, err := b.store.Erase(b.Context(), chat)
	require.NoError(b, err)
	return n
}

// inEachState puts deliveries of a chat, one in each state: one that can be
// claimed, one that is held back, one that is claimed, a delivered one, a dead
// letter, a revived one.
func (b *bench) inEachState(chat string) []*delivery.Delivery {
	b.Helper()
	free, held := b.inChat(zendesk, chat), b.inChat(zendesk, chat)
	taken, delivered := claimed(b.inChat(sales, chat)), claimed(b.inChat(slack, chat))
	b.put(free)
	b.put(held)
	b.put(taken)
	b.put(delivered)
	b.settle(delivered, delivery.Delivered)
	dead, revived := b.dead(b.inChat(slack, chat)), b.dead(b.inChat(slack, chat))
	b.save(b.revive(revived.ID))
	return []*delivery.Delivery{free, held, taken, delivered, dead, revived}
}

var drops = []test{
	{"removes, in every state", func(b *bench) {
		for i, d := range b.inEachState("chat") {
			b.drop(d.ID)
			b.gone(d)
			require.Empty(b, b.find(d.Key))
			require.NotContains(b, ids(b.walk(delivery.Query{Limit: 1000})), d.ID)
			_, err := b.store.Take(b.Context(), d.ID)
			require.ErrorIs(b, err, delivery.ErrNotFound)
			_, err = b.store.Revive(b.Context(), d.ID)
			require.ErrorIs(b, err, delivery.ErrNotFound)
			_, err = b.store.Drop(b.Context(), d.ID)
			require.ErrorIs(b, err, delivery.ErrNotFound, "delivery %d", i)
		}
		require.Zero(b, b.pending())
		for _, lane := range []delivery.Lane{zendesk, slack, sales} {
			got, next, err := b.store.Claim(b.Context(), lane, b.clock.now(), 10)
			require.NoError(b, err)
			require.Empty(b, got)
			require.Zero(b, next)
		}
	}},
	{"gives every field but the body, the customer and the transcript", func(b *bench) {
		d := b.full()
		b.put(d)
		d.Body, d.Customer, d.Transcript = nil, nil, nil
		b.same(d, b.drop(d.ID))
	}},
	{"leaves nothing for the claim's end to save", func(b *bench) {
		taken, revived := claimed(b.inChat(zendesk, "chat")), b.dead(b.new(zendesk))
		b.put(taken)
		b.revive(revived.ID)
		for _, d := range []*delivery.Delivery{taken, revived} {
			b.drop(d.ID)
			b.notFound(d)
			b.gone(d)
		}
	}},
	{"lets the next of the chat go", func(b *bench) {
		for _, ask := range []bool{false, true} {
			first, second, third := b.inChat(zendesk, "chat"), b.inChat(zendesk, "chat"), b.inChat(zendesk, "chat")
			first.Claimed = ask
			b.put(first)
			b.put(second)
			b.put(third)
			b.drop(first.ID)
			b.are(b.claim(zendesk), second)
			require.True(b, b.settle(second, delivery.Delivered))
			b.are(b.claim(zendesk), third)
			b.settle(third, delivery.Delivered)
		}
	}},
	{"takes one out of the middle of the chat", func(b *bench) {
		first, second, third := claimed(b.inChat(zendesk, "chat")), b.inChat(zendesk, "chat"), b.inChat(zendesk, "chat")
		b.put(first)
		b.put(second)
		b.put(third)
		b.drop(second.ID)
		require.Empty(b, b.claim(zendesk))
		require.True(b, b.settle(first, delivery.Delivered))
		b.are(b.claim(zendesk), third)
		require.False(b, b.settle(third, delivery.Delivered))
	}},
	{"of a revived one frees nothing of its chat", func(b *bench) {
		d := b.dead(b.inChat(zendesk, "chat"))
		first, second := claimed(b.inChat(zendesk, "chat")), b.inChat(zendesk, "chat")
		b.put(first)
		b.put(second)
		b.save(b.revive(d.ID))
		b.drop(d.ID)
		require.Empty(b, b.claim(zendesk))
		require.True(b, b.settle(first, delivery.Delivered))
		b.are(b.claim(zendesk), second)
	}},
	{"makes room in the chat", func(b *bench) {
		var all []*delivery.Delivery
		for range delivery.MaxPendingPerChat {
			d := b.inChat(zendesk, "chat")
			b.put(d)
			all = append(all, d)
		}
		for _, d := range []*delivery.Delivery{all[0], all[50], all[99]} {
			require.ErrorIs(b, b.store.Put(b.Context(), []*delivery.Delivery{b.inChat(zendesk, "chat")}), delivery.ErrChatFull)
			b.drop(d.ID)
			b.put(b.inChat(zendesk, "chat"))
		}
		b.are(b.claim(zendesk), all[1])
	}},
	{"tells what is due next", func(b *bench) {
		soon, later := b.due(b.new(zendesk), time.Minute), b.due(b.new(zendesk), 2*time.Minute)
		b.put(soon)
		b.put(later)
		b.drop(soon.ID)
		_, next, err := b.store.Claim(b.Context(), zendesk, b.clock.now(), 10)
		require.NoError(b, err)
		require.WithinDuration(b, later.DueAt, next, 0)
	}},
	{"frees the key, in every state", func(b *bench) {
		for _, d := range b.inEachState("chat") {
			b.refused(b.again(d))
			b.drop(d.ID)
			repeated := b.again(d)
			b.put(repeated)
			b.are(b.find(d.Key), repeated)
		}
	}},
	{"leaves the key to the other upstreams", func(b *bench) {
		one := b.new(zendesk)
		two := b.again(one)
		two.Lane = slack
		b.put(one, two)
		b.drop(one.ID)
		b.are(b.find(one.Key), two)
		b.refused(b.again(one))
		b.drop(two.ID)
		b.put(b.again(one))
	}},
	{"leaves a reused key", func(b *bench) {
		old := b.new(zendesk)
		b.put(old)
		b.clock.move(window)
		reused := b.again(old)
		b.put(reused)
		b.drop(old.ID)
		b.are(b.find(old.Key), reused)
		b.refused(b.again(old))
	}},
	{"needs the delivery", func(b *bench) {
		b.put(b.new(zendesk))
		_, err := b.store.Drop(b.Context(), b.new(zendesk).ID)
		require.ErrorIs(b, err, delivery.ErrNotFound)
		require.Equal(b, 1, b.pending())
	}},
}

var erasures = []test{
	{"drop a chat in every lane and state", func(b *bench) {
		erased := b.inEachState("chat")
		left := append(b.inEachState("other"), b.new(zendesk))
		b.put(left[len(left)-1])
		require.Equal(b, len(erased), b.erase("chat"))
		for _, d := range erased {
			b.gone(d)
			require.Empty(b, b.find(d.Key))
			b.put(b.again(d))
			b.drop(b.find(d.Key)[0].ID)
		}
		b.notFound(erased[2])
		b.lists(delivery.Query{}, newestFirst(left...)...)
		b.are(b.claim(zendesk), left[0], left[6])
	}},
	{"count what they drop", func(b *bench) {
		require.Zero(b, b.erase("chat"))
		b.put(b.inChat(zendesk, "chat"))
		require.Zero(b, b.erase("cha"))
		require.Equal(b, 1, b.erase("chat"))
		require.Zero(b, b.erase("chat"))
	}},
	{"drop long chats", func(b *bench) {
		for i := range 300 {
			d := claimed(b.inChat([]delivery.Lane{zendesk, slack, sales}[i%3], "chat"))
			b.put(d)
			if i < 250 {
				b.settle(d, delivery.Delivered)
			}
		}
		require.Equal(b, 300, b.erase("chat"))
		b.lists(delivery.Query{})
		d := claimed(b.inChat(zendesk, "chat"))
		b.put(d)
		require.True(b, d.Claimed)
	}},
	{"spare what is of no chat", func(b *bench) {
		d := b.new(zendesk)
		b.put(d)
		require.Zero(b, b.erase(""))
		b.are(b.claim(zendesk), d)
	}},
	{"tell chats apart", func(b *bench) {
		for _, chat := range oddChats {
			b.put(b.inChat(zendesk, chat))
		}
		for i, chat := range oddChats {
			require.Equal(b, 1, b.erase(chat), "%.20q", chat)
			require.Equal(b, len(oddChats)-1-i, b.pending())
		}
	}},
}
