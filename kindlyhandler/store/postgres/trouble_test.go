package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
)

// secretless requires that nothing that was logged or returned has a password
// or a webhook's content in it.
func secretless(t *testing.T, logs *observer.ObservedLogs, errs ...error) {
	t.Helper()
	var all strings.Builder
	for _, entry := range logs.All() {
		fmt.Fprintln(&all, entry.Message, entry.ContextMap())
	}
	for _, err := range errs {
		fmt.Fprintf(&all, "%v %+v %#v\n", err, err, err)
	}
	for _, secret := range []string{pgtest.Password, url.QueryEscape(pgtest.Password), "s3cret", "create ticket"} {
		require.NotContains(t, all.String(), secret)
	}
}

// role creates a plain role, which goes with the test.
func role(t *testing.T, dsn, options string) string {
	t.Helper()
	name := fmt.Sprintf("kindly_role_%d", time.Now().UnixNano())
	require.NoError(t, pgtest.Do(dsn, "CREATE ROLE "+name+" LOGIN "+options))
	t.Cleanup(func() { _ = pgtest.Do(dsn, "DROP OWNED BY "+name+" CASCADE; DROP ROLE "+name) })
	return name
}

func TestWhatOpenRefuses(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{Fast: true})
	schema := pgtest.SchemaIn(t, server.DSN())
	newer := pgtest.SchemaIn(t, server.DSN())
	open(t, postgres.Options{DSN: newer})
	require.NoError(t, pgtest.Do(newer, fmt.Sprintf("UPDATE kindly_schema SET version = %d, compatible = %[1]d", postgres.Version+1)))
	plain, stranger := role(t, server.DSN(), ""), role(t, server.DSN(), "")
	u, err := url.Parse(schema)
	require.NoError(t, err)
	require.NoError(t, pgtest.Do(schema, "GRANT USAGE ON SCHEMA "+u.Query().Get("search_path")+" TO "+plain))

	for name, test := range map[string]struct{ dsn, says string }{
		"no DSN":                {"", "no DSN"},
		"no number for a port":  {"postgres://kindly:s3cret@host:port/db", "the DSN is malformed"},
		"a password to escape":  {"postgres://kindly:s3cret/s3cret@host/db", "the DSN is malformed"},
		"a host of a password":  {"postgres://kindly:pass@s3cret/word@host/db", "the DSN is malformed"},
		"a query of a password": {"postgres://kindly:pass@s3cret?word=s3cret@host/db", "the DSN is malformed"},
		"an unknown sslmode":    {"postgres://kindly:s3cret@host/db?sslmode=maybe", "the DSN is malformed"},
		"a malformed keyword":   {"host=localhost password='s3cret", "the DSN is malformed"},
		"a wrong password":      {server.LoopbackDSN(pgtest.Superuser, "s3cret"), "refuses the password"},
		"no such database":      {strings.Replace(server.DSN(), "/postgres?", "/nowhere?", 1), "no such database"},
		"no right to connect":   {server.LoopbackDSN("stranger", "s3cret"), "refuses the"},
		"no right to create":    {pgtest.As(schema, plain), "lacks a right"},
		"no right to use":       {pgtest.As(schema, stranger), "may not use it"},
		"no schema":             {pgtest.With(server.DSN(), "search_path", "nowhere"), "no schema to create the tables in"},
		"a newer schema":        {newer, "made by a newer release"},
		"an unknown TLS server": {server.LoopbackDSN(pgtest.Superuser, pgtest.Password) + "&sslmode=require", ""},
	} {
		t.Run(name, func(t *testing.T) {
			log, logs := logger()
			began := time.Now()
			s, err := postgres.Open(postgres.Options{DSN: test.dsn, Log: log})
			require.Less(t, time.Since(began), 3*time.Second)
			if test.says == "" { // may pass by itself
				require.NoError(t, err)
				defer s.Close()
				require.Equal(t, 1, logs.Len())
				secretless(t, logs)
				return
			}
			require.ErrorContains(t, err, "store postgres: ")
			require.ErrorContains(t, err, test.says)
			secretless(t, logs, err)
		})
	}
	_, err = postgres.Open(postgres.Options{DSN: schema, Prefix: "Kindly-"})
	require.ErrorContains(t, err, "prefix")
}

func TestAPlainRoleIsEnough(t *testing.T) {
	dsn := pgtest.Schema(t)
	plain := role(t, dsn, "NOSUPERUSER NOCREATEDB NOCREATEROLE")
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	require.NoError(t, pgtest.Do(dsn, "GRANT USAGE, CREATE ON SCHEMA "+u.Query().Get("search_path")+" TO "+plain))
	require.NoError(t, pgtest.Do(dsn, "ALTER ROLE "+plain+" SET default_transaction_isolation = serializable"))
	s := open(t, postgres.Options{DSN: pgtest.As(dsn, plain)})
	require.Equal(t, "read committed", s.Setting(t.Context(), "transaction_isolation"), "the statements see what others have committed")
	d := claimed(newDelivery(zendesk, "chat"))
	put(t, s, d)
	settle(t, s, d, delivery.Delivered)
	s.Sweep(t.Context())
	require.NoError(t, s.Close())
}

func TestPrefixesKeepStoresApart(t *testing.T) {
	dsn := pgtest.Schema(t)
	one, two := open(t, postgres.Options{DSN: dsn}), open(t, postgres.Options{DSN: dsn, Prefix: "other_"})
	put(t, one, newDelivery(zendesk, ""))
	require.Empty(t, claim(t, two, zendesk))
	require.Len(t, claim(t, one, zendesk), 1)
}

// A schema that a newer release has added to is used on, also by a store that
// is open while that happens.
func TestANewerSchemaThatIsCompatible(t *testing.T) {
	dsn := pgtest.Schema(t)
	s := open(t, postgres.Options{DSN: dsn})
	put(t, s, newDelivery(zendesk, ""))
	require.NoError(t, pgtest.Do(dsn, fmt.Sprintf("UPDATE kindly_schema SET version = %d; ALTER TABLE kindly_deliveries ADD colour text DEFAULT 'red'", postgres.Version+1)))
	put(t, s, newDelivery(zendesk, ""))
	require.Len(t, claim(t, open(t, postgres.Options{DSN: dsn}), zendesk), 2)
}

func TestAReadOnlyDatabase(t *testing.T) {
	dsn := pgtest.Schema(t)
	plain := role(t, dsn, "")
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	require.NoError(t, pgtest.Do(dsn, "GRANT USAGE, CREATE ON SCHEMA "+u.Query().Get("search_path")+" TO "+plain+"; ALTER ROLE "+plain+" SET default_transaction_read_only = on"))
	log, logs := logger()
	s := open(t, postgres.Options{DSN: pgtest.As(dsn, plain), Log: log})
	require.ErrorContains(t, s.Put(t.Context(), []*delivery.Delivery{newDelivery(zendesk, "")}), "read-only")
	require.ErrorContains(t, s.Put(t.Context(), []*delivery.Delivery{newDelivery(zendesk, "")}), "target_session_attrs=read-write")
	require.Equal(t, 1, logs.FilterMessageSnippet("not available").Len())
	require.NoError(t, pgtest.Do(dsn, "ALTER ROLE "+plain+" RESET default_transaction_read_only"))
	soon(t, func() bool { return s.Put(t.Context(), []*delivery.Delivery{newDelivery(zendesk, "")}) == nil }, "it recovers")
}

func TestTooManyConnections(t *testing.T) {
	dsn := pgtest.Schema(t)
	plain := role(t, dsn, "CONNECTION LIMIT 4")
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	require.NoError(t, pgtest.Do(dsn, "GRANT USAGE, CREATE ON SCHEMA "+u.Query().Get("search_path")+" TO "+plain))
	s := open(t, postgres.Options{DSN: pgtest.As(dsn, plain), MaxConns: 30})
	var all sync.WaitGroup
	for range 40 { // less connections than asked for still serve all
		all.Go(func() {
			for range 5 {
				if _, err := s.Find(t.Context(), newDelivery(zendesk, "").Key); err != nil && !strings.Contains(err.Error(), "too many connections") {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	put(t, s, newDelivery(zendesk, ""))

	require.NoError(t, pgtest.Do(dsn, "ALTER ROLE "+plain+" CONNECTION LIMIT 0"))
	log, logs := logger()
	other := open(t, postgres.Options{DSN: pgtest.As(dsn, plain), Log: log})
	require.ErrorContains(t, other.Put(t.Context(), []*delivery.Delivery{newDelivery(zendesk, "")}), "too many connections")
	require.Equal(t, 1, logs.Len())
}

func TestResetsOfConnections(t *testing.T) {
	dsn := pgtest.Schema(t)
	s := open(t, postgres.Options{DSN: dsn})
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := s.Put(t.Context(), []*delivery.Delivery{newDelivery(zendesk, "")}); err != nil {
					t.Errorf("a reset costs no webhook: %v", err)
				}
			}
		})
	}
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	for range 8 {
		time.Sleep(100 * time.Millisecond)
		// Those of this test: others share the server.
		require.NoError(t, pgtest.Do(dsn, `SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_class c ON c.oid = relation JOIN pg_namespace n ON n.oid = relnamespace
			WHERE nspname = '`+u.Query().Get("search_path")+`' AND pid <> pg_backend_pid()`))
	}
	cancel()
	all.Wait()
	counts, err := s.Count(t.Context())
	require.NoError(t, err)
	require.Equal(t, query[int](t, dsn, `SELECT count(*) FROM kindly_deliveries`), counts[zendesk].Pending)
}

// Who is in the way for some time delays a call, and does not fail it.
func TestDeadlocksAreTriedAgain(t *testing.T) {
	dsn := pgtest.With(pgtest.Schema(t), "deadlock_timeout", "20ms")
	s := open(t, postgres.Options{DSN: dsn})
	ctx := t.Context()
	one, two := newDelivery(zendesk, "one"), newDelivery(zendesk, "two")
	put(t, s, one)
	put(t, s, two)
	other, err := pgx.Connect(ctx, pgtest.With(dsn, "deadlock_timeout", "10s")) // not the victim
	require.NoError(t, err)
	defer other.Close(ctx)
	tx, err := other.Begin(ctx)
	require.NoError(t, err)
	_, err = tx.Exec(ctx, `SELECT FROM kindly_deliveries WHERE id = $1 FOR UPDATE`, one.ID.String())
	require.NoError(t, err)
	erased := make(chan error)
	go func() {
		_, err := s.Drop(ctx, one.ID) // has the chat's lock, and waits for the row
		erased <- err
	}()
	soon(t, func() bool {
		return query[int](t, dsn, `SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'`) > 0
	}, "it waits")
	_, err = tx.Exec(ctx, `SELECT pg_advisory_xact_lock(((classid::bigint << 32) | objid::bigint)) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()`)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(ctx))
	require.NoError(t, <-erased)
}

func TestAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	dir := smallDisk(t, "160m")
	server := pgtest.Start(t, pgtest.Options{Dir: dir, Settings: []string{"max_wal_size = 32MB", "min_wal_size = 32MB", "wal_recycle = off", "shared_buffers = 8MB"}})
	log, logs := logger()
	s := open(t, postgres.Options{DSN: pgtest.SchemaIn(t, server.DSN()), Log: log})
	ballast := filepath.Join(dir, "ballast")
	large := func() *delivery.Delivery {
		d := newDelivery(zendesk, "")
		d.Body = noise(1 << 20)
		return d
	}
	stored := 0
	var err error
	fill(t, ballast, 30<<20)
	for err == nil && stored < 300 {
		if err = s.Put(t.Context(), []*delivery.Delivery{large()}); err == nil {
			stored++
		}
	}
	require.Error(t, err)
	t.Logf("after %d: %v", stored, err)
	secretless(t, logs, err)
	require.NoError(t, os.Remove(ballast))
	soon(t, func() bool {
		_ = server.Start() // a full disk under the WAL may have ended the server
		return s.Put(t.Context(), []*delivery.Delivery{newDelivery(slack, "")}) == nil
	}, "it recovers when there is room")
	soon(t, func() bool {
		counts, err := s.Count(t.Context())
		return err == nil && counts[zendesk].Pending == stored
	}, "what was stored is there, and nothing else")
}

func TestWarnings(t *testing.T) {
	dsn := pgtest.Schema(t)
	plain := role(t, dsn, "")
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	require.NoError(t, pgtest.Do(dsn, "GRANT USAGE, CREATE ON SCHEMA "+u.Query().Get("search_path")+" TO "+plain+"; ALTER ROLE "+plain+" SET synchronous_commit = off"))
	log, logs := logger()
	fast := func() time.Time { return time.Now().Add(5 * time.Minute) }
	s := open(t, postgres.Options{DSN: pgtest.As(dsn, plain), Log: log, Now: fast})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { _, _ = s.Count(t.Context()) })
	}
	all.Wait()
	require.Equal(t, 1, logs.FilterMessageSnippet("synchronous_commit is off").Len())
	require.Equal(t, 1, logs.FilterMessageSnippet("this machine's clock is 5m0s ahead of the database's").Len())
	if os.Getenv(pgtest.Variable) == "" {
		require.Equal(t, 1, logs.FilterMessageSnippet("fsync").Len(), "which it is in this test")
	}
	require.Equal(t, "on", s.Setting(t.Context(), "synchronous_commit"))
}

// A delivery that cannot be read holds up no other one, not even of its chat, and
// is told of once.
func TestADamagedDelivery(t *testing.T) {
	dsn := pgtest.Schema(t)
	log, logs := logger()
	losses := delivery.NewLosses(nil)
	s := open(t, postgres.Hurried(postgres.Options{DSN: dsn, Log: log, Losses: losses}))
	w := watch(s)
	damaged, behind, next := newDelivery(zendesk, "chat"), newDelivery(zendesk, "chat"), newDelivery(zendesk, "")
	put(t, s, damaged)
	put(t, s, behind)
	put(t, s, next)
	require.NoError(t, pgtest.Do(dsn, `CREATE TABLE whole AS SELECT id, details FROM kindly_deliveries; UPDATE kindly_deliveries SET details = '\xff' WHERE id = '`+damaged.ID.String()+`'`))
	before := w.changed(zendesk)
	require.Equal(t, []uuid.UUID{next.ID}, claim(t, s, zendesk))
	require.Greater(t, w.changed(zendesk), before, "there is more to claim")
	require.Equal(t, []uuid.UUID{behind.ID}, claim(t, s, zendesk))
	require.Equal(t, delivery.Counts{Pending: 2, Dead: 1, OldestPending: count(t, s, zendesk).OldestPending}, count(t, s, zendesk))
	require.Equal(t, map[delivery.Loss]int{delivery.LossDamaged: 1}, losses.Of(zendesk))
	_, err := s.Get(t.Context(), damaged.ID)
	require.ErrorIs(t, err, delivery.ErrUnreadable)
	require.ErrorContains(t, err, "damaged")
	page, err := s.List(t.Context(), delivery.Query{Limit: 10, States: []delivery.State{delivery.Dead}})
	require.NoError(t, err)
	require.Len(t, page.Deliveries, 1)
	require.Equal(t, damaged.ID, page.Deliveries[0].ID)

	polls := w.changed(delivery.Lane{})
	soon(t, func() bool { return w.changed(delivery.Lane{}) > polls+2 }, "it looks for stray claims")
	require.Empty(t, claim(t, s, zendesk))
	require.Equal(t, 1, logs.FilterMessageSnippet("cannot be read").Len())

	_, err = s.Revive(t.Context(), damaged.ID)
	require.ErrorIs(t, err, delivery.ErrUnreadable)
	require.Equal(t, 1, count(t, s, zendesk).Dead)
	require.NoError(t, pgtest.Do(dsn, `UPDATE kindly_deliveries d SET details = w.details FROM whole w WHERE w.id = d.id AND d.id = '`+damaged.ID.String()+`'`))
	revived, err := s.Revive(t.Context(), damaged.ID)
	require.NoError(t, err, "it can be retried when it was mended")
	require.Equal(t, damaged.Body, revived.Body)
	_, err = s.Drop(t.Context(), damaged.ID)
	require.NoError(t, err)
	require.Equal(t, 2, count(t, s, zendesk).Pending)
}

// One webhook that the database cannot store fails alone.
func TestABadOneFailsAlone(t *testing.T) {
	s := open(t, postgres.Options{DSN: pgtest.Schema(t)})
	old := newDelivery(zendesk, "")
	put(t, s, old)
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			d := newDelivery(zendesk, "")
			if i%10 == 0 {
				d.ID = old.ID // there already
			}
			if i%10 == 1 {
				d.Lane.Upstream = "\xff"
			}
			err := s.Put(t.Context(), []*delivery.Delivery{d})
			if bad := i%10 < 2; bad != (err != nil) {
				t.Errorf("put %d: %v", i, err)
			}
		})
	}
	all.Wait()
	require.Len(t, claim(t, s, zendesk), 49)
	require.Zero(t, s.Mine()-49)
	_, err := s.Get(t.Context(), uuid.New())
	require.ErrorIs(t, err, delivery.ErrNotFound)
}
