package delivery

import (
	"cmp"
	"slices"
	"time"
)

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

// StoreStatus returns what the store tells of itself by a method Status() any,
// nil if it has none.
func (q *Dispatcher) StoreStatus() any {
	if s, ok := q.store.(interface{ Status() any }); ok {
		return s.Status()
	}
	return nil
}

// Losses returns what counts the losses, nil if nothing does.
func (q *Dispatcher) Losses() *Losses { return q.losses }

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

func (h *health) status(now time.Time) LaneStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := LaneStatus{
		Condition:   h.condition,
		Since:       h.since,
		LastError:   h.lastError,
		LastErrorAt: h.lastErrorAt,
	}
	if now.Before(h.heldUntil) {
		s.HeldUntil = h.heldUntil
	}
	if h.condition != Healthy {
		s.NextProbe = h.probeAt
		if h.heldUntil.After(s.NextProbe) {
			s.NextProbe = h.heldUntil
		}
	}
	if !h.pausedAt.IsZero() {
		s.Condition, s.Since, s.NextProbe = PausedByHand, h.pausedAt, time.Time{}
	}
	return s
}
