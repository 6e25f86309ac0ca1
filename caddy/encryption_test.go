package kindly

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal/sealtest"
)

// encryptedSite has a webhook whose store has keys.
func (l *lifecycle) encryptedSite(keys ...string) string {
	if len(keys) == 0 {
		return l.site(l.webhook("shop", l.desk.URL), options())
	}
	return l.site(l.webhook("shop", l.desk.URL), options("encryption_key "+strings.Join(keys, " ")))
}

// keysNeeded are those that the store needs, by their numbers.
func keysNeeded(t *testing.T, numbers ...byte) (needed []byte) {
	t.Helper()
	names := make(map[string]byte)
	for _, n := range numbers {
		keys, err := seal.Parse(sealtest.Text(n))
		require.NoError(t, err)
		names[keys.Sealer().String()] = n
	}
	for _, key := range currentRuntime().store.(*bolt.Store).Status().(bolt.Status).EncryptionKeys {
		if key.Needed {
			needed = append(needed, names[key.ID])
		}
	}
	return needed
}

// TestKeysAreChangedLive rotates keys over reloads of one store, and refuses those
// that are too few, without an effect on the configuration that runs.
func TestKeysAreChangedLive(t *testing.T) {
	l := newLifecycle(t)
	l.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable, "Retry-After", "3600"))
	one, two, three := sealtest.Text(1), sealtest.Text(2), sealtest.Text(3)
	l.load(l.encryptedSite(one))
	first := currentRuntime()
	l.send("shop", "chat-1")
	require.Equal(t, []byte{1}, keysNeeded(t, 1))

	for _, wrong := range [][]string{{two}, {}, {"off", two}} {
		err := l.fail(l.encryptedSite(wrong...))
		require.ErrorContains(t, err, "kindly app module: start: store bolt "+l.deliveries()+": there may be content that is encrypted with the key ")
		require.ErrorContains(t, err, "which encryption_key does not have")
		require.NotContains(t, err.Error(), two)
		requireOneUser(t)
		require.Same(t, first, currentRuntime())
		l.send("shop", "chat-"+strings.Join(wrong, ""))
	}
	l.load(l.encryptedSite(two, one))
	require.Same(t, first, currentRuntime())
	l.send("shop", "chat-2")
	require.Equal(t, []byte{2, 1}, keysNeeded(t, 1, 2))

	siblingFails.Store(true)
	defer siblingFails.Store(false)
	stop := l.crowd()
	for range 10 { // apps start in no fixed order
		require.ErrorContains(t, l.fail(l.encryptedSite(three, two, one)), "the sibling does not start")
	}
	accepted := stop()
	require.Equal(t, []byte{2, 1}, keysNeeded(t, 1, 2, 3), "a configuration that did not start has encrypted nothing")
	siblingFails.Store(false)

	content, err := os.ReadFile(l.deliveries())
	require.NoError(t, err)
	require.False(t, bytes.Contains(content, []byte("me@example.com")))
	l.desk.Recover()
	l.load(l.site("\trespond ok\n")) // closes the store
	require.False(t, hasRuntime())
	l.load(l.encryptedSite(two, one))
	_, err = currentRuntime().dispatcher.RetryAll(l.context(), delivery.Query{States: []delivery.State{delivery.Pending}})
	require.NoError(t, err)
	require.NoError(t, l.desk.Wait(l.context(), accepted+5))
}

// TestEncrypter has only engines take keys that can use them.
func TestEncrypter(t *testing.T) {
	bolts, databases, memories := &App{engine: new(BoltStore)}, &App{engine: new(PostgresStore)}, &App{engine: new(MemoryStore)}
	for _, app := range []*App{bolts, databases, memories} {
		require.NoError(t, app.setKeys())
		require.Nil(t, app.keys)
		require.Empty(t, app.checkKeys())
		app.EncryptionKeys = []string{sealtest.Text(1)}
	}
	require.NoError(t, bolts.setKeys())
	require.NoError(t, databases.setKeys())
	require.ErrorContains(t, memories.setKeys(), "encryption_key: store memory encrypts nothing: leave it out")
}

// TestCheckKeys has what the doctor says of keys, none of which it prints.
func TestCheckKeys(t *testing.T) {
	t.Setenv("KINDLY_TEST_KEY", sealtest.Text(1))
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte(sealtest.Text(2)+"\n"), 0o600))
	keys, err := seal.Parse(sealtest.Text(1))
	require.NoError(t, err)
	for _, c := range []struct {
		keys    []string
		status  doctor.Status
		message string
	}{
		{[]string{"{env.KINDLY_TEST_KEY}"}, doctor.OK, "the key " + keys.Sealer().String() + " encrypts"},
		{[]string{"{env.KINDLY_TEST_KEY}", "{file." + file + "}"}, doctor.OK, "the key " + keys.Sealer().String() + " encrypts, 2 keys decrypt"},
		{[]string{"off", "{env.KINDLY_TEST_KEY}"}, doctor.OK, "nothing more is encrypted"},
		{[]string{"{env.KINDLY_TEST_UNSET}"}, doctor.Problem, "it is not checked without a value of {env.KINDLY_TEST_UNSET}"},
		{[]string{sealtest.Text(1)[:30]}, doctor.Problem, "key 1 has 22 bytes instead of 32: make one by `openssl rand -base64 32`"},
	} {
		found := (&App{engine: new(BoltStore), EncryptionKeys: c.keys}).checkKeys()
		require.Len(t, found, 1)
		assert.Equal(t, "encryption_key", found[0].Check)
		assert.Equal(t, c.status, found[0].Status)
		assert.Equal(t, c.message, found[0].Message)
	}
}
