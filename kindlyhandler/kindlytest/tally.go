package kindlytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// ErrClosed is the error of waiting for a server that was closed.
var ErrClosed = errors.New("the simulated server is closed")

// tally is a count that one can wait for. Counting costs two atomic operations
// as long as no waiter's turn has come.
type tally struct {
	n    atomic.Int64
	next atomic.Int64 // smallest count that somebody waits for; 0: nobody does

	mu      sync.Mutex
	waiters []*waiter
}

type waiter struct {
	target int64
	done   chan struct{}
}

func (t *tally) count() int {
	return int(t.n.Load())
}

func (t *tally) add() {
	// wait stores next before it loads n, so one of the two sees the other.
	n := t.n.Add(1)
	if next := t.next.Load(); next == 0 || n < next {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiters = slices.DeleteFunc(t.waiters, func(w *waiter) bool {
		if w.target > n {
			return false
		}
		close(w.done)
		return true
	})
	t.update()
}

// wait returns nil when the count has reached target, and an error if ctx ends
// or closing is closed before.
func (t *tally) wait(ctx context.Context, closing <-chan struct{}, target int) error {
	w := &waiter{target: int64(target), done: make(chan struct{})}
	if t.n.Load() >= w.target {
		return nil
	}
	t.mu.Lock()
	t.waiters = append(t.waiters, w)
	t.update()
	t.mu.Unlock()
	defer t.forget(w)

	if t.n.Load() >= w.target {
		return nil
	}
	var err error
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-closing:
		err = ErrClosed
	}
	n := t.n.Load()
	if n >= w.target {
		return nil
	}
	return fmt.Errorf("waiting for %d, have %d: %w", target, n, err)
}

func (t *tally) forget(w *waiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiters = slices.DeleteFunc(t.waiters, func(other *waiter) bool { return other == w })
	t.update()
}

// update sets next; t.mu is held.
func (t *tally) update() {
	var next int64
	for _, w := range t.waiters {
		if next == 0 || w.target < next {
			next = w.target
		}
	}
	t.next.Store(next)
}
