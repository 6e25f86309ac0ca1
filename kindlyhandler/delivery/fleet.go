package delivery

import (
	"context"
	"time"
)

// In a fleet several dispatchers, each in a process of its own, work with one
// [Shared] store. What they know of an upstream, and what an operator pauses,
// is each one's own; a rate is for all of them together.

// membership is a process's place among those that share its store.
type membership struct{ place, of int }

var (
	// alone is the membership where nobody shares the store.
	alone = membership{0, 1}
	// stranger is who does not know yet whether others do.
	stranger = membership{}
)

// share returns a member's part of a rate, and whether it has any: where there
// are fewer attempts than members, some make none. All parts are the rate, so a
// stranger, whom the others do not count yet, has none.
func (m membership) share(r Rate) (part Rate, any bool) {
	switch {
	case r == Rate{}:
		return r, true
	case m == stranger:
		return Rate{}, false
	}
	n := r.Attempts / m.of
	if m.place < r.Attempts%m.of {
		n++
	}
	return Rate{n, r.Per}, n > 0
}

// watch makes the dispatcher one of those that share the store.
func (q *Dispatcher) watch(store Shared) {
	q.shared = true
	q.membership = stranger
	store.Watch(Watch{Changed: q.changed, Members: q.joined})
}

// changed lets lanes look for what others have left to do.
func (q *Dispatcher) changed(name Lane) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	for _, l := range q.lanes {
		if name == (Lane{}) || name == l.Lane {
			l.poke()
		}
	}
}

// joined divides the rates anew.
func (q *Dispatcher) joined(place, of int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.membership = membership{place, of}
	for _, l := range q.lanes {
		if definition := l.definition.Load(); definition != nil {
			l.configure(definition, q.membership)
		}
	}
}

// configure lets the gate admit what this process may.
func (l *lane) configure(definition *Definition, m membership) {
	limit := definition.Concurrency
	part, any := m.share(definition.Rate)
	if l.barred.Store(!any); !any {
		limit = 0
	}
	l.gate.configure(limit, part)
	l.poke()
}

// The intervals at which a process looks whether another one is done with an
// attempt for which a chat waits here, too.
const (
	minLook = 20 * time.Millisecond
	maxLook = 500 * time.Millisecond
)

// elsewhere waits until the attempt of a delivery that another process makes has
// ended, until ctx ends at the latest, and returns the delivery as it is by then.
func (q *Dispatcher) elsewhere(ctx context.Context, d *Delivery) *Delivery {
	for wait := minLook; q.shared && d.State == Pending && d.Claimed; wait = min(2*wait, maxLook) {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return d
		case <-timer.C:
		}
		if now, err := q.store.Get(ctx, d.ID); err == nil {
			d = now
		}
	}
	return d
}
