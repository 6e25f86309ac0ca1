// Package sealtest makes keys for tests of what is encrypted.
package sealtest

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

// Text returns one of 256 keys.
func Text(n byte) string {
	raw := bytes.Repeat([]byte{n}, seal.KeySize)
	raw[0] = ^n
	return hex.EncodeToString(raw)
}

// Keys returns keys, the first of which encrypts.
func Keys(tb testing.TB, numbers ...byte) *seal.Keys {
	tb.Helper()
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = Text(n)
	}
	return parse(tb, texts...)
}

// Off returns keys that encrypt nothing more.
func Off(tb testing.TB, n byte) *seal.Keys {
	tb.Helper()
	return parse(tb, seal.Off, Text(n))
}

func parse(tb testing.TB, texts ...string) *seal.Keys {
	tb.Helper()
	keys, err := seal.Parse(texts...)
	require.NoError(tb, err)
	return keys
}
