package bolt_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
)

// However many webhooks there are, none is forgotten before its time.
func TestKeys_onDisk(t *testing.T) {
	s := newShelf(t, bolt.Limits{})
	s.SetMaxKeys(100)
	var all []*delivery.Delivery
	for i := range 1000 {
		all = append(all, s.settled(delivery.Delivered, time.Duration(1+i%24)*time.Hour))
	}
	recognised := func() {
		t.Helper()
		for _, d := range all {
			again := webhook()
			again.Key, again.KeyExpires = d.Key, d.KeyExpires
			found, err := s.Find(t.Context(), d.Key)
			require.NoError(t, err)
			if !s.clock().Before(d.KeyExpires) {
				require.Empty(t, found)
				continue
			}
			require.ErrorIs(t, s.Put(t.Context(), []*delivery.Delivery{again}), delivery.ErrDuplicate)
			require.Len(t, found, 1)
			require.Equal(t, d.ID, found[0].ID)
		}
	}
	require.Eventually(t, func() bool { return s.Status().(bolt.Status).Keys <= 300 }, 10*time.Second, time.Millisecond,
		"most keys are on disk")
	recognised()

	require.NoError(t, s.Close())
	s.open(bolt.Limits{})
	recognised()
	require.LessOrEqual(t, s.Status().(bolt.Status).Keys, 300, "what is on disk is not read")

	require.NoError(t, s.Compact(t.Context()))
	recognised()
	for range 25 {
		s.passes(time.Hour)
		recognised()
	}
}

// Keys that share their beginning, or are used again, are all found, in memory
// and on disk.
func TestKeys_alike(t *testing.T) {
	s := newShelf(t, bolt.Limits{})
	s.SetMaxKeys(0) // each moves to the disk soon
	expires := s.clock().Add(time.Hour)
	put := func(key delivery.Key) *delivery.Delivery {
		d := webhook()
		d.Key, d.ReceivedAt, d.KeyExpires = key, s.clock(), expires
		require.NoError(t, s.Put(t.Context(), []*delivery.Delivery{d}))
		return d
	}
	var live []*delivery.Delivery
	recognised := func() {
		t.Helper()
		for _, d := range live {
			found, err := s.Find(t.Context(), d.Key)
			require.NoError(t, err)
			require.Len(t, found, 1)
			require.Equal(t, d.ID, found[0].ID)
		}
	}
	for i := range 60 {
		key := delivery.Key{1 + byte(i/3), 31: byte(i % 3)}
		d := put(key)
		for range i % 4 {
			_, err := s.Drop(t.Context(), d.ID)
			require.NoError(t, err)
			d = put(key)
		}
		live = append(live, d)
		recognised()
	}
	require.NoError(t, s.Close())
	s.open(bolt.Limits{})
	recognised()
	require.Less(t, s.Status().(bolt.Status).Keys, 60, "others are on disk")
}
