package upstream

import (
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The specification's own library takes what we send, with each of several
// secrets, and nothing else.
func TestSend_sign(t *testing.T) {
	var header http.Header
	var body []byte
	server := listen(t, func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		body, _ = io.ReadAll(r.Body)
	})
	secretOf := func(length int) string {
		return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", length-1)+"\xff"))
	}
	older, newer, other := secretOf(24), secretOf(64), secretOf(32)
	up := newUpstream(t, Options{URL: server.URL, Sign: []string{newer, older}})
	send(t, up, http.Header{"Webhook-Id": {"a stranger's"}})
	assert.Equal(t, []string{exampleID.String()}, header["Webhook-Id"])
	assert.Regexp(t, `^v1,\S{44} v1,\S{44}$`, header.Get("webhook-signature"))
	for _, secret := range []string{older, newer} {
		webhook, err := standardwebhooks.NewWebhook(secret)
		require.NoError(t, err)
		require.NoError(t, webhook.Verify(body, header))
		require.Error(t, webhook.Verify(append(body, ' '), header))
	}
	webhook, err := standardwebhooks.NewWebhook(other)
	require.NoError(t, err)
	require.Error(t, webhook.Verify(body, header))

	send(t, newUpstream(t, Options{URL: server.URL}), nil)
	assert.NotContains(t, header, "Webhook-Signature")
}

// The same as that library signs, byte for byte.
func TestSigner(t *testing.T) {
	secret := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // 24 bytes
	s, err := newSigner([]string{secret})
	require.NoError(t, err)
	at, body := time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)
	header := make(http.Header)
	s.sign(header, "msg_1", at, body)
	webhook, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	want, err := webhook.Sign("msg_1", at, body)
	require.NoError(t, err)
	assert.Equal(t, http.Header{"Webhook-Id": {"msg_1"}, "Webhook-Timestamp": {"1614265330"}, "Webhook-Signature": {want}}, header)
}

func TestNewSigner_fails(t *testing.T) {
	key := func(length int) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", length))) }
	const (
		form   = "sign: a secret is whsec_ and then base64 with its padding: make one by `echo whsec_$(head -c 32 /dev/urandom | base64)`"
		length = "sign: a secret has 24 to 64 bytes: make one by `echo whsec_$(head -c 32 /dev/urandom | base64)`"
	)
	for secret, want := range map[string]string{
		"":                        form,
		key(32):                   form,
		"whsec_":                  length,
		"whsec_" + key(23):        length,
		"whsec_" + key(65):        length,
		"whsec_" + key(31)[:43]:   form,
		"whsec_-_" + key(30):      form,
		"whsec_" + key(32) + "\n": form,
		"WHSEC_" + key(32):        form,
	} {
		_, err := New(Options{URL: "https://desk.example", Sign: []string{"whsec_" + key(32), secret}})
		require.EqualError(t, err, want)
		if encoded := strings.TrimPrefix(secret, "whsec_"); encoded != "" {
			assert.NotContains(t, err.Error(), encoded)
		}
	}
}
