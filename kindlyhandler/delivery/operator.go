package delivery

import "time"

// What the operator does to the health of a lane.

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
