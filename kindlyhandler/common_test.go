package kindlyhandler

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func readTestdata(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(tb, err)
	return b
}

// signed returns the headers by which Kindly signs a body.
func signed(secret string, body []byte) http.Header {
	header := http.Header{}
	header.Set(SignatureHeader, Sign(secret, body))
	header.Set(AlgorithmHeader, Algorithm)
	return header
}
