// Package bolt keeps deliveries in one file, by bbolt: what Put has accepted is
// on disk, and still there after a crash.
//
// One goroutine commits (committer.go): it takes what waits into one
// transaction. What must be found by something else than a delivery's id is
// either in a table of its own (tables.go) or, if that would be random writes,
// in memory (keys.go, index.go), made anew when the file is opened (load.go).
// A damaged file is set aside and what can be read of it imported (damage.go,
// salvage.go); one that is mostly empty is compacted (compact.go). With a key,
// what quotes people is encrypted (encryption.go).
package bolt

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

// Options of a [Store]. Zero values mean the defaults.
type Options struct {
	// Path of the file. Its directory is made if there is none, for this user
	// alone. Required.
	Path string
	// LockTimeout is how long Open waits for another process to let go of the
	// file; default 3 seconds.
	LockTimeout time.Duration
	// Log defaults to none, Now to [time.Now].
	Log *zap.Logger
	Now func() time.Time
	// Losses counts the dead letters whose retention is over, and what damage
	// has made unreadable; default nothing.
	Losses *delivery.Losses
	// Keys encrypt what quotes people, see [Store.SetKeys]; nil has nothing
	// encrypted. Open fails with a [*seal.UnknownKeyError] if they are too few
	// for what is in the file, which is as it was then.
	Keys *seal.Keys

	Limits
}

// Limits can be changed while the store is open. The defaults are
// [delivery.DefaultLimits].
type Limits = delivery.Limits

// Store is a [delivery.Store] in a file.
//
// Until its index has been read, in the background after Open, and while a
// damaged file is replaced, its methods wait.
type Store struct {
	path   string
	log    *zap.Logger
	now    func() time.Time
	limits atomic.Pointer[Limits]
	losses *delivery.Losses
	lock   *bbolt.DB
	file   file
	// sealing has the keys.
	sealing sealing

	queue queue

	mu    sync.Mutex // never held while anything is waited for
	index index
	ready chan struct{} // closed when the index is complete
	round chan struct{} // closed when no transaction is under way

	// For the committer alone. stale: the index is not that of the file. room
	// is how many completions there may be in the next transaction.
	stale   bool
	room    int
	placing placing
	reserve reserve

	damage damage
	// unfinished, for the committer alone, are the files that were set aside
	// and are not imported yet.
	unfinished []string
	compact    compaction

	maxKeys int
	crowded chan struct{} // there are more keys in memory than that

	// hook, in tests, is what commits go through.
	hook atomic.Pointer[func(commit func() error) error]

	ctx      context.Context // ends when Close begins
	cancel   context.CancelFunc
	routines sync.WaitGroup
	close    func() error
}

var _ delivery.Store = (*Store)(nil)

// Open opens a store, or says why that cannot be. It does not read the file's
// content, which may take long: that follows in the background.
func Open(o Options) (*Store, error) {
	s := &Store{
		path:    o.Path,
		log:     o.Log,
		now:     o.Now,
		losses:  o.Losses,
		index:   newIndex(),
		ready:   make(chan struct{}),
		stale:   true,
		room:    maxUnsaved,
		crowded: make(chan struct{}, 1),
		maxKeys: DefaultMaxKeys,
		sealing: sealing{keys: o.Keys, used: make(map[seal.ID]int)},
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.SetLimits(o.Limits)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.queue.init()
	s.beginRound()()
	s.close = sync.OnceValue(s.shut)

	switch err := s.attach(cmp.Or(o.LockTimeout, 3*time.Second)); {
	case isDamage(err):
		s.damage.report(err)
	case isFull(err): // as if it were full a moment later: load tries again
		s.log.Error("the disk has no room for the store: webhooks are refused until it has", zap.String("path", s.path), zap.Error(err))
	case err != nil:
		s.cancel()
		_ = closeLock(s.lock)
		return nil, fmt.Errorf("store bolt %s: %w", o.Path, err)
	}
	s.routines.Go(s.commit)
	s.routines.Go(s.sweep)
	s.routines.Go(s.spill)
	return s, nil
}

// attach takes the lock and opens the file, as far as that is not done, after
// it has seen to what a crash has left.
func (s *Store) attach(timeout time.Duration) (err error) {
	if s.lock == nil {
		if s.lock, err = lock(s.path, timeout); err != nil {
			s.lock = nil
			return err
		}
	}
	s.compact.clear(s.path)
	if _, err := adopt(s.path); err != nil {
		return err
	}
	_ = os.Remove(freshPath(s.path)) // the damaged file is in its place still
	db, err := open(s.path, timeout)
	if err != nil {
		return err
	}
	if err := s.learnSealers(db); err != nil {
		_ = closeDB(db)
		return err
	}
	s.file.replace(db)
	return nil
}

// SetLimits changes the limits from now on.
func (s *Store) SetLimits(l Limits) {
	l = l.Or(delivery.DefaultLimits)
	s.limits.Store(&l)
}

// Close implements [delivery.Store]. What was saved is committed first.
func (s *Store) Close() error { return s.close() }

func (s *Store) shut() error {
	s.cancel()
	s.queue.close()
	s.routines.Wait()
	db := s.file.replace(nil)
	if s.damage.found() { // what a panic has left locked may make this wait for ever
		go func(damaged *database) { _ = closeDB(damaged) }(db)
		db = nil
	}
	return errors.Join(closeDB(db), closeLock(s.lock))
}

// usable waits until the index is complete.
func (s *Store) usable(ctx context.Context) error {
	for {
		if s.ctx.Err() != nil {
			return delivery.ErrClosed
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		s.mu.Lock()
		ready, is := s.ready, s.isReady()
		s.mu.Unlock()
		if is {
			return nil
		}
		select {
		case <-ready:
		case <-s.ctx.Done():
		case <-ctx.Done():
		}
	}
}

// isReady tells whether the index is complete. The mutex is held.
func (s *Store) isReady() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

// unready makes everybody wait. The mutex is held.
func (s *Store) unready() {
	if s.isReady() {
		s.ready = make(chan struct{})
	}
}

// view reads the file. Damage that it meets is mended by the committer.
func (s *Store) view(read func(tx *bbolt.Tx) error) error {
	db, err := s.file.view(read)
	switch {
	case errors.Is(err, errDamaged):
		s.spoil(db, err)
	case s.file.unmapped.Load():
		s.queue.kick()
	case errors.Is(err, errClosedFile) && s.ctx.Err() != nil:
		return delivery.ErrClosed
	}
	return err
}

// read is view for callers, who need not know of damage: they wait until it is
// mended.
func (s *Store) read(ctx context.Context, read func(tx *bbolt.Tx) error) error {
	for again := range 3 {
		if err := s.usable(ctx); err != nil {
			return err
		}
		err := s.view(read)
		if !errors.Is(err, errDamaged) && !errors.Is(err, errClosedFile) || again == 2 {
			return err
		}
	}
	return errDamaged
}

// spoil notes that a database is damaged, unless another one has taken its
// place since. Everybody waits then until it has.
func (s *Store) spoil(db *database, why error) {
	s.mu.Lock()
	if s.file.current() == db {
		s.damage.report(why)
		s.unready()
	}
	s.mu.Unlock()
	s.queue.kick()
}

// Find implements [delivery.Store].
func (s *Store) Find(ctx context.Context, key delivery.Key) (all []*delivery.Delivery, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	none := len(s.index.keys.find(key)) == 0 && len(s.index.keys.spilled) == 0
	round := s.round
	s.mu.Unlock()
	if none {
		return nil, nil
	}
	select {
	case <-round: // its commit may be under way
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		all = nil
		keys := s.sealing.current() // not older than what is read
		first, err := s.findKey(tx, key)
		if first == nil || err != nil {
			return err
		}
		for _, id := range append([]uuid.UUID{first.id}, first.others()...) {
			d, err := readRecord(tx, id, keys)
			if errors.Is(err, delivery.ErrNotFound) { // dropped
				continue
			}
			if err == nil {
				err = readContent(tx, d, keys)
			}
			if err != nil {
				return err
			}
			if d = s.present(d); d != nil {
				all = append(all, d)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// found is a record and where it is.
type found struct {
	id uuid.UUID
	record
}

// findKey returns the first delivery of the webhook with a key that has not
// expired, nil if there is none.
func (s *Store) findKey(tx *bbolt.Tx, key delivery.Key) (*found, error) {
	b := deliveries.in(tx)
	if b == nil || key == (delivery.Key{}) {
		return nil, nil
	}
	now := nanos(s.now())
	c := b.Cursor()
	for _, start := range s.candidates(tx, key) {
		for id, value := c.Seek(binary.BigEndian.AppendUint64(nil, start)); len(id) == idSize && head(id) == start; id, value = c.Next() {
			r, err := decode(id, value)
			if err != nil {
				return nil, err
			}
			if !r.first || r.keyHead != head(key[:]) || r.keyExpires <= now {
				continue
			}
			f := &found{uuid.UUID(id), r}
			whole, err := f.key()
			if err != nil {
				return nil, err
			}
			if whole == key {
				return f, nil
			}
		}
	}
	return nil, nil
}

// others returns the siblings' ids.
func (r *record) others() (ids []uuid.UUID) {
	for id := range slices.Chunk(r.siblings, idSize) {
		ids = append(ids, uuid.UUID(id))
	}
	return ids
}

// readRecord returns a delivery without its content.
func readRecord(tx *bbolt.Tx, id uuid.UUID, keys *seal.Keys) (*delivery.Delivery, error) {
	b := deliveries.in(tx)
	if b == nil {
		return nil, delivery.ErrNotFound
	}
	value := b.Get(id[:])
	if value == nil {
		return nil, delivery.ErrNotFound
	}
	r, err := decode(id[:], value)
	if err != nil {
		return nil, err
	}
	return r.delivery(id, keys)
}

// readContent adds a delivery's content.
func readContent(tx *bbolt.Tx, d *delivery.Delivery, keys *seal.Keys) (err error) {
	b := contents.in(tx)
	if b == nil {
		return nil
	}
	value := b.Get(contentKey(d.ID, kindBody))
	if value == nil && d.State != delivery.Delivered { // which all others have
		return fmt.Errorf("%w: a webhook is not there", errDamaged)
	}
	if value != nil {
		if _, d.Customer, d.Body, err = decodeBody(d.ID, value, keys); err != nil {
			return err
		}
	}
	if value := b.Get(contentKey(d.ID, kindTranscript)); value != nil {
		if d.Transcript, err = decodeTranscript(d.ID, value, keys); err != nil {
			return err
		}
	}
	return nil
}

// present returns a delivery, just read, as it is now: nil if nobody is to see
// it.
func (s *Store) present(d *delivery.Delivery) *delivery.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index.present(d)
}

// Get implements [delivery.Store].
func (s *Store) Get(ctx context.Context, id uuid.UUID) (d *delivery.Delivery, err error) {
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		keys := s.sealing.current()
		if d, err = readRecord(tx, id, keys); err != nil {
			return err
		}
		if err = readContent(tx, d, keys); err != nil {
			return err
		}
		if d = s.present(d); d == nil {
			return delivery.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}
