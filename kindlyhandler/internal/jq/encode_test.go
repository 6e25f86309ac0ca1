package jq

import (
	"math"
	"math/big"
	"testing"

	"github.com/itchyny/gojq"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestEncode_isMarshal(t *testing.T) {
	same := func(t require.TestingT, v any) {
		want, err := gojq.Marshal(v)
		require.NoError(t, err)
		got, err := Encode(v)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
	}
	for c := range 256 {
		same(t, "a"+string([]byte{byte(c)})+"b")
	}
	for _, v := range []any{"", "æ\u2028\ufffd😀", "\xf0\x9f\x98", []any{}, map[string]any{}, -1, 1e-9, 1e21, math.Inf(-1), math.NaN(), new(big.Int).Lsh(big.NewInt(1), 99)} {
		same(t, v)
	}
	rapid.Check(t, func(t *rapid.T) {
		same(t, values(3).Draw(t, "value"))
		same(t, rapid.MapOf(rapid.String(), values(1)).AsAny().Draw(t, "object").(map[string]any))
		same(t, string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")))
	})
}
