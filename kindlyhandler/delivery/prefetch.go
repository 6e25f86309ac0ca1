package delivery

import (
	"context"

	"github.com/google/uuid"
	"golang.org/x/time/rate"
)

// Prefetcher is a [Target] that can read in advance what an attempt needs.
// While its lane is known not to work, that is done soon after a webhook was
// accepted: what there is to read may change until the upstream is back.
type Prefetcher interface {
	// Prefetch lets d keep what its attempts need. What it cannot get hold of
	// is left to them.
	Prefetch(ctx context.Context, d *Delivery)
}

const (
	// prefetchesPerSecond and prefetchesAtOnce are for all lanes together: who
	// is asked has others to answer.
	prefetchesPerSecond = 20
	prefetchesAtOnce    = 4
	// prefetchesWaiting bounds those that wait for their turn, some eight
	// minutes' worth. What comes beyond is read by its attempts.
	prefetchesWaiting = 10_000
)

type prefetch struct {
	lane *lane
	id   uuid.UUID
}

type prefetches struct {
	waiting chan prefetch
	rate    *rate.Limiter
}

func newPrefetches() prefetches {
	return prefetches{make(chan prefetch, prefetchesWaiting), rate.NewLimiter(prefetchesPerSecond, 1)}
}

// prefetchLater notes a delivery whose attempt was not worth while.
func (q *Dispatcher) prefetchLater(l *lane, id uuid.UUID) {
	select {
	case q.prefetches.waiting <- prefetch{l, id}:
	default:
	}
}

// prefetch reads in advance until the dispatcher stops.
func (q *Dispatcher) prefetch() {
	for {
		select {
		case <-q.running.Done():
			return
		case p := <-q.prefetches.waiting:
			p.run(q)
		}
	}
}

func (p prefetch) run(q *Dispatcher) {
	definition := p.lane.definition.Load()
	if definition == nil || p.lane.worthwhile() { // it is attempted any moment
		return
	}
	target, ok := definition.Target.(Prefetcher)
	if !ok {
		return
	}
	d, err := q.store.Take(q.running, p.id)
	if err != nil { // it is attempted or settled, or waits for one that is
		return
	}
	defer q.save(d)
	defer func() {
		if r := recover(); r != nil {
			p.lane.logPanic(d.ID, r)
		}
	}()
	if q.prefetches.rate.Wait(q.running) == nil {
		target.Prefetch(q.running, d)
	}
}
