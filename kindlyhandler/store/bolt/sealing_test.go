package bolt

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

// TestSealing_forget keeps a key that something was written with while it was
// looked for.
func TestSealing_forget(t *testing.T) {
	text := func(n byte) string {
		return hex.EncodeToString(append(bytes.Repeat([]byte{n}, seal.KeySize-1), 0))
	}
	old, err := seal.Parse(text(1))
	require.NoError(t, err)
	both, err := seal.Parse(text(2), text(1))
	require.NoError(t, err)
	id := old.Sealer()
	s := sealing{keys: both, used: map[seal.ID]int{id: 1}}
	before := s.used[id]
	require.True(t, s.forgettable(id, before))
	s.keys = old
	require.False(t, s.forgettable(id, before), "it encrypts")
	s.use()
	s.keys = both
	require.False(t, s.forgettable(id, before))
	s.forget(id, before)
	require.Error(t, s.require(new(seal.Keys)))
	require.True(t, s.forgettable(id, s.used[id]))
	s.forget(id, s.used[id])
	s.keys = nil
	require.NoError(t, s.require(nil))
}
