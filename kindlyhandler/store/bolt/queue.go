package bolt

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// An operation is what a transaction does for one call.
type operation struct {
	ctx context.Context
	// do decides and writes. An error means that it has done nothing.
	do func(w *writer) error
	// committed, if there is one, is called when what was done is on disk.
	committed func()
	// undo, if there is one, takes back what was committed although the caller
	// was told that it was not.
	undo func(w *writer) error

	state atomic.Int32
	err   error
	done  chan struct{} // nil if nobody waits
}

// States of an operation.
const (
	opWaiting int32 = iota
	opTaken
	opWithdrawn
)

// take makes the operation the committer's, unless nobody wants it any more.
func (o *operation) take() bool {
	if o.ctx != nil && o.ctx.Err() != nil {
		return false
	}
	return o.state.CompareAndSwap(opWaiting, opTaken)
}

func (o *operation) end(err error) {
	o.err = err
	if o.done != nil {
		close(o.done)
	}
}

const (
	// maxBatch bounds a transaction's operations that somebody waits for.
	maxBatch = 256
	// maxLinger is how long a completion, for which nobody waits, waits for
	// others to be committed with.
	maxLinger = 50 * time.Millisecond
	// company is how long a transaction waits for more operations if the one
	// before had more than few: a commit costs as much for one as for many.
	company = 300 * time.Microsecond
	few     = 4
)

// queue has the operations that wait for a transaction.
type queue struct {
	mu     sync.Mutex
	urgent []*operation // somebody waits for them
	lazy   []*operation
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
		q.kick() // to start its time
	}
	return true
}

// back returns completions that could not be committed.
func (q *queue) back(lazy []*operation) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lazy = append(lazy, q.lazy...)
}

// take returns what the next transaction is to do, completions first.
func (q *queue) take() (lazy, urgent []*operation) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lazy, q.lazy = q.lazy, nil
	n := min(len(q.urgent), maxBatch)
	urgent = q.urgent[:n:n]
	q.urgent = q.urgent[n:]
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

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.kick()
}

// perform commits an operation, and waits for that. If ctx ends first, it is
// as if it had never been: what the committer does already is undone. Without
// an undo it waits for the committer then.
//
// What meets damage is done again when that is mended.
func (s *Store) perform(ctx context.Context, o *operation) error {
	for again := range 3 {
		err := s.performOnce(ctx, &operation{do: o.do, committed: o.committed, undo: o.undo})
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
	if o.state.CompareAndSwap(opWaiting, opWithdrawn) {
		return ctx.Err()
	}
	if o.undo == nil {
		<-o.done
		return o.err
	}
	s.queue.put(&operation{do: func(w *writer) error {
		if <-o.done; o.err != nil {
			return nil
		}
		return o.undo(w)
	}})
	return ctx.Err()
}
