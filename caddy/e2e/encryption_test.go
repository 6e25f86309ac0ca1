package e2e

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// encrypted has a key from the environment.
const encrypted = "\tkindly {\n\t\tencryption_key {env.KINDLY_ENCRYPTION_KEY}\n\t}"

// encryptedWith has a new key in a file, and others.
func encryptedWith(t *testing.T, others string) string {
	return "\tkindly {\n\t\tencryption_key {file." + file(t, "key", newEncryptionKey+"\n") + "} " + others + "\n\t}"
}

// TestEncryption has nothing that people wrote be in the store's files with a key,
// which can be replaced by another one while the server runs; without it, neither
// a reload nor a start touches the file.
func TestEncryption(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	s.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	data, address := t.TempDir(), freeAddress(t)
	url := "http://" + address + "/kindly"
	sites := site("http://"+address, s.webhook("/kindly support", `reply_pending "{kindly.message}"`))
	c := startIn(t, data, encrypted, sites)
	s.confide(url, "chat-1", keptCard)
	c.eventually("the transcript is kept", func() bool {
		d := c.list()[0]
		_, shown := c.ask(http.MethodGet, "/kindly/deliveries/"+d.ID, "")
		return strings.Contains(gjson.Get(shown, "document.transcript.text").Str, keptCard)
	})
	require.Zero(t, occurrences(t, data, keptCard))

	const missing = "which encryption_key does not have: add what is missing there"
	require.ErrorContains(t, c.reload("", sites), missing)
	require.ErrorContains(t, c.reload(encryptedWith(t, ""), sites), missing)
	c.stop(syscall.SIGKILL)
	require.Zero(t, occurrences(t, data, keptCard))
	before, err := os.ReadFile(c.deliveries())
	require.NoError(t, err)
	for _, options := range []string{"", encryptedWith(t, "")} {
		config := file(t, "Caddyfile", c.caddyfile(options, sites))
		status, printed := call(t, c.env(), nil, "kindly-caddy", "run", "--adapter", "caddyfile", "--config", config)
		require.Equal(t, 1, status, printed)
		require.Contains(t, printed, "kindly app module: start: store bolt "+c.deliveries()+": there may be content that is encrypted with the key ")
		require.Contains(t, printed, missing)
		require.NotContains(t, printed, newEncryptionKey)
		after, err := os.ReadFile(c.deliveries())
		require.NoError(t, err)
		require.True(t, bytes.Equal(before, after), "the file is as it was")
	}

	c = startIn(t, data, encrypted, sites)
	require.NoError(t, c.reload(encryptedWith(t, "{env.KINDLY_ENCRYPTION_KEY}"), sites))
	s.confide(url, "chat-2", keptCard)
	status, printed := call(t, nil, nil, "kindly-caddy", "kindly", "status", "--address", c.admin)
	require.Zero(t, status, printed)
	require.Regexp(t, `store encryption keys +[0-9a-f]{16}, encrypts, needed\nstore encryption keys +[0-9a-f]{16}, needed\n`, printed)
	s.desk.Recover()
	code, answer := c.ask(http.MethodPost, "/kindly/deliveries/retry", `{"state":"pending"}`)
	require.Equal(t, http.StatusOK, code, answer)
	for _, ticket := range s.waitTickets(2) {
		require.Contains(t, gjson.GetBytes(ticket.Body, "transcript.text").Str, keptCard)
	}
	require.Zero(t, c.stop(terminate))
	require.Zero(t, occurrences(t, data, keptCard))
}
