package bolt_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
)

// Whatever lies where the file should be, the store opens, can be read through,
// takes a webhook and gives it back.
func FuzzFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), "deliveries.db")
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	s, err := bolt.Open(bolt.Options{Path: path, Now: clock})
	require.NoError(f, err)
	for i := range 3 {
		d := webhook()
		d.ID, d.Key, d.ChatID = uuid.UUID{1, byte(i)}, delivery.Key{byte(i)}, "chat" // the same file each time
		d.ReceivedAt, d.DueAt, d.KeyExpires = now, now, now.Add(time.Hour)
		d.Claimed = true
		require.NoError(f, s.Put(f.Context(), []*delivery.Delivery{d}))
		if d.Claimed {
			d.State = delivery.State(i)
			_, err := s.Save(f.Context(), d)
			require.NoError(f, err)
		}
	}
	require.NoError(f, s.Close())
	sound, err := os.ReadFile(path)
	require.NoError(f, err)
	f.Add([]byte{}, 0)
	f.Add(make([]byte, 100), 0)
	for _, at := range []int{0, 16, bolt.PageSize, 2 * bolt.PageSize, 3 * bolt.PageSize, 4 * bolt.PageSize, 5 * bolt.PageSize} {
		f.Add([]byte{0xff, 0x10, 0, 1}, at)
	}

	dir, err := os.MkdirTemp(fastTemp(), "kindly-")
	require.NoError(f, err)
	f.Cleanup(func() { _ = os.RemoveAll(dir) })
	f.Fuzz(func(t *testing.T, harm []byte, at int) {
		dir, err := os.MkdirTemp(dir, "")
		require.NoError(t, err)
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "deliveries.db")
		file := append([]byte(nil), sound...)
		if at < 0 || at >= len(file) {
			file = harm
		} else {
			copy(file[at:], harm)
		}
		require.NoError(t, os.WriteFile(path, file, 0o600))

		s, err := bolt.Open(bolt.Options{Path: path, Now: clock})
		require.NoError(t, err)
		defer func() { require.NoError(t, s.Close()) }()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		page, err := s.List(ctx, delivery.Query{Limit: 100})
		require.NoError(t, err)
		for _, d := range page.Deliveries {
			if _, err := s.Get(ctx, d.ID); err != nil && !errors.Is(err, delivery.ErrNotFound) {
				t.Fatal(err)
			}
		}
		_, _, err = s.Claim(ctx, lane, now.Add(time.Hour), 10)
		require.NoError(t, err)
		d := webhook()
		require.NoError(t, s.Put(ctx, []*delivery.Delivery{d}))
		got, err := s.Get(ctx, d.ID)
		require.NoError(t, err)
		require.Equal(t, d.Body, got.Body)
	})
}
