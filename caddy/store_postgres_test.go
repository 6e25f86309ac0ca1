//go:build unix

package kindly

import (
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal/sealtest"
)

// TestPostgresKeysAreChangedLive rotates keys over reloads of one store, and
// refuses those that are too few, without an effect on the configuration that
// runs.
func TestPostgresKeysAreChangedLive(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{Fast: true})
	l := newLifecycle(t)
	site := func(keys string) string {
		return l.site(l.webhook("shop", l.desk.URL), options("store postgres `"+server.DSN()+"`\n\tencryption_key "+keys))
	}
	l.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable, "Retry-After", "3600"))
	one, two := sealtest.Text(1), sealtest.Text(2)
	l.load(site(one))
	first := currentRuntime()
	l.send("shop", "chat-1")
	for _, wrong := range []string{two, "off " + two} {
		err := l.fail(site(wrong))
		require.ErrorContains(t, err, "kindly app module: start: store postgres ")
		require.ErrorContains(t, err, "there may be content that is encrypted with the key ")
		require.NotContains(t, err.Error(), two)
		require.Same(t, first, currentRuntime())
	}
	l.load(site(two + " " + one))
	require.Same(t, first, currentRuntime())
	l.send("shop", "chat-2")
	id := func(text string) string {
		keys, err := seal.Parse(text)
		require.NoError(t, err)
		return keys.Sealer().String()
	}
	require.Equal(t, []postgres.Key{{ID: id(two), Encrypts: true, Needed: true}, {ID: id(one), Needed: true}},
		currentRuntime().store.(*postgres.Store).Status().(postgres.Status).EncryptionKeys)

	l.desk.Recover()
	require.Eventually(t, func() bool { // it passes by what the dispatcher is looking at
		_, err := currentRuntime().dispatcher.RetryAll(l.context(), delivery.Query{States: []delivery.State{delivery.Pending}})
		require.NoError(t, err)
		return l.desk.Count() == 2
	}, 20*time.Second, 50*time.Millisecond)
}

// TestADatabaseIsLeft tells of what is pending in a database that the last Caddy
// of its fleet leaves, and of nothing while there is another one, also if that is
// the next configuration of the same.
func TestADatabaseIsLeft(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{Fast: true})
	l := newLifecycle(t)
	site := func(lines string) string {
		return l.site(l.webhook("shop", l.desk.URL), options("store postgres `"+server.DSN()+"` {\n\t"+lines+"\n\t}"))
	}
	l.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable, "Retry-After", "3600"))
	l.load(site("max_connections 8"))
	l.send("shop", "chat-1")
	l.load(site("max_connections 9"))
	require.Empty(t, l.logged(leftBehind))

	other, err := postgres.Open(postgres.Options{DSN: server.DSN()})
	require.NoError(t, err)
	l.load(site("table_prefix other_"))
	require.Empty(t, l.logged(leftBehind))
	l.load(site("max_connections 9"))
	require.NoError(t, other.Close())

	l.load(site("table_prefix other_"))
	lines := l.logged(leftBehind)
	require.Len(t, lines, 1)
	require.Contains(t, lines[0], `"pending":1,"dead_letters":0`)
}

// TestPostgresReloadsUnderLoad changes the pool, and so the open store, while
// webhooks come: for a moment one process is two of the fleet.
func TestPostgresReloadsUnderLoad(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{Fast: true})
	l := newLifecycle(t)
	site := func(connections int) string {
		return l.site(l.webhook("shop", l.desk.URL), options(fmt.Sprintf("store postgres `%s` {\n\tmax_connections %d\n\t}", server.DSN(), connections)))
	}
	l.load(site(8))
	stop := l.crowd()
	defer stop()
	for i := range 10 {
		l.load(site(8 + (i+1)%2))
	}
	accepted := stop()
	require.NoError(t, l.desk.Wait(l.context(), accepted))
	require.Equal(t, accepted, l.desk.Count())
	require.Equal(t, accepted, l.desk.Attempts())
	requireOneUser(t)
}

// TestPostgresStoreExamines has the doctor's findings of a database, and of none.
func TestPostgresStoreExamines(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	found := (&PostgresStore{dsn: server.DSN()}).Examine(t.Context())
	require.Len(t, found, 1)
	assert.Equal(t, doctor.OK, found[0].Status, found[0].Message)

	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	d, err := examine(t.Context(), []byte(`{"apps": {
		"kindly": {"store": {"engine": "postgres", "dsn": "postgres://kindly:s3cr3t@`+closed.Addr().String()+`/kindly"}},
		"http": {"servers": {"a": {"listen": ["127.0.0.1:0"], "routes": [{"handle": [{"handler": "kindly_webhook", "secrets": ["s"], "transcript_off": true, "upstreams": []}]}]}}}
	}}`))
	require.NoError(t, err)
	var stores []doctor.Finding
	for _, f := range d.Server {
		assert.NotContains(t, f.Message+f.Fix, "s3cr3t")
		if f.Check == "store" {
			stores = append(stores, f)
		}
	}
	require.Len(t, stores, 1)
	assert.Equal(t, doctor.Problem, stores[0].Status)
	assert.Contains(t, stores[0].Message, "kindly@"+closed.Addr().String()+"/kindly: the database cannot be reached: ")
	assert.NotEmpty(t, stores[0].Fix)
}
