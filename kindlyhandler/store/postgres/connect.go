package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// target is where the database is, as far as that may be told.
type target struct {
	Host     string `json:"host"`
	Port     uint16 `json:"port"`
	Database string `json:"database"`
	User     string `json:"user"`
}

var errDSN = &problem{
	text: "the DSN is malformed: write postgres://user:password@host:5432/database?sslmode=verify-full, " +
		"with @ : / ? # % and spaces in user and password percent-encoded, or host=… port=… user=… password=… dbname=…",
	final: true,
}

// configure makes the pool, which does not connect yet.
func (s *Store) configure(dsn string, maxConns int) error {
	c, err := parse(dsn)
	if err != nil {
		return err
	}
	c.MinConns, c.MaxConns = 0, int32(max(maxConns, committers+2))
	s.callers = make(chan struct{}, c.MaxConns-1)
	c.MaxConnLifetime, c.MaxConnLifetimeJitter = time.Hour, 10*time.Minute
	c.PingTimeout = 2 * time.Second
	conn := c.ConnConfig
	conn.ConnectTimeout = min(max(conn.ConnectTimeout, time.Second), s.timing.call/2)
	conn.DialFunc = s.sockets.dialing((&net.Dialer{Timeout: s.timing.call / 2, KeepAlive: 10 * time.Second}).DialContext)
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "caddy-kindly"
	}
	c.AfterConnect = s.prepare
	s.target = targetOf(c)
	s.pool, err = pgxpool.NewWithConfig(s.ctx, c)
	if err != nil {
		return errDSN
	}
	return nil
}

// settings are those of the store's own sessions. Plans must not depend on
// statistics, which know nothing of a queue that was empty a minute ago.
var settings = fmt.Sprintf(`SET default_transaction_isolation = 'read committed';
SET statement_timeout = %d; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = %[1]d;
SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; SET jit = off; SET plan_cache_mode = force_generic_plan;
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET client_min_messages = error`,
	statementTimeout.Milliseconds())

// prepare makes a new connection fit for the pool.
func (s *Store) prepare(ctx context.Context, c *pgx.Conn) error {
	if err := s.refusePooler(ctx, c); err != nil { // before it shares our settings with others
		return err
	}
	if _, err := c.Exec(ctx, settings, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	var commit, fsync, pages string
	err := c.QueryRow(ctx, `SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes')`,
		pgx.QueryExecModeExec).Scan(&commit, &fsync, &pages)
	if err != nil {
		return err
	}
	if commit == "off" {
		s.warnOnce("synchronous_commit is off in the database: the store sets it on for its own sessions, for it may acknowledge only what is on disk")
		if _, err := c.Exec(ctx, `SET synchronous_commit = on`, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
	}
	if fsync == "off" || pages == "off" {
		s.warnOnce("fsync or full_page_writes is off in the database: a crash of its machine may lose or damage acknowledged webhooks; switch both on")
	}
	return nil
}

func (s *Store) warnOnce(text string) {
	if _, told := s.warnings.LoadOrStore(text, true); !told {
		s.log.Warn(text)
	}
}

// attach makes the database usable: it connects, sees what it has connected
// to, creates or migrates the tables, and enters the fleet.
func (s *Store) attach(ctx context.Context) error {
	err := s.tryAttach(ctx)
	if err == nil {
		if down := s.health.recovered(); down > 0 {
			s.log.Info("the database is available again", zap.Duration("after", down))
		}
		s.changedAll()
		return nil
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &problem{text: "the database cannot be reached: no answer in time", down: true}
	}
	return explain(err)
}

func (s *Store) tryAttach(ctx context.Context) error {
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	if err := s.migrate(ctx, c.Conn()); err != nil {
		return err
	}
	if err := s.admit(ctx, c.Conn()); err != nil {
		return err
	}
	ahead, err := askClock(ctx, c.Conn(), s.now)
	if err != nil {
		return err
	}
	if ahead.Abs() > clockSkew {
		s.log.Warn(skewed(ahead))
	}
	return s.enter(ctx, c.Conn())
}

var errPooler = &problem{
	text: "between here and the database is a connection pooler in transaction mode (pgbouncer, say), through which LISTEN and session settings do not work: " +
		"name the database itself in the DSN, or set pool_mode = session for it",
	final: true,
}

// refusePooler refuses a pooler in transaction mode. One that was found to have
// another mode is not asked again.
func (s *Store) refusePooler(ctx context.Context, c *pgx.Conn) error {
	if _, sound := s.warnings.Load(errPooler); sound {
		return nil
	}
	pooled, err := findPooler(ctx, c, s.pool.Config().ConnConfig)
	if pooled && err == nil {
		s.warnings.Store(errPooler, false)
	}
	return err
}

// findPooler tells whether there is a pooler on the way, and fails if two
// connections share one session of the server, which poolers in transaction mode
// make of them. It costs nothing unless there is a pooler: that has process ids
// of its own.
func findPooler(ctx context.Context, c *pgx.Conn, config *pgx.ConnConfig) (pooled bool, err error) {
	var pid uint32
	const question = `SELECT pg_backend_pid()`
	if err := c.QueryRow(ctx, question, pgx.QueryExecModeExec).Scan(&pid); err != nil {
		return false, err
	}
	if pid == c.PgConn().PID() {
		return false, nil
	}
	other, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return true, err
	}
	defer func() { _ = other.Close(ctx) }()
	for range 5 {
		var mine, others uint32
		if err := c.QueryRow(ctx, question, pgx.QueryExecModeExec).Scan(&mine); err != nil {
			return true, err
		}
		if err := other.QueryRow(ctx, question, pgx.QueryExecModeExec).Scan(&others); err != nil {
			return true, err
		}
		if mine == others || mine != pid {
			return true, errPooler
		}
	}
	return true, nil
}

// call runs f on a connection, again if it fails in a way that may pass: the
// server has undone it. Calls leave one connection to beats, so that nobody is
// taken for dead for being busy.
func (s *Store) call(ctx context.Context, f func(ctx context.Context, c *pgxpool.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timing.call)
	defer cancel()
	select {
	case s.callers <- struct{}{}:
		defer func() { <-s.callers }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.callAtOnce(ctx, f)
}

// callAtOnce is call for beats.
func (s *Store) callAtOnce(ctx context.Context, f func(ctx context.Context, c *pgxpool.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timing.call)
	defer cancel()
	stop := context.AfterFunc(s.working, cancel)
	defer stop()
	for try := 1; ; try++ {
		err := s.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return f(ctx, c) })
		if err == nil || try == maxTries || !repeatable(err) || !sleep(ctx, jittered(time.Duration(try)*10*time.Millisecond)) {
			return err
		}
	}
}

// maxTries bounds how often a transaction is tried that meets others.
const maxTries = 5

// blame turns an error of a call into one for the caller: that its context has
// ended, if it has.
func (s *Store) blame(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case s.working.Err() != nil:
		return delivery.ErrClosed
	case errors.Is(err, context.DeadlineExceeded) && !isConnecting(err):
		return s.failed(&problem{text: "the database did not answer in time, or all connections to it are busy"})
	}
	return s.failed(err)
}
