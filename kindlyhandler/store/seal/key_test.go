package seal

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestXAES has the two test vectors of the specification, whose keys have either
// of the highest bits of CMAC's first block.
func TestXAES(t *testing.T) {
	nonce := [nonceSize]byte([]byte("ABCDEFGHIJKLMNOPQRSTUVWX"))
	for _, vector := range []struct {
		key        byte
		data, want string
	}{
		{1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		var k key
		var err error
		k.block, k.k1, err = newDerivation(bytes.Repeat([]byte{vector.key}, KeySize))
		require.NoError(t, err)
		got := k.aead(&nonce).Seal(nil, nonce[derivedSize:], []byte("XAES-256-GCM"), []byte(vector.data))
		require.Equal(t, vector.want, hex.EncodeToString(got))
	}
}
