package bolt

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// An operation is what a transaction does for one call.
type operation struct {
	// do decides and writes. An error means that it has done nothing.
	do func(w *writer) error
	// committed, if there is one, is called with the mutex held when what was
	// done is on disk, before the caller learns of it.
	committed func()
	// entries are what a Put stores: it alone does not wait for the committer
	// when ctx ends.
	entries []*entry
	// imports: entries are an Import's, which finds out for itself what is in
	// the file.
	imports bool
	// chat, of a completion, is the one whose order it leaves, 0 for none.
	chat uint64

	ctx   context.Context
	done  chan struct{} // closed when err is set; nil if nobody waits
	err   error
	state operationState // guarded by the store's mutex
}

// follows tells whether an operation is not to be in the file before the
// completions: it may be about one of them, or what comes next in its chat.
// After a crash in between, two of a chat would be pending, in no order.
func (o *operation) follows(completions []*operation) bool {
	return o.entries == nil || o.imports || slices.ContainsFunc(o.entries, func(e *entry) bool {
		return e.chat != 0 && slices.ContainsFunc(completions, func(c *operation) bool { return c.chat == e.chat })
	})
}

type operationState uint8

const (
	_ operationState = iota // it waits
	// taken: the committer is at it.
	taken
	// given up: the caller has gone, and was told that nothing has happened.
	givenUp
)

const (
	// maxBatch bounds a transaction's operations that somebody waits for.
	maxBatch = 256
	// maxLinger is how long a completion, for which nobody waits, waits for
	// others to be committed with: their records are neighbours, most of them on
	// a few pages.
	maxLinger = 50 * time.Millisecond
	// company is how long a transaction waits for more operations if the one
	// before had more than few: a commit costs as much for one as for many.
	company = 300 * time.Microsecond
	few     = 4
	// othersEach is how much later a transaction may begin after the one before
	// for each delivery under way, maxOthers for all of them.
	othersEach = 80 * time.Microsecond
	maxOthers  = 4 * time.Millisecond
)

// queue has the operations that wait for a transaction.
type queue struct {
	mu     sync.Mutex
	urgent []*operation // somebody waits for them
	lazy   []*operation
	since  time.Time // when the first of lazy came
	closed bool
	wake   chan struct{}
}

func (q *queue) init() { q.wake = make(chan struct{}, 1) }

// kick makes the committer look.
func (q *queue) kick() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// put is false when the queue is closed.
func (q *queue) put(o *operation) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	if o.done != nil {
		q.urgent = append(q.urgent, o)
		q.kick()
		return true
	}
	q.lazy = append(q.lazy, o)
	if len(q.lazy) == 1 {
		q.since = time.Now()
		q.kick() // to start its time
	}
	return true
}

// linger returns how long the completions may wait yet.
func (q *queue) linger() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return maxLinger - time.Since(q.since)
}

// back returns to the queue, also to a closed one, what could not be committed.
func (q *queue) back(lazy ...*operation) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lazy = append(lazy, q.lazy...)
	q.since = time.Now()
}

// take returns what the next transaction is to do, with so many completions at
// the most. They wait for others unless their time has come, or an operation
// follows them.
func (q *queue) take(most int, hurry bool) (lazy, urgent []*operation) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.urgent), maxBatch)
	urgent = slices.Clone(q.urgent[:n])
	q.urgent = slices.Delete(q.urgent, 0, n) // and keeps none of their bodies
	n = 0
	if hurry || time.Since(q.since) >= maxLinger ||
		slices.ContainsFunc(urgent, func(o *operation) bool { return o.follows(q.lazy) }) {
		n = min(len(q.lazy), most)
	}
	lazy = slices.Clone(q.lazy[:n])
	q.lazy = slices.Delete(q.lazy, 0, n)
	if len(q.urgent) > 0 {
		q.kick()
	}
	return lazy, urgent
}

func (q *queue) waiting() (lazy, urgent int, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.lazy), len(q.urgent), q.closed
}

// awaited tells whether somebody waits for an operation.
func (q *queue) awaited() bool {
	_, urgent, _ := q.waiting()
	return urgent > 0
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.kick()
}

// perform commits an operation, and waits for that. If ctx ends first, it is
// as if it had never been: what has begun is waited for, but a Put is taken
// back.
//
// What meets damage is done again when that is mended.
func (s *Store) perform(ctx context.Context, o operation) error {
	for again := range 3 {
		err := s.performOnce(ctx, &operation{do: o.do, committed: o.committed, entries: o.entries, imports: o.imports})
		if !errors.Is(err, errDamaged) || again == 2 {
			return err
		}
		if err := s.usable(ctx); err != nil {
			return err
		}
	}
	return errDamaged
}

func (s *Store) performOnce(ctx context.Context, o *operation) error {
	o.ctx, o.done = ctx, make(chan struct{})
	if !s.queue.put(o) {
		return delivery.ErrClosed
	}
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
	}
	if s.giveUp(o) {
		return ctx.Err()
	}
	<-o.done
	return o.err
}

// giveUp makes the committer do nothing for the caller any more, unless that
// is too late.
func (s *Store) giveUp(o *operation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-o.done:
		return false
	default:
	}
	if o.state == taken && o.entries == nil {
		return false
	}
	o.state = givenUp
	return true
}
