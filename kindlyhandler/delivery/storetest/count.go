package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func (b *bench) count() map[delivery.Lane]delivery.Counts {
	b.Helper()
	counts, err := b.store.Count(b.Context())
	require.NoError(b, err)
	for lane, c := range counts {
		c.OldestPending = c.OldestPending.Round(0).UTC()
		counts[lane] = c
	}
	return counts
}

var counts = []test{
	{"are of each lane and state", func(b *bench) {
		require.Empty(b, b.count())
		now := b.clock.now()
		b.inEachState("chat")
		require.Equal(b, map[delivery.Lane]delivery.Counts{
			zendesk: {Pending: 2, OldestPending: now},
			sales:   {Pending: 1, OldestPending: now},
			slack:   {Pending: 1, Delivered: 1, Dead: 1, OldestPending: now},
		}, b.count())
	}},
	{"follow what happens", func(b *bench) {
		now := b.clock.now()
		d := claimed(b.new(zendesk))
		b.put(d)
		for range 2 {
			b.settle(d, delivery.Dead)
			require.Equal(b, map[delivery.Lane]delivery.Counts{zendesk: {Dead: 1}}, b.count())
			b.revive(d.ID)
			require.Equal(b, map[delivery.Lane]delivery.Counts{zendesk: {Pending: 1, OldestPending: now}}, b.count())
		}
		b.settle(d, delivery.Delivered)
		require.Equal(b, map[delivery.Lane]delivery.Counts{zendesk: {Delivered: 1}}, b.count())
		b.drop(d.ID)
		require.Empty(b, b.count())
	}},
	{"are gone with an erasure", func(b *bench) {
		b.inEachState("chat")
		b.erase("chat")
		require.Empty(b, b.count())
	}},
	{"tell since when the oldest is pending", func(b *bench) {
		oldest := func() time.Time { return b.count()[zendesk].OldestPending }
		start := b.clock.now()
		var all []*delivery.Delivery
		for range 4 {
			d := claimed(b.new(zendesk))
			b.put(d)
			all = append(all, d)
			b.clock.move(time.Minute)
		}
		require.Equal(b, start, oldest())
		b.settle(all[1], delivery.Delivered)
		require.Equal(b, start, oldest())
		b.settle(all[0], delivery.Dead)
		require.Equal(b, start.Add(2*time.Minute), oldest())
		b.save(b.due(all[2], time.Minute))
		require.Equal(b, start.Add(2*time.Minute), oldest())
		b.drop(all[2].ID)
		require.Equal(b, start.Add(3*time.Minute), oldest())
		b.revive(all[0].ID)
		require.Equal(b, start, oldest())
		b.settle(all[0], delivery.Dead)
		b.settle(all[3], delivery.Delivered)
		require.Zero(b, oldest())
	}},
}
