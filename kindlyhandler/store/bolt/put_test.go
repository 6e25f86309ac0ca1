package bolt_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// What could not be read back is refused, not stored.
func TestPut_unreadable(t *testing.T) {
	s := openStore(t, filepath.Join(fastDir(t), "deliveries.db"))
	d := webhook()
	d.Lane.Upstream = strings.Repeat("a", 256)
	require.ErrorContains(t, s.Put(t.Context(), []*delivery.Delivery{d}), "longer than 255 bytes")
	d.Lane.Upstream = d.Lane.Upstream[1:]
	require.NoError(t, s.Put(t.Context(), []*delivery.Delivery{d}))
	got, err := s.Get(t.Context(), d.ID)
	require.NoError(t, err)
	require.Equal(t, d.Lane, got.Lane)

	many := make([]*delivery.Delivery, 257)
	for i := range many {
		many[i] = webhook()
	}
	require.ErrorContains(t, s.Put(t.Context(), many), "256 upstreams")
	require.NoError(t, s.Put(t.Context(), many[1:]))
	found, err := s.Find(t.Context(), many[1].Key)
	require.NoError(t, err)
	require.Len(t, found, 256)
}
