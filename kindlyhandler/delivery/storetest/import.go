package storetest

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// imports imports deliveries, of which n must be new.
func (b *bench) imports(n int, deliveries ...*delivery.Delivery) {
	b.Helper()
	imported, err := b.store.Import(b.Context(), deliveries)
	require.NoError(b, err)
	require.Equal(b, n, imported)
}

// settled returns a delivery that has been settled elsewhere.
func (b *bench) settled(d *delivery.Delivery, state delivery.State) *delivery.Delivery {
	d.State, d.Tries = state, 1
	d.Attempts = []delivery.Attempt{{At: b.clock.now().Add(-time.Second), Duration: time.Second, Stage: delivery.StageUpstream}}
	d.Answer = []byte(state.String())
	if state == delivery.Delivered {
		d.Body = nil
	}
	return d
}

// states are all there are.
var states = []delivery.State{delivery.Pending, delivery.Delivered, delivery.Dead}

var imports = []test{
	{"keeps every field in every state", func(b *bench) {
		for _, state := range states {
			d := b.full()
			d.State = state
			b.imports(1, d)
			got, err := b.store.Get(b.Context(), d.ID)
			require.NoError(b, err)
			b.same(d, got)
			b.same(d, b.find(d.Key)[0])
		}
		c := b.count()[zendesk]
		require.Equal(b, [3]int{1, 1, 1}, [3]int{c.Pending, c.Delivered, c.Dead})
	}},
	{"claims nothing, and keeps no memo", func(b *bench) {
		d := claimed(b.new(zendesk))
		d.Memo = "remember"
		b.imports(1, d)
		require.True(b, d.Claimed, "of the caller")
		require.Equal(b, "remember", d.Memo, "of the caller")
		b.notFound(d)
		got := b.claim(zendesk)
		b.are(got, d)
		require.Nil(b, got[0].Memo)
	}},
	{"of nothing stores nothing", func(b *bench) {
		b.imports(0)
		require.Empty(b, b.count())
	}},
	{"lets each state go on", func(b *bench) {
		pending, dead := b.inChat(zendesk, "chat"), b.settled(b.inChat(zendesk, "chat"), delivery.Dead)
		delivered := b.settled(b.inChat(zendesk, "chat"), delivery.Delivered)
		b.imports(3, delivered, dead, pending)
		b.are(b.claim(zendesk), pending)
		require.False(b, b.settle(pending, delivery.Delivered))
		revived := b.revive(dead.ID)
		require.Equal(b, dead.Body, revived.Body)
		b.settle(revived, delivery.Delivered)
		_, err := b.store.Revive(b.Context(), delivered.ID)
		require.ErrorIs(b, err, delivery.ErrNotFound)
		require.Equal(b, 3, b.count()[zendesk].Delivered)
	}},
	{"leaves alone what is there, in every state", func(b *bench) {
		for i, d := range b.inEachState("chat") {
			before, err := b.store.Get(b.Context(), d.ID)
			require.NoError(b, err)
			counts := b.count()
			other := b.full()
			other.ID, other.State = d.ID, states[i%len(states)]
			b.imports(0, other)
			after, err := b.store.Get(b.Context(), d.ID)
			require.NoError(b, err)
			b.same(before, after)
			require.Equal(b, before.Claimed, after.Claimed)
			require.Equal(b, counts, b.count())
			require.Empty(b, b.find(other.Key))
		}
	}},
	{"can be repeated", func(b *bench) {
		var all []*delivery.Delivery
		for _, state := range states {
			all = append(all, b.settled(b.inChat(zendesk, "chat"), state))
		}
		b.imports(3, all...)
		counts := b.count()
		b.imports(0, all...)
		more := b.inChat(zendesk, "chat")
		b.imports(1, all[0], more, all[1])
		require.Equal(b, counts[zendesk].Pending+1, b.count()[zendesk].Pending)
		b.are(b.claim(zendesk), all[0])
	}},
	{"takes the first of several with one id", func(b *bench) {
		one, two := b.new(zendesk), b.new(slack)
		two.ID = one.ID
		b.imports(1, one, two)
		b.are(b.claim(zendesk), one)
		require.Empty(b, b.claim(slack))
		require.Empty(b, b.find(two.Key))
	}},
	{"brings back what was dropped", func(b *bench) {
		d := b.inChat(zendesk, "chat")
		b.put(d)
		b.are(b.claim(zendesk), d)
		b.drop(d.ID)
		b.imports(1, d)
		b.notFound(claimed(d)) // the claim is gone
		b.are(b.claim(zendesk), d)
		b.settle(d, delivery.Delivered)
		require.Equal(b, delivery.Delivered, b.find(d.Key)[0].State)
	}},
	{"keeps the order of a chat, behind what is there", func(b *bench) {
		first := b.inChat(zendesk, "chat")
		third, second := b.inChat(zendesk, "chat"), b.inChat(zendesk, "chat") // by their ids the other way around
		elsewhere, other := b.inChat(slack, "chat"), b.inChat(zendesk, "other")
		b.put(first)
		b.imports(4, second, elsewhere, third, other)
		fourth := claimed(b.inChat(zendesk, "chat"))
		b.put(fourth)
		require.False(b, fourth.Claimed)
		b.are(b.claim(slack), elsewhere)
		b.are(b.claim(zendesk), first, other)
		for _, pair := range [][2]*delivery.Delivery{{first, second}, {second, third}, {third, fourth}} {
			require.True(b, b.settle(pair[0], delivery.Delivered))
			b.are(b.claim(zendesk), pair[1])
		}
	}},
	{"puts nothing behind what is settled", func(b *bench) {
		dead, pending := b.settled(b.inChat(zendesk, "chat"), delivery.Dead), b.inChat(zendesk, "chat")
		b.imports(2, dead, pending)
		b.are(b.claim(zendesk), pending)
	}},
	{"puts a chat behind a claimed delivery", func(b *bench) {
		first, second := claimed(b.inChat(zendesk, "chat")), b.inChat(zendesk, "chat")
		b.put(first)
		b.imports(1, second)
		require.Empty(b, b.claim(zendesk))
		require.True(b, b.settle(first, delivery.Delivered))
		b.are(b.claim(zendesk), second)
	}},
	{"lets what is due be claimed, the oldest first", func(b *bench) {
		now, later := b.new(zendesk), b.due(b.new(zendesk), 2*time.Minute)
		soon := b.due(b.new(zendesk), time.Minute)
		b.imports(3, later, soon, now)
		got, next, err := b.store.Claim(b.Context(), zendesk, b.clock.now(), 10)
		require.NoError(b, err)
		b.are(got, now)
		require.WithinDuration(b, soon.DueAt, next, 0)
		b.clock.move(time.Hour / 2)
		b.are(b.claim(zendesk), soon, later)
	}},
	{"makes duplicates in every state", func(b *bench) {
		for _, state := range states {
			d := b.settled(b.new(zendesk), state)
			b.imports(1, d)
			b.refused(b.again(d))
			b.are(b.find(d.Key), d)
		}
		b.clock.move(window)
		b.imports(0, b.find(newKey())...)
	}},
	{"makes none of what has expired", func(b *bench) {
		d := b.new(zendesk)
		b.clock.move(window)
		b.imports(1, d)
		require.Empty(b, b.find(d.Key))
		repeated := b.again(d)
		b.put(repeated)
		b.are(b.find(d.Key), repeated)
	}},
	{"keeps a webhook together", func(b *bench) {
		one, two := b.new(slack), b.settled(b.new(zendesk), delivery.Dead)
		two.Key = one.Key
		other := b.new(zendesk)
		b.imports(3, two, one, other)
		b.are(b.find(one.Key), two, one)
		b.refused(b.again(one))
		b.drop(two.ID)
		b.are(b.find(one.Key), one)
		b.refused(b.again(one))
		b.drop(one.ID)
		b.put(b.again(one))
	}},
	{"leaves a key with whom it is", func(b *bench) {
		for _, state := range states {
			d := claimed(b.new(zendesk))
			b.put(d)
			b.settle(d, state)
			imported := b.again(d)
			imported.KeyExpires = d.KeyExpires.Add(window)
			b.imports(1, imported)
			b.are(b.find(d.Key), d)
			b.drop(d.ID)
			require.Empty(b, b.find(d.Key))
			repeated := b.again(d)
			b.put(repeated)
			b.are(b.find(d.Key), repeated)
			b.drop(imported.ID)
			b.are(b.find(d.Key), repeated)
			b.drop(repeated.ID)
		}
	}},
	{"leaves a key that was used again with the younger one", func(b *bench) {
		old := b.new(zendesk)
		b.clock.move(window)
		reused := b.again(old)
		b.put(reused)
		b.imports(1, old)
		b.are(b.find(old.Key), reused)
		b.drop(reused.ID)
		require.Empty(b, b.find(old.Key))
		b.drop(old.ID)
	}},
	{"needs no key", func(b *bench) {
		one, two := b.new(zendesk), b.new(zendesk)
		one.Key, two.Key = delivery.Key{}, delivery.Key{}
		b.imports(2, one, two)
		require.Empty(b, b.find(delivery.Key{}))
		b.are(b.claim(zendesk), one, two)
	}},
	{"knows no limit of a chat", func(b *bench) {
		var all []*delivery.Delivery
		for range delivery.MaxPendingPerChat + 5 {
			all = append(all, b.inChat(zendesk, "chat"))
		}
		b.imports(len(all), all...)
		require.Equal(b, len(all), b.pending())
		require.ErrorIs(b, b.store.Put(b.Context(), []*delivery.Delivery{b.inChat(zendesk, "chat")}), delivery.ErrChatFull)
		for _, d := range all {
			b.are(b.claim(zendesk), d)
			b.settle(d, delivery.Delivered)
		}
	}},
	{"is listed and erased as all others", func(b *bench) {
		old := b.settled(b.inChat(zendesk, "chat"), delivery.Dead)
		young := b.inChat(zendesk, "chat")
		b.put(young)
		b.imports(1, old)
		b.lists(delivery.Query{}, young, old)
		b.lists(delivery.Query{States: []delivery.State{delivery.Dead}}, old)
		require.Equal(b, 2, b.erase("chat"))
		require.Empty(b, b.count())
	}},
	{"counts the oldest", func(b *bench) {
		old := b.new(zendesk)
		b.clock.move(time.Minute)
		b.put(b.new(zendesk))
		b.imports(1, old)
		require.WithinDuration(b, old.ReceivedAt, b.count()[zendesk].OldestPending, 0)
	}},
	{"stores nothing for who has gone", func(b *bench) {
		there, d := b.new(zendesk), b.new(zendesk)
		b.put(there)
		ctx, cancel := context.WithCancel(b.Context())
		cancel()
		_, err := b.store.Import(ctx, []*delivery.Delivery{there, d})
		require.ErrorIs(b, err, context.Canceled)
		b.gone(d)
		b.imports(1, there, d)
		b.are(b.claim(zendesk), there, d)
	}},
}
