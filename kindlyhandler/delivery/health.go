package delivery

import (
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	// breakerThreshold is how many failures in a row open the breaker.
	breakerThreshold   = 5
	breakerMinInterval = time.Second
	breakerMaxInterval = 30 * time.Second

	// pauseThreshold is how many different deliveries in a row must be refused
	// to pause the lane: some systems refuse one ticket with a 403 or a 404,
	// and no visitor may stop all tickets.
	pauseThreshold   = 3
	pauseMinInterval = time.Minute
	pauseMaxInterval = 15 * time.Minute
)

// Condition says whether a lane makes attempts.
type Condition uint8

const (
	// Healthy lanes do.
	Healthy Condition = iota
	// Open: the circuit breaker is, because the upstream seems to be down. One
	// probe at a time finds out whether it is back.
	Open
	// Paused: the upstream answers, but the configuration is wrong. One probe
	// at a time finds out whether that was mended.
	Paused
	// PausedByHand: by [Dispatcher.Pause].
	PausedByHand
)

func (c Condition) String() string {
	return [...]string{"healthy", "open", "paused", "paused_by_hand"}[c]
}

// health is what a lane knows of its upstream from the attempts so far. While
// the lane is not healthy, one probe at a time finds out whether it is again,
// at intervals that double.
type health struct {
	mu          sync.Mutex
	condition   Condition   // as attempts find it, never PausedByHand
	since       time.Time   // of the condition
	pausedAt    time.Time   // by hand; zero if it is not
	failures    int         // in a row
	refused     []uuid.UUID // in a row, each once
	lastSuccess time.Time   // by the wall clock, as the times of attempts
	heldUntil   time.Time   // what the upstream asked for
	interval    time.Duration
	probeAt     time.Time
	probes      uint64 // numbers them
	probing     uint64 // the one under way, 0 if there is none
	lastError   string
	lastErrorAt time.Time
	undefined   bool
	shared      bool // with other processes, which settle deliveries, too
	reckoning   reckoning
}

// admits tells whether an attempt should be made, as the probe of that number
// unless it is 0.
func (h *health) admits(probe uint64, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pausedAt.IsZero() && (probe != 0 || h.condition == Healthy && !now.Before(h.heldUntil))
}

// allowance returns how many of n attempts may start now, and the number of
// the probe if it is one. If it is none and only time has to pass, it returns
// until when.
func (h *health) allowance(now time.Time, n int) (limit int, probe uint64, again time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case n <= 0 || h.probing != 0 || !h.pausedAt.IsZero():
		return 0, 0, time.Time{}
	case now.Before(h.heldUntil):
		return 0, 0, h.heldUntil
	case h.condition == Healthy:
		return n, 0, time.Time{}
	case now.Before(h.probeAt):
		return 0, 0, h.probeAt
	default:
		h.probes++
		h.probing = h.probes
		return 1, h.probing, time.Time{}
	}
}

// noProbe takes back a probe that did not become an attempt.
func (h *health) noProbe(probe uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probed(probe)
}

// probed tells whether an attempt is the probe under way, which ends by that.
func (h *health) probed(probe uint64) bool {
	if probe == 0 || probe != h.probing {
		return false
	}
	h.probing = 0
	return true
}

// reconfigured allows a probe at once: the operator may have mended what was
// wrong. What is under way with the old configuration is no probe any more.
func (h *health) reconfigured(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heldUntil = time.Time{} // it may be about another upstream
	if h.condition != Healthy {
		h.interval, h.probeAt, h.probing = 0, now, 0
	}
	h.reckon(now)
}

// observe takes note of an attempt, and decides what a Refused one means for
// its delivery. It returns the lane's condition before and after.
func (h *health) observe(d *Delivery, o *Outcome, made Attempt, probe uint64, now time.Time) (before, after Condition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.reckon(now)
	before = h.condition
	defer func() {
		if h.condition != before {
			h.since = now
		}
	}()
	probed := h.probed(probe)
	if o.Err != nil {
		h.lastError, h.lastErrorAt = o.Err.Error(), made.At.Add(made.Duration)
	}
	if o.HoldLane && o.RetryAfter > 0 {
		if until := now.Add(min(o.RetryAfter, MaxRetryAfter)); until.After(h.heldUntil) {
			h.heldUntil = until
		}
	}
	if o.Verdict == Success {
		h.refused = h.refused[:0]
		h.lastSuccess = made.At.Add(made.Duration)
	}
	if o.Verdict == Refused {
		o.Verdict = h.refusal(d, o.Status)
	}
	switch {
	case o.Verdict == Misconfigured:
		h.failures = 0
		h.worsen(Paused, probed, now, pauseMinInterval, pauseMaxInterval)
	case o.Down:
		h.failures++
		if h.failures >= breakerThreshold {
			h.worsen(Open, probed, now, breakerMinInterval, breakerMaxInterval)
		} else if h.condition == Paused {
			h.worsen(Paused, probed, now, pauseMinInterval, pauseMaxInterval)
		}
	case o.Verdict != Success && o.Stage != StageUpstream:
		// It never got to the upstream.
	case o.Verdict == Transient && h.condition == Paused:
		// It answered (429), but not whether the configuration is right now.
		if probed {
			h.interval = max(h.interval, pauseMinInterval)
			h.probeAt = now.Add(h.interval)
		}
	default:
		h.condition, h.failures, h.interval, h.probing = Healthy, 0, 0, 0
	}
	return before, h.condition
}

func (h *health) refusal(d *Delivery, status int) Verdict {
	if h.condition == Paused {
		return Misconfigured
	}
	for _, a := range d.Attempts {
		if a.Status == status && a.Stage == StageUpstream && a.At.Before(h.lastSuccess) {
			return Permanent
		}
	}
	if !slices.Contains(h.refused, d.ID) {
		h.refused = append(h.refused, d.ID)
	}
	if len(h.refused) < pauseThreshold {
		return Transient
	}
	h.refused = h.refused[:0]
	return Misconfigured
}

// worsen sets the condition and the next probe. Attempts that were under way
// when the condition set in do not stretch the interval; a failed probe does.
func (h *health) worsen(c Condition, probed bool, now time.Time, least, most time.Duration) {
	switch {
	case h.condition != c:
		h.interval = least
	case probed:
		h.interval = min(max(2*h.interval, least), most)
	default:
		return
	}
	h.condition = c
	h.probeAt = now.Add(h.interval)
}

// ill tells whether the lane is known not to work.
func (h *health) ill() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.condition != Healthy
}
