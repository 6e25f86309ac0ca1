//go:build unix

package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
)

// TestFleetDatabaseOutage ends the database as a crash would. Until it is back,
// webhooks are refused, in time; then all goes on by itself, and everything that
// was acknowledged before is delivered.
func TestFleetDatabaseOutage(t *testing.T) {
	t.Parallel()
	server, dsn := serverFor(t)
	const respondWithin = 2 * time.Second
	f := newFleetIn(t, dsn, 2, "respond_within 2s", "reply {kindly.ticket.id}", "reply_pending later", "reply_failed no",
		"retry {\n\t\t\tinitial_interval 100ms\n\t\t\tmax_interval 1s\n\t\t}")
	f.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	for i, chat := range readable("before", 4) {
		replies(t, "later", f.accepted(f.members[i%2].url, kindlytest.DialogueWebhookFor(chat)))
	}

	require.NoError(t, server.Stop(true))
	f.desk.Recover()
	for i, chat := range readable("meanwhile", 6) {
		m, began := f.members[i%2], time.Now()
		replies(t, "no", f.send(m.url, kindlytest.DialogueWebhookFor(chat)))
		require.Less(t, time.Since(began), respondWithin+500*time.Millisecond)
		ticket := f.send(m.url, kindlytest.TicketWebhookFor("ticket.created", chat))
		require.Equal(t, http.StatusServiceUnavailable, ticket.Status)
		require.NotEmpty(t, ticket.Header.Get("Retry-After"))
		require.Less(t, time.Since(began), 2*respondWithin+500*time.Millisecond)
	}
	for _, m := range f.members {
		m.waitFor("the database is not available: webhooks are refused until it is")
		m.eventually("the status tells", func() bool { return !m.store().Get("ready").Bool() })
	}

	require.NoError(t, server.Start())
	tickets := make(map[string]bool)
	for _, ticket := range f.waitTickets(4) {
		tickets[ticket.IdempotencyKey] = true
	}
	require.Len(t, tickets, 4, "none of those that were refused")
	for _, m := range f.members {
		m.eventually("the status tells", func() bool { return m.store().Get("ready").Bool() })
	}
	// One that has not seen the help desk since it was down says "later".
	f.accepted(f.members[0].url, kindlytest.DialogueWebhookFor("after"))
	f.waitTickets(5)
	for _, m := range f.members {
		replies(t, "4715", f.accepted(m.url, kindlytest.DialogueWebhookFor("after")))
		keepsPassword(t, "the log", m.out.String())
	}
	require.Equal(t, 5, f.desk.Count())
}

// TestFleetWithoutDatabase starts Caddy before its database, and has it take
// webhooks as soon as that is there; then it is told of a database that is not
// there.
func TestFleetWithoutDatabase(t *testing.T) {
	t.Parallel()
	server, dsn := serverFor(t)
	require.NoError(t, server.Stop(true))
	f := newFleetIn(t, dsn, 1, "reply_failed no")
	m := f.members[0]
	replies(t, "no", f.send(m.url, kindlytest.DialogueWebhook()))
	m.waitFor("the database cannot be reached")
	require.NoError(t, server.Start())
	m.eventually("the status tells", func() bool { return m.store().Get("ready").Bool() })
	f.accepted(m.url, kindlytest.DialogueWebhook())
	f.waitTickets(1)

	elsewhere := strings.Replace(sharedStore, "{env.KINDLY_DSN}", "postgres://"+freeAddress(t)+"/kindly", 1)
	require.NoError(t, m.reload(elsewhere, m.sites()))
	replies(t, "no", f.send(m.url, kindlytest.DialogueWebhookFor("elsewhere")))
	require.NoError(t, m.reload(f.options, m.sites()))
	f.accepted(m.url, kindlytest.DialogueWebhookFor("back"))
	f.waitTickets(2)
}

// TestFleetWrongDatabase starts Caddy with what an operator may write wrong, and
// loads that into one that runs, which goes on as before. The password is in
// nothing that can be seen of it.
func TestFleetWrongDatabase(t *testing.T) {
	t.Parallel()
	server, dsn := serverFor(t)
	f := newFleetIn(t, dsn, 1, "reply {kindly.ticket.id}")
	m := f.members[0]
	options := func(dsn string) string {
		return "\tdebug\n" + strings.Replace(sharedStore, "{env.KINDLY_DSN}", "{file."+file(t, "dsn", dsn)+"}", 1)
	}
	require.NoError(t, m.reload(options(dsn), m.sites()))
	before := m.store().Get("instance").Str

	const refused = "p@ssword:that?is/wrong"
	database := func(name string) string {
		u, err := url.Parse(dsn)
		require.NoError(t, err)
		u.Path = "/" + name
		return u.String()
	}
	for name, wrong := range map[string]struct{ dsn, told string }{
		"password": {server.LoopbackDSN(pgtest.Superuser, refused), "the database refuses the password: correct user and password in the DSN"},
		"database": {database("nowhere"), "there is no such database: create it, or correct its name in the DSN"},
		"schema":   {pgtest.With(dsn, "search_path", "nowhere"), "there is no schema to create the tables in"},
		"DSN":      {strings.Replace(dsn, "%40", "%4", 1), "the DSN is malformed"},
	} {
		started := runWithFile(t, m.env(), strings.Replace(m.caddyfile(options(wrong.dsn), m.sites()), m.admin, freeAddress(t), 1))
		require.NotZero(t, started.ends(), name)
		require.Contains(t, started.out.String(), wrong.told, name)

		require.ErrorContains(t, m.reload(options(wrong.dsn), m.sites()), wrong.told, name)
		require.Equal(t, before, m.store().Get("instance").Str, name)
		f.accepted(m.url, kindlytest.DialogueWebhookFor(name))
		for _, text := range []string{started.out.String(), m.out.String()} {
			keepsPassword(t, name, text)
			for _, form := range []string{refused, url.QueryEscape(refused), url.PathEscape(refused)} {
				require.NotContains(t, text, form, name)
			}
		}
	}
	f.waitTickets(4)

	for _, path := range []string{"/config/", "/kindly/status", "/kindly/deliveries"} {
		_, shown := m.ask(http.MethodGet, path, "")
		keepsPassword(t, path, shown)
	}
	keepsPassword(t, "status", m.kindly("status"))
	require.Contains(t, m.kindly("status"), pgtest.Superuser, "it says who connects")
	require.Zero(t, m.stop(terminate))
	keepsPassword(t, "the log", m.out.String())
}

// TestFleetBehindPooler: a pooler that hands a session from one to the other is
// refused, with what to do.
func TestFleetBehindPooler(t *testing.T) {
	t.Parallel()
	server, _ := serverFor(t)
	f := planFleet(t, pgtest.Pooler(t, server, "transaction", "postgres"), 1)
	m := f.members[0]
	m.caddy = &caddy{admin: freeAddress(t), data: t.TempDir(), more: []string{"KINDLY_DSN=" + f.dsn}}
	p := runWithFile(t, m.env(), m.caddyfile(f.options, m.sites()))
	require.NotZero(t, p.ends())
	require.Contains(t, p.out.String(), "name the database itself in the DSN, or set pool_mode = session for it")

	f = newFleetIn(t, pgtest.Pooler(t, server, "session", "postgres"), 1, "reply {kindly.ticket.id}")
	replies(t, "4711", f.accepted(f.members[0].url, kindlytest.DialogueWebhook()))
}

// TestMoveToPostgres moves the queue of one Caddy into the database of a fleet,
// as the README says, while nothing runs.
func TestMoveToPostgres(t *testing.T) {
	t.Parallel()
	m := newMover(t)
	c := start(t, "", m.site())
	m.fill()
	require.Zero(t, c.stop(terminate))
	c.more = []string{"KINDLY_DSN=" + pgtest.Schema(t)}
	m.moves(c, sharedStore)
}
