package storetest

import (
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func (b *bench) notFound(d *delivery.Delivery) {
	b.Helper()
	_, err := b.store.Save(b.Context(), d)
	require.ErrorIs(b, err, delivery.ErrNotFound)
}

var saves = []test{
	{"replaces every field", func(b *bench) {
		for _, state := range []delivery.State{delivery.Pending, delivery.Delivered, delivery.Dead} {
			d := claimed(b.new(zendesk))
			b.put(d)
			changed := b.full()
			changed.ID, changed.Key, changed.ChatID, changed.State = d.ID, d.Key, d.ChatID, state
			b.save(changed)
			b.same(changed, b.find(d.Key)[0])
		}
	}},
	{"drops what is dropped", func(b *bench) {
		d := claimed(b.full())
		b.put(d)
		delivered := *d
		delivered.State, delivered.Claimed = delivery.Delivered, false
		delivered.Body, delivered.Customer, delivered.Transcript, delivered.TranscriptError = nil, nil, nil, ""
		b.save(&delivered)
		b.same(&delivered, b.find(d.Key)[0])
	}},
	{"ends the claim", func(b *bench) {
		d := claimed(b.new(zendesk))
		b.put(d)
		b.save(d) // whatever it says of the claim itself
		require.False(b, b.find(d.Key)[0].Claimed)
		b.are(b.claim(zendesk), d)
	}},
	{"makes due when it says", func(b *bench) {
		d := claimed(b.new(zendesk))
		b.put(d)
		b.save(b.due(d, time.Minute))
		require.Empty(b, b.claim(zendesk))
		b.clock.move(time.Minute)
		b.are(b.claim(zendesk), d)
		b.save(b.due(d, -time.Minute))
		b.are(b.claim(zendesk), d)
	}},
	{"is final", func(b *bench) {
		for _, state := range []delivery.State{delivery.Delivered, delivery.Dead} {
			d := claimed(b.new(zendesk))
			b.put(d)
			b.settle(d, state)
			require.Empty(b, b.claim(zendesk))
			b.notFound(d)
		}
	}},
	{"needs the claim", func(b *bench) {
		d := b.new(zendesk)
		b.put(d)
		b.notFound(d)
		b.are(b.claim(zendesk), d)
		b.save(d)
		b.notFound(d)
	}},
	{"needs the claim of what is held back", func(b *bench) {
		b.put(b.inChat(zendesk, "chat"))
		held := claimed(b.inChat(zendesk, "chat"))
		b.put(held)
		b.notFound(claimed(held))
	}},
	{"needs the delivery", func(b *bench) {
		d := b.new(zendesk)
		d.ID = uuid.New()
		b.notFound(claimed(d))
	}},
	{"shares nothing with the caller", func(b *bench) {
		d := claimed(b.full())
		d.ChatID = ""
		b.put(d)
		kept := *d

		scribble := func(d *delivery.Delivery) {
			d.State, d.Event, d.Tries, d.Body, d.Attempts, d.Key = delivery.Dead, "scribble", 99, nil, nil, newKey()
			d.DueAt = d.DueAt.Add(time.Hour)
		}
		scribble(d)
		b.same(&kept, b.find(kept.Key)[0])
		scribble(b.find(kept.Key)[0])
		b.same(&kept, b.find(kept.Key)[0])

		saved := kept
		b.save(&saved)
		scribble(&saved)
		got := b.claim(zendesk)
		b.same(&kept, got[0])
		scribble(got[0])
		b.same(&kept, b.find(kept.Key)[0])

		b.settle(&kept, delivery.Dead)
		scribble(b.revive(kept.ID))
		require.Equal(b, delivery.Pending, b.find(kept.Key)[0].State)
		require.Equal(b, kept.Event, b.find(kept.Key)[0].Event)
	}},
}
