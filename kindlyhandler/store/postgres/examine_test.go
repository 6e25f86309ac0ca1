package postgres_test

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal/sealtest"
)

// tables lists what a schema has.
func tables(t *testing.T, dsn string) string {
	t.Helper()
	return query[string](t, dsn, `SELECT coalesce(string_agg(relname, ' ' ORDER BY relname), '') FROM pg_class WHERE relnamespace = to_regnamespace(current_schema())`)
}

func TestExamine(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	dsn := pgtest.SchemaIn(t, server.DSN())
	found := postgres.Examine(t.Context(), postgres.Options{DSN: dsn})
	require.Len(t, found, 1)
	require.Equal(t, doctor.OK, found[0].Status, found)
	require.Contains(t, found[0].Message, "/postgres can be used: its tables are made when the server starts")
	require.Empty(t, tables(t, dsn), "it makes nothing")

	s := open(t, postgres.Options{DSN: dsn, Keys: sealtest.Keys(t, 1)})
	arrives(t, s, "chat")
	require.NoError(t, s.Close())
	before := contents(t, dsn)
	found = postgres.Examine(t.Context(), postgres.Options{DSN: dsn})
	require.Len(t, found, 1)
	require.Contains(t, found[0].Message, "can be used: its tables are there")
	require.Equal(t, before, contents(t, dsn))
}

// What Examine finds wrong says what to do, and no secret.
func TestExamineFinds(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	dsn := pgtest.SchemaIn(t, server.DSN())
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	schema := u.Query().Get("search_path")
	plain, user, careless, reader := role(t, dsn, ""), role(t, dsn, ""), role(t, dsn, ""), role(t, dsn, "")
	newer := pgtest.SchemaIn(t, server.DSN())
	require.NoError(t, open(t, postgres.Options{DSN: newer}).Close())
	newerURL, err := url.Parse(newer)
	require.NoError(t, err)
	old := newerURL.Query().Get("search_path")
	for _, statement := range []string{
		"GRANT USAGE ON SCHEMA " + schema + " TO " + plain,
		"GRANT USAGE, CREATE ON SCHEMA " + old + " TO " + user + "; GRANT SELECT ON ALL TABLES IN SCHEMA " + old + " TO " + user,
		"GRANT USAGE, CREATE ON SCHEMA " + schema + " TO " + careless + "; ALTER ROLE " + careless + " SET synchronous_commit = off",
		"ALTER ROLE " + reader + " SET default_transaction_read_only = on",
	} {
		require.NoError(t, pgtest.Do(dsn, statement))
	}
	require.NoError(t, pgtest.Do(server.DSN(), "CREATE DATABASE pooled"))
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	at := func(l net.Listener, parameters string) string {
		return "postgres://kindly:s3cret@" + l.Addr().String() + "/db?sslmode=disable" + parameters
	}

	for name, test := range map[string]struct {
		dsn          string
		message, fix string
	}{
		"no DSN":             {"", "no DSN", "write postgres://"},
		"malformed":          {"postgres://kindly:s3cret@host:port/db", "the DSN is malformed", "write postgres://"},
		"nobody listens":     {at(closed, ""), "the database cannot be reached: dial tcp " + closed.Addr().String(), "correct the DSN"},
		"nobody answers":     {at(silent, "&connect_timeout=1"), "the database cannot be reached: ", "correct the DSN"},
		"wrong password":     {server.LoopbackDSN(pgtest.Superuser, "s3cret"), "refuses the password", "correct user and password in the DSN"},
		"no database":        {strings.Replace(server.DSN(), "/postgres?", "/nowhere?", 1), "there is no such database", "create it"},
		"no right to create": {pgtest.As(dsn, plain), "the role lacks a right", "GRANT USAGE, CREATE ON SCHEMA"},
		"no right to use":    {pgtest.As(newer, user), "the role lacks a right", "let it own the tables"},
		"no schema":          {pgtest.With(dsn, "search_path", "nowhere"), "there is no schema", "CREATE SCHEMA"},
		"read-only":          {pgtest.As(dsn, reader), "the database is read-only", "name the primary"},
		"a pooler":           {pgtest.Pooler(t, server, "transaction", "pooled"), "a connection pooler in transaction mode", "pool_mode = session"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			found := postgres.Examine(t.Context(), postgres.Options{DSN: test.dsn})
			require.Less(t, time.Since(began), 10*time.Second)
			require.Len(t, found, 1)
			require.Equal(t, "store", found[0].Check)
			require.Equal(t, doctor.Problem, found[0].Status)
			require.Contains(t, found[0].Message, test.message)
			require.Contains(t, found[0].Fix, test.fix)
			_, none := logger()
			secretless(t, none, fmt.Errorf("%v", found))
		})
	}
	t.Run("a newer schema", func(t *testing.T) {
		require.NoError(t, pgtest.Do(newer, fmt.Sprintf("UPDATE kindly_schema SET version = %d, compatible = %[1]d", postgres.Version+1)))
		found := postgres.Examine(t.Context(), postgres.Options{DSN: newer})
		require.Len(t, found, 1)
		require.Contains(t, found[0].Message, "made by a newer release")
		require.Contains(t, found[0].Fix, "install the newer release")
	})
	warned := func(o postgres.Options, message string) {
		t.Helper()
		found := postgres.Examine(t.Context(), o)
		require.Len(t, found, 2)
		require.Equal(t, doctor.OK, found[0].Status)
		require.Equal(t, doctor.Warning, found[1].Status)
		require.Contains(t, found[1].Message, message)
		require.NotEmpty(t, found[1].Fix)
	}
	warned(postgres.Options{DSN: pgtest.As(dsn, careless)}, "synchronous_commit is off")
	for offset, message := range map[time.Duration]string{
		90 * time.Second: "this machine's clock is 1m30s ahead of the database's", -2 * time.Second: "this machine's clock is 2s behind the database's",
	} {
		warned(postgres.Options{DSN: dsn, Now: func() time.Time { return time.Now().Add(offset) }}, message)
	}
	near := postgres.Examine(t.Context(), postgres.Options{DSN: dsn, Now: func() time.Time { return time.Now().Add(500 * time.Millisecond) }})
	require.Len(t, near, 1, "%v", near)

	fast := pgtest.Start(t, pgtest.Options{Fast: true})
	warned(postgres.Options{DSN: fast.DSN()}, "fsync or full_page_writes is off")
	_, err = postgres.Open(postgres.Options{DSN: dsn, Prefix: "Kindly-"})
	require.Error(t, err)
	require.Contains(t, postgres.Examine(t.Context(), postgres.Options{DSN: dsn, Prefix: "Kindly-"})[0].Message, err.Error()[len("store postgres: "):])
}
