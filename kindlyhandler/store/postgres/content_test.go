package postgres

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestContentComesBack(t *testing.T) {
	for _, b := range [][]byte{nil, {0}, {1}, []byte("short"), bytes.Repeat([]byte("long "), 1000), bytes.Repeat([]byte{0xff, 0}, 600)} {
		got, err := unpack(pack(b))
		require.NoError(t, err)
		require.True(t, bytes.Equal(b, got))
	}
	require.Less(t, len(pack(bytes.Repeat([]byte("long "), 1000))), 1000)
	for _, b := range [][]byte{{3, 0}, {packedSealed, 0}, {packedS2, 0xff, 0xff, 0xff}, {packedS2}} {
		_, err := unpack(b)
		require.ErrorIs(t, err, errPacking)
	}
}
