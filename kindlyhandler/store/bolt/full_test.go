package bolt_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
)

// On a full disk nothing is accepted, but what was goes on, and what that frees
// takes more.
func TestFull(t *testing.T) {
	p := newPress(t)
	require.NoError(t, p.LimitSize(t.Context(), 1<<21))
	var all []*delivery.Delivery
	for range 5000 {
		d := webhook()
		if err := p.Put(t.Context(), []*delivery.Delivery{d}); err != nil {
			break
		}
		all = append(all, d)
	}
	require.Less(t, len(all), 5000)
	require.Error(t, p.Put(t.Context(), []*delivery.Delivery{webhook()}))

	for range all {
		got, _, err := p.Claim(t.Context(), lane, time.Now(), 1)
		require.NoError(t, err)
		require.Len(t, got, 1)
		_, err = p.Save(t.Context(), delivered(got[0]))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return p.Status().(bolt.Status).Unsaved == 0 }, time.Minute, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		return p.Put(t.Context(), []*delivery.Delivery{webhook()}) == nil
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, p.Store.Close())
	p.open()
	counts, err := p.Count(t.Context())
	require.NoError(t, err)
	require.Equal(t, len(all), counts[lane].Delivered)
}

// Also when there is something to write before all can go on.
func TestFull_start(t *testing.T) {
	p := newPress(t)
	there, cut := webhook(), webhook()
	cut.Claimed = true
	require.NoError(t, p.Put(t.Context(), []*delivery.Delivery{there}))
	require.NoError(t, p.Put(t.Context(), []*delivery.Delivery{cut}))
	var image []byte
	p.Frozen(t.Context(), func() {
		var err error
		image, err = os.ReadFile(p.path)
		require.NoError(t, err)
	})
	require.NoError(t, p.Store.Close())
	require.NoError(t, os.WriteFile(p.path, image, 0o600))
	s, err := bolt.Open(bolt.Options{Path: p.path})
	require.NoError(t, err)
	p.Store = s
	s.Commits(func(func() error) error { return errors.New("the disk is full") })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, d := range []*delivery.Delivery{there, cut} {
		_, err := s.Get(ctx, d.ID)
		require.NoError(t, err)
	}
	got := p.claim()
	require.NotEmpty(t, got)
	require.Equal(t, there.ID, got[0].ID)
}
