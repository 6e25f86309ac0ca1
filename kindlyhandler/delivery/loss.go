package delivery

import (
	"maps"
	"sync"
)

// Loss is a way by which an accepted webhook does not become a ticket of its
// own.
type Loss string

const (
	// LossDuplicate: the same webhook had been accepted before.
	LossDuplicate Loss = "duplicate"
	// LossDead: the upstream refused it for good, or failed for too long. It
	// can be retried by hand.
	LossDead Loss = "dead"
	// LossExpired: it was a dead letter until its retention was over.
	LossExpired Loss = "expired"
	// LossDropped and LossErased: an operator dropped it before it was
	// delivered, or erased its chat.
	LossDropped Loss = "dropped"
	LossErased  Loss = "erased"
	// LossDamaged: it could not be read any more.
	LossDamaged Loss = "damaged"
	// LossLeftBehind: it is pending in a store that the configuration does not
	// name any more. It goes out when that store is used again.
	LossLeftBehind Loss = "left_behind"
)

// Losses counts them since it was made. It is safe for concurrent use, and nil
// counts nothing.
type Losses struct {
	mu     sync.Mutex
	counts map[Lane]map[Loss]int
	notify func(Lane, Loss, int)
}

// NewLosses returns a counter that passes on, unless that is nil, what it
// counts. A Lane is empty where it is not known.
func NewLosses(notify func(lane Lane, why Loss, n int)) *Losses {
	return &Losses{counts: make(map[Lane]map[Loss]int), notify: notify}
}

// Add counts n losses of a lane.
func (l *Losses) Add(lane Lane, why Loss, n int) {
	if l == nil || n <= 0 {
		return
	}
	l.mu.Lock()
	if l.counts[lane] == nil {
		l.counts[lane] = make(map[Loss]int)
	}
	l.counts[lane][why] += n
	l.mu.Unlock()
	if l.notify != nil {
		l.notify(lane, why, n)
	}
}

// Of returns the losses of a lane.
func (l *Losses) Of(lane Lane) map[Loss]int {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.counts[lane])
}

// Total returns the losses of all lanes.
func (l *Losses) Total() map[Loss]int {
	total := make(map[Loss]int)
	if l == nil {
		return total
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, counts := range l.counts {
		for why, n := range counts {
			total[why] += n
		}
	}
	return total
}

// WithLosses sets what counts the losses that the dispatcher sees; by default
// nothing does.
func WithLosses(l *Losses) Option { return func(q *Dispatcher) { q.losses = l } }
