package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// due makes a delivery due after d from now.
func (b *bench) due(d *delivery.Delivery, in time.Duration) *delivery.Delivery {
	d.DueAt = b.clock.now().Add(in)
	return d
}

var claims = []test{
	{"gives every field", func(b *bench) {
		d := b.full()
		b.put(d)
		got := b.claim(zendesk)
		b.are(got, d)
		require.True(b, got[0].Claimed)
		b.same(claimed(d), got[0])
		b.same(d, b.find(d.Key)[0])
	}},
	{"gives what is due, the longest first", func(b *bench) {
		now, early, late := b.new(zendesk), b.new(zendesk), b.new(zendesk)
		b.due(early, -time.Minute)
		b.due(late, time.Millisecond)
		b.put(now)
		b.put(late)
		b.put(early)
		b.are(b.claim(zendesk), early, now)
		b.clock.move(time.Millisecond)
		b.are(b.claim(zendesk), late)
	}},
	{"gives the oldest first of what is due at once", func(b *bench) {
		all := make([]*delivery.Delivery, 0, 20)
		for range cap(all) {
			d := b.new(zendesk)
			b.put(d)
			all = append(all, d)
		}
		b.are(b.claim(zendesk), all...)
	}},
	{"gives at most the limit", func(b *bench) {
		one, two, three := b.new(zendesk), b.new(zendesk), b.new(zendesk)
		b.put(one)
		b.put(two)
		b.put(three)
		got, next, err := b.store.Claim(b.Context(), zendesk, b.clock.now(), 2)
		require.NoError(b, err)
		b.are(got, one, two)
		require.WithinDuration(b, three.DueAt, next, 0, "which is over")
		got, next, err = b.store.Claim(b.Context(), zendesk, b.clock.now(), 2)
		require.NoError(b, err)
		b.are(got, three)
		require.Zero(b, next)
	}},
	{"gives nothing twice", func(b *bench) {
		d := b.new(zendesk)
		b.put(d)
		b.are(b.claim(zendesk), d)
		b.clock.move(time.Hour / 2)
		require.Empty(b, b.claim(zendesk))
	}},
	{"tells what is due next", func(b *bench) {
		next := func() time.Time {
			_, next, err := b.store.Claim(b.Context(), zendesk, b.clock.now(), 10)
			require.NoError(b, err)
			return next
		}
		require.Zero(b, next(), "nothing there")
		b.put(b.due(b.new(slack), time.Second))
		require.Zero(b, next(), "nothing in this lane")
		b.put(claimed(b.due(b.new(zendesk), time.Second)))
		require.Zero(b, next(), "claimed")
		b.put(claimed(b.inChat(zendesk, "chat")))
		b.put(b.due(b.inChat(zendesk, "chat"), 2*time.Second))
		require.Zero(b, next(), "held back")

		late, early := b.due(b.new(zendesk), 2*time.Minute), b.due(b.new(zendesk), time.Minute)
		b.put(late)
		require.WithinDuration(b, late.DueAt, next(), 0)
		b.put(early)
		require.WithinDuration(b, early.DueAt, next(), 0)
		b.clock.move(time.Minute)
		require.WithinDuration(b, late.DueAt, next(), 0, "early is claimed")
	}},
	{"goes by the time it is given", func(b *bench) {
		d := b.due(b.new(zendesk), time.Minute)
		b.put(d)
		got, _, err := b.store.Claim(b.Context(), zendesk, d.DueAt, 10)
		require.NoError(b, err)
		b.are(got, d)
	}},
	{"gives what is of its lane", func(b *bench) {
		one := b.new(zendesk)
		two, three := b.again(one), b.again(one)
		two.Lane, three.Lane = slack, sales
		b.put(one, two, three)
		b.are(b.claim(slack), two)
		b.are(b.claim(sales), three)
		b.are(b.claim(zendesk), one)
		require.Empty(b, b.claim(delivery.Lane{Webhook: "zendesk", Upstream: "support"}))
	}},
}
