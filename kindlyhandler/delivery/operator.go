package delivery

import (
	"errors"
	"time"
)

// ErrNoLane means that no definition has ever named the lane.
var ErrNoLane = errors.New("no such upstream")

// Pause makes a lane attempt nothing, not even as a probe, until Resume; what
// is with the upstream already goes on, and [Dispatcher.Retry] works. Webhooks
// are accepted meanwhile. The pause holds over each Push, but not longer than
// the dispatcher. It fails with ErrNoLane.
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

// pause makes the lane attempt nothing, and tells whether that is new.
func (h *health) pause(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.pausedAt.IsZero() {
		return false
	}
	h.pausedAt = now
	h.reckon(now)
	return true
}

// resume ends that, and tells whether there was anything to end. The operator
// knows better than what attempts found.
func (h *health) resume(now time.Time) bool {
	h.mu.Lock()
	changed := !h.pausedAt.IsZero() || h.condition != Healthy || now.Before(h.heldUntil)
	h.pausedAt = time.Time{}
	h.mu.Unlock()
	h.reconfigured(now)
	return changed
}

// probeNow makes the next probe due.
func (h *health) probeNow(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.condition != Healthy {
		h.probeAt = now
	}
}

// force returns a number for an attempt that is made in any case. It is the
// lane's probe if that could have one now.
func (h *health) force() (probe uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probes++
	if h.condition != Healthy && h.probing == 0 {
		h.probing = h.probes
	}
	return h.probes
}
