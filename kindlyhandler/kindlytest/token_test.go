package kindlytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSignToken(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	for algorithm, key := range map[jose.SignatureAlgorithm]crypto.Signer{jose.RS256: rsaKey, jose.ES256: ecKey} {
		for _, id := range []string{"", "one"} {
			token, err := SignToken(key, id, map[string]any{"sub": "user-1", "chat": map[string]any{"id": "chat-1"}})
			require.NoError(t, err)
			parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{algorithm})
			require.NoError(t, err)
			assert.Equal(t, id, parsed.Headers[0].KeyID)
			claims := make(map[string]any)
			require.NoError(t, parsed.Claims(key.Public(), &claims))
			assert.Equal(t, map[string]any{"sub": "user-1", "chat": map[string]any{"id": "chat-1"}}, claims)
		}
	}

	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	_, err = SignToken(p384, "", map[string]any{})
	assert.Error(t, err)
	_, err = SignToken(rsaKey, "", func() {})
	assert.Error(t, err)
}

func TestSendAs(t *testing.T) {
	k := newTestKindly(t)
	var got http.Header
	target := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
	res, err := k.SendAs(testContext(t), target, "s3cret", "a.b.c", DialogueWebhook())
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, res.Status)
	assert.Equal(t, []string{"Bearer a.b.c"}, got["Authorization"])
	assert.NotEmpty(t, got.Get("Kindly-HMAC"))

	_, err = k.SendAs(testContext(t), "http://bad host/", "s", "a.b.c", nil)
	assert.Error(t, err)
}
