package delivery

import "time"

// What counts towards [RetryPolicy.MaxElapsed] is the time in which a delivery
// could have been delivered: its attempts, the intervals between them as soon
// as they are set, and the time for which it is overdue then, be it that the
// upstream is down or has no room. It is added up at each attempt. What does
// not count is the time in which the lane is paused, held or not defined, what
// a Retry-After asks for, the wait for an earlier delivery of the same chat,
// and all before the process began: where something is not known, the delivery
// has longer.

// reckoning knows which time of a lane counts.
type reckoning struct {
	since  time.Time // nothing before does
	breaks []span    // in order; they do not overlap
	// unblocked is when a delivery was last settled that held back a later one
	// of its chat.
	unblocked time.Time
}

type span struct{ from, to time.Time }

// maxBreaks bounds what is remembered; nothing before the oldest break counts.
const maxBreaks = 32

// forever is the length of a break whose end is not known yet.
const forever = time.Duration(1 << 62)

// interrupt says until when no time counts from now on; if that is over, it
// does. It overrules what was said before.
func (r *reckoning) interrupt(now, until time.Time) {
	n := len(r.breaks)
	if n > 0 && r.breaks[n-1].to.After(now) {
		r.breaks[n-1].to = now
	}
	switch {
	case !until.After(now):
	case n > 0 && r.breaks[n-1].to.Equal(now):
		r.breaks[n-1].to = until
	default:
		r.breaks = append(r.breaks, span{now, until})
	}
	if len(r.breaks) > maxBreaks {
		r.since = r.breaks[0].to
		r.breaks = r.breaks[1:]
	}
}

// counted returns how much of a time counts.
func (r *reckoning) counted(from, to time.Time) time.Duration {
	from = later(from, r.since)
	counted := max(to.Sub(from), 0)
	for _, b := range r.breaks {
		counted -= max(earlier(b.to, to).Sub(later(b.from, from)), 0)
	}
	return counted
}

// counted returns how much of the time since d was due, or since the attempt
// began if that was earlier, counts at its end.
func (h *health) counted(d *Delivery, began, ended time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	from := earlier(d.DueAt, began)
	switch held := d.Tries == 0 && d.ChatID != ""; { // it may have been, until then
	case held && h.shared:
		from = began
	case held:
		from = later(from, h.reckoning.unblocked)
	}
	return h.reckoning.counted(from, ended)
}

// reckon takes note of whether time counts from now on.
func (h *health) reckon(now time.Time) {
	until := h.heldUntil
	if h.undefined || h.condition == Paused || !h.pausedAt.IsZero() {
		until = now.Add(forever)
	}
	h.reckoning.interrupt(now, until)
}

// define takes note of whether the lane is defined.
func (h *health) define(defined bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.undefined = !defined
	h.reckon(now)
}

// unblock takes note of a settled delivery that held back another one.
func (h *health) unblock(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reckoning.unblocked = now
}

// restart lets no time before now count.
func (h *health) restart(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reckoning = reckoning{since: now}
	h.reckon(now)
}

// shift moves the times that are shown.
func (h *health) shift(by time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.since = h.since.Add(by)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
