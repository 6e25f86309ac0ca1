// Package postgres keeps deliveries in PostgreSQL, where several processes, a
// fleet, share one queue: what Put has accepted was flushed by the database, and
// whichever process is there delivers it.
//
// Each process is an instance (instance.go): it has a row that it updates every
// two seconds, and claims carry its id. Who has not done so for fifteen seconds
// is taken for dead by the others, and its claims are freed. Webhooks and what
// becomes of them are committed many at a time (committer.go), by statements
// that decide for each whether it can be stored (put.go, save.go). Deliveries of
// one chat are put in order by an advisory lock of the chat, held until the
// commit (lock.go). NOTIFY tells the others what they could claim (notify.go);
// it is sent after the commit and not more than twenty times a second, for it
// takes a lock that all databases of the server share.
//
// While the database cannot be reached, all calls fail at once, and one
// connection at a time is tried (health.go).
//
// # What an error means
//
// A call that fails has had no effect, as far as that can be known. If the
// connection is lost while a commit is under way, the store looks up what has
// become of it as soon as the database answers again, and takes back what it has
// told its caller to have failed. What is still on its way to the database then
// is kept from having an effect. What is not taken back is what another instance
// has claimed by then, what Find has given to somebody who has sent the same
// webhook again, for that one was told that it is stored, and what the process
// does not live to see: such a webhook was refused, and there will be a ticket
// all the same. Until it is taken back, the same webhook is a duplicate. Drop
// and Erase may have had their effect though they have failed.
//
// # Keys
//
// With Options.Keys, what quotes people is encrypted before it is sent
// (sealing.go). Who has a delivery's key claims it; the others pass it by, and
// what waits behind it in its chat waits for them. In a fleet a new key is first
// given to all behind the old one, and then before it: see [Store.SetKeys].
//
// What has the key and cannot be read all the same is damaged: it becomes a dead
// letter (bury.go), so that its chat goes on and somebody sees it.
//
// # What an operator must know
//
// The role needs CREATE on one schema, the first of its search_path, and no
// other right. The tables begin with Options.Prefix; who deletes rows by hand
// makes the counts wrong. A server with fsync or full_page_writes off loses
// acknowledged webhooks in a crash; synchronous_commit is set on by the store
// where it is off. A standby that takes over loses what was not replicated: set
// synchronous_standby_names where that matters. Rows that were erased are on the
// database's disks until VACUUM has reused their place, and in its WAL and
// backups for as long as those are kept.
package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

// Options of a [Store]. Zero values mean the defaults.
type Options struct {
	// DSN says where the database is and who connects, as a URL
	// (postgres://user:password@host:5432/database?sslmode=verify-full) or as
	// keywords (host=… user=…). What it leaves open, the PG… environment
	// variables say. Required.
	DSN string
	// Prefix begins the names of all tables; default "kindly_". Stores with
	// different prefixes, or in different schemas, know nothing of each other.
	Prefix string
	// MaxConns bounds the connections, besides one that listens; default 8.
	MaxConns int
	// Log defaults to none, Now to [time.Now]. The instances' clocks should
	// agree to a second or so: one decides when its deliveries are due.
	Log *zap.Logger
	Now func() time.Time
	// Losses counts the dead letters whose retention is over, and the deliveries
	// that cannot be read any more; default nothing.
	Losses *delivery.Losses
	// Keys encrypt what quotes people; nil encrypts nothing. Open fails with a
	// [*seal.UnknownKeyError] if they are too few for what is there.
	Keys *seal.Keys

	Limits

	timing timing // changed by tests
}

// Limits can be changed while the store is open; the defaults are
// [delivery.DefaultLimits]. The instances of a fleet should have the same.
// MaxPending bounds what is pending of all of them: what others have put within
// the last two seconds is not known, and may go beyond it.
type Limits = delivery.Limits

// The defaults of [Options].
const (
	DefaultPrefix   = "kindly_"
	DefaultMaxConns = 8
)

const (
	// opening is how long Open waits for a database that does not answer.
	opening = time.Second
	// statementTimeout is the server's bound.
	statementTimeout = 8 * time.Second
	// closing is how long Close waits for what is under way.
	closing = 5 * time.Second
)

// Store is a [delivery.Store] in PostgreSQL.
type Store struct {
	log    *zap.Logger
	now    func() time.Time
	limits atomic.Pointer[Limits]
	losses *delivery.Losses

	target  target
	prefix  string
	timing  timing
	texts   sync.Map // statements, with the names of the tables in them
	pool    *pgxpool.Pool
	callers chan struct{} // as many as may have a connection
	sockets sockets
	names   atomic.Pointer[names]

	health   health
	queue    queue
	identity identity
	claims   claims
	sealing  sealing
	pending  pending
	watch    watch
	notices  notices
	warnings sync.Map // what was warned about already

	ctx      context.Context // ends when Close begins
	cancel   context.CancelFunc
	working  context.Context // ends when Close has waited long enough
	abort    context.CancelFunc
	routines sync.WaitGroup // end with ctx
	workers  sync.WaitGroup // end when the queue is closed and empty
	calls    sync.WaitGroup
	calling  sync.RWMutex // guards calls against Close
	close    func() error
}

var _ delivery.Shared = (*Store)(nil)

var prefixes = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,31}$`)

// Open opens a store. It fails for what an operator must change before it can
// ever work: a malformed DSN, a wrong password or database, a missing right, a
// schema of a newer version, content whose encryption key is not there. A database that does not answer within a second is
// no such thing: the store opens, its calls fail, and it goes on trying.
func Open(o Options) (*Store, error) {
	s := &Store{
		log:    o.Log,
		now:    o.Now,
		losses: o.Losses,
		prefix: cmp.Or(o.Prefix, DefaultPrefix),
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := checkPrefix(o.Prefix); err != nil {
		return nil, fmt.Errorf("store postgres: %w", err)
	}
	s.SetLimits(o.Limits)
	s.timing = o.timing.orDefaults()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.working, s.abort = context.WithCancel(context.Background())
	s.queue.init()
	s.claims.init()
	s.sealing.init(o.Keys)
	s.notices.init()
	s.health.init()
	s.close = sync.OnceValue(s.shut)
	if err := s.configure(o.DSN, cmp.Or(o.MaxConns, DefaultMaxConns)); err != nil {
		s.cancel()
		s.abort()
		return nil, fmt.Errorf("store postgres: %w", err)
	}

	ctx, cancel := context.WithTimeout(s.ctx, opening)
	err := s.attach(ctx)
	cancel()
	if isFinal(err) {
		s.cancel()
		s.abort()
		s.closePool()
		return nil, fmt.Errorf("store postgres: %w", err)
	}
	if err != nil {
		s.health.report(err)
		s.log.Error("the database is not available: webhooks are refused until it is", zap.Error(err))
	}
	s.routines.Go(s.attend)
	s.routines.Go(s.listen)
	s.routines.Go(s.announce)
	s.routines.Go(s.poll)
	s.routines.Go(s.sweep)
	for range committers {
		s.workers.Go(s.commit)
	}
	return s, nil
}

// SetLimits changes the limits from now on.
func (s *Store) SetLimits(l Limits) {
	l = l.Or(delivery.DefaultLimits)
	s.limits.Store(&l)
}

// Close implements [delivery.Store]. It waits a few seconds for what is under
// way, and leaves the fleet: the others take over at once.
func (s *Store) Close() error { return s.close() }

func (s *Store) shut() error {
	s.cancel()
	s.queue.close()
	abort := time.AfterFunc(closing, s.abort)
	defer abort.Stop()
	s.calling.Lock()   // nothing begins any more
	s.calling.Unlock() //nolint:staticcheck // it is a barrier
	s.calls.Wait()
	s.workers.Wait()
	s.routines.Wait()
	s.leave()
	s.abort()
	s.closePool()
	return nil
}

// closePool closes all connections, within a second.
func (s *Store) closePool() {
	cut := time.AfterFunc(time.Second, s.sockets.cut)
	defer cut.Stop()
	s.pool.Close()
}

// begin says that a call is under way; whoever calls it calls end.
func (s *Store) begin(ctx context.Context) (end func(), err error) {
	s.calling.RLock()
	defer s.calling.RUnlock()
	if s.ctx.Err() != nil {
		return nil, delivery.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.health.err() != nil {
		if err := s.health.brief(ctx); err != nil {
			return nil, cmp.Or(ctx.Err(), err)
		}
	}
	s.calls.Add(1)
	return s.calls.Done, nil
}

// names are the texts that depend on the schema, which is known when the
// database has been asked for it.
type names struct {
	schema string
	// space begins what is hashed to a lock.
	space   uint64
	channel string
}

func (s *Store) nameAll(database, schema string) {
	sum := sha256.Sum256([]byte(database + "\x00" + schema + "\x00" + s.prefix))
	s.names.Store(&names{
		schema:  schema,
		space:   binary.BigEndian.Uint64(sum[:]),
		channel: fmt.Sprintf("kindly_%x", sum[:16]),
	})
}

// chatOf names a chat in the tables, uuid.Nil if the delivery has none: ids of
// chats are longer than an index takes. Strangers who choose an id cannot make
// it another's.
func chatOf(chatID string) (chat uuid.UUID) {
	if chatID != "" {
		sum := sha256.Sum256([]byte(chatID))
		copy(chat[:], sum[:])
	}
	return chat
}

var errOutcome = errors.New("the connection to the database was lost, and what has become of the call is not known yet")
