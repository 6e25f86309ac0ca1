package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"
)

// health says whether the database can be used. While it cannot, nobody but one
// goroutine connects: a database that comes back is not met by all at once.
type health struct {
	mu    sync.Mutex
	why   error // nil while it can
	since time.Time
	up    chan struct{} // closed while it can
	wake  chan struct{}
}

func (h *health) init() {
	h.up = make(chan struct{})
	h.wake = make(chan struct{}, 1)
	h.why = errNotYet
}

var errNotYet = errors.New("the database was not reached yet")

func (h *health) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.why
}

// report notes that the database cannot be used, and tells whether that is news.
func (h *health) report(why error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	news := h.why == nil
	if news {
		h.up = make(chan struct{})
		h.since = time.Now()
	}
	h.why = why
	select {
	case h.wake <- struct{}{}:
	default:
	}
	return news
}

// recovered returns for how long the database could not be used.
func (h *health) recovered() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.why == nil {
		return 0
	}
	h.why = nil
	close(h.up)
	if h.since.IsZero() {
		return 0
	}
	return time.Since(h.since)
}

// wait waits until the database can be used.
func (h *health) wait(ctx context.Context) error {
	for {
		h.mu.Lock()
		why, up := h.why, h.up
		h.mu.Unlock()
		if why == nil {
			return nil
		}
		select {
		case <-up:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// grace is how long calls wait for a database that has just gone: it may be one
// connection only, or a restart.
const grace = time.Second

// brief is err, but waits while the database has only just gone.
func (h *health) brief(ctx context.Context) error {
	h.mu.Lock()
	why, since := h.why, h.since
	h.mu.Unlock()
	left := grace - time.Since(since)
	if why == nil || since.IsZero() || left <= 0 {
		return why
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	if h.wait(ctx) == nil {
		return nil
	}
	return h.err()
}

// failed explains why a call failed, and notes it if the database is to blame.
func (s *Store) failed(err error) error {
	err = explain(err)
	var p *problem
	if errors.As(err, &p) && p.down && s.ctx.Err() == nil && s.health.report(err) {
		s.log.Error("the database is not available: webhooks are refused until it is", zap.Error(err))
		s.pool.Reset()
	}
	return err
}

// The intervals at which a database is tried that cannot be used.
const (
	minReconnect = 100 * time.Millisecond
	maxReconnect = 3 * time.Second
)

// jittered spreads what many would do at once.
func jittered(d time.Duration) time.Duration {
	return d/2 + rand.N(d) //nolint:gosec // nobody gains by guessing it
}

// sleep is false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attend is the goroutine that beats, and that connects while the database
// cannot be used.
func (s *Store) attend() {
	beat := time.NewTicker(s.timing.beat)
	defer beat.Stop()
	for wait := minReconnect; s.ctx.Err() == nil; {
		if s.health.err() == nil {
			wait = minReconnect
			select {
			case <-beat.C:
				s.beat()
			case <-s.health.wake:
			case <-s.ctx.Done():
			}
			continue
		}
		if !sleep(s.ctx, jittered(wait)) {
			return
		}
		wait = min(2*wait, maxReconnect, s.timing.lease/5) // nobody is to be taken for dead for it
		ctx, cancel := context.WithTimeout(s.ctx, s.timing.call)
		err := s.attach(ctx)
		cancel()
		if err == nil || s.ctx.Err() != nil {
			continue
		}
		s.pool.Reset() // what is wrong may be with the sessions
		if old := s.health.err(); old == nil || old.Error() != err.Error() {
			s.log.Error("the database is still not available", zap.Error(err))
		}
		s.health.report(err)
	}
}
