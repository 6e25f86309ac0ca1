package storetest

import (
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

var closes = []test{
	{"ends the use of the store", func(b *bench) {
		dead := b.dead(b.new(zendesk))
		taken := claimed(b.new(zendesk))
		b.put(taken)
		require.NoError(b, b.store.Close())

		require.ErrorIs(b, b.store.Put(b.Context(), []*delivery.Delivery{b.new(zendesk)}), delivery.ErrClosed)
		_, err := b.store.Find(b.Context(), dead.Key)
		require.ErrorIs(b, err, delivery.ErrClosed)
		_, _, err = b.store.Claim(b.Context(), zendesk, b.clock.now(), 10)
		require.ErrorIs(b, err, delivery.ErrClosed)
		_, err = b.store.Save(b.Context(), taken)
		require.ErrorIs(b, err, delivery.ErrClosed)
		_, err = b.store.Revive(b.Context(), dead.ID)
		require.ErrorIs(b, err, delivery.ErrClosed)
		_, err = b.store.Take(b.Context(), taken.ID)
		require.ErrorIs(b, err, delivery.ErrClosed)
		_, err = b.store.Get(b.Context(), dead.ID)
		require.ErrorIs(b, err, delivery.ErrClosed)
		_, err = b.store.List(b.Context(), delivery.Query{Limit: 1})
		require.ErrorIs(b, err, delivery.ErrClosed)
		_, err = b.store.Drop(b.Context(), dead.ID)
		require.ErrorIs(b, err, delivery.ErrClosed)
		_, err = b.store.Erase(b.Context(), "chat")
		require.ErrorIs(b, err, delivery.ErrClosed)
		_, err = b.store.Count(b.Context())
		require.ErrorIs(b, err, delivery.ErrClosed)
	}},
	{"goes with others at work", func(b *bench) {
		together(func(worker int) {
			for i := range 20 {
				if worker == 0 && i == 10 {
					_ = b.store.Close()
				}
				d := claimed(b.new(zendesk))
				if b.store.Put(b.Context(), []*delivery.Delivery{d}) == nil {
					_, _ = b.store.Save(b.Context(), d)
				}
				_, _, _ = b.store.Claim(b.Context(), zendesk, b.clock.now(), 1)
			}
		})
		_, err := b.store.Count(b.Context())
		require.ErrorIs(b, err, delivery.ErrClosed)
	}},
}
