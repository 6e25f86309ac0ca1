package delivery

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// ErrNoLane means that no definition has ever named the lane.
var ErrNoLane = errors.New("no such upstream")

// Pause makes a lane attempt nothing, not even as a probe, until Resume; what
// is with the upstream already goes on. Webhooks are accepted meanwhile. The
// pause holds over each Push, but not longer than the dispatcher. It fails with
// ErrNoLane.
func (q *Dispatcher) Pause(name Lane) error {
	l := q.lane(name)
	if l == nil {
		return ErrNoLane
	}
	if l.health.pause(q.now()) {
		l.log().Info("upstream paused by hand: deliveries are kept, and nothing is attempted until it is resumed")
	}
	return nil
}

// Resume ends a pause by hand, and lets a lane be probed at once that was
// found not to work, or asked to be left alone. It fails with ErrNoLane.
func (q *Dispatcher) Resume(name Lane) error {
	l := q.lane(name)
	if l == nil {
		return ErrNoLane
	}
	if l.health.resume(q.now()) {
		l.log().Info("upstream resumed by hand")
	}
	l.poke()
	return nil
}

// LaneStatus is what a dispatcher knows of a lane. Zero times mean none.
type LaneStatus struct {
	Lane Lane
	// Defined says that the newest definitions name the lane; else its
	// deliveries wait.
	Defined   bool
	Condition Condition
	// Since is when that condition set in.
	Since time.Time
	// LastError is the latest error of an attempt, without any text of
	// strangers.
	LastError   string
	LastErrorAt time.Time
	// NextProbe is when the next probe is made at the earliest, if it takes
	// one. It lies in the past while one is under way, or nothing is due.
	NextProbe time.Time
	// HeldUntil is until when the upstream asked to be left alone.
	HeldUntil time.Time
}

// Lanes tells of each lane that was ever defined, sorted by name.
func (q *Dispatcher) Lanes() []LaneStatus {
	now := q.now()
	q.mu.RLock()
	lanes := make([]LaneStatus, 0, len(q.lanes))
	for name, l := range q.lanes {
		status := l.health.status(now)
		for _, t := range []*time.Time{&status.Since, &status.NextProbe, &status.HeldUntil} {
			*t = q.clock.shown(*t)
		}
		status.Lane, status.Defined = name, l.definition.Load() != nil
		lanes = append(lanes, status)
	}
	q.mu.RUnlock()
	slices.SortFunc(lanes, func(a, b LaneStatus) int {
		return cmp.Or(cmp.Compare(a.Lane.Webhook, b.Lane.Webhook), cmp.Compare(a.Lane.Upstream, b.Lane.Upstream))
	})
	return lanes
}
