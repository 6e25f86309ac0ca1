package delivery

import (
	"sync/atomic"
	"time"
)

// clock is the time by which deliveries are due: the wall clock's at some
// moment, and what has passed since. When the wall clock is set, the time goes
// on as if it had not been: what waits for an hour waits for an hour.
type clock struct {
	wall  func() time.Time
	epoch atomic.Pointer[epoch]
}

// epoch is one moment on both clocks.
type epoch struct{ wall, monotonic time.Time }

// follow sets the time by the wall clock, and returns by how much.
func (c *clock) follow() (by time.Duration) {
	e := &epoch{c.wall(), time.Now()}
	if c.epoch.Load() != nil {
		by = e.wall.Sub(c.now())
	}
	c.epoch.Store(e)
	return by
}

func (c *clock) now() time.Time {
	e := c.epoch.Load()
	return e.wall.Add(time.Since(e.monotonic))
}

// shown returns a time as the wall clock has it.
func (c *clock) shown(t time.Time) time.Time {
	if by := c.wall().Sub(c.now()); !t.IsZero() && by.Abs() > maxDrift {
		return t.Add(by)
	}
	return t
}

// maxDrift is how far the wall clock may be away before anybody cares.
const maxDrift = time.Minute

// away tells whether the wall clock was set.
func (c *clock) away() bool { return c.wall().Sub(c.now()).Abs() > maxDrift }

// followClock goes by the wall clock again after that was set, once no lane
// has anything whose time was told by the old one.
func (q *Dispatcher) followClock() {
	if !q.clock.away() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.lanes {
		if l.definition.Load() != nil && (!l.empty.Load() || !l.worthwhile()) {
			return
		}
	}
	by := q.clock.follow()
	for _, l := range q.lanes {
		l.health.shift(by)
		l.health.restart(q.now())
	}
	q.log.Info("the system clock was set: deliveries are due by it from now on")
}

// plausible tells whether a delivery can be due as late as it says. If not, its
// time is from a clock that was ahead, before the last start: within a process
// the time does not jump.
func (q *Dispatcher) plausible(d *Delivery) bool {
	if len(d.Attempts) == 0 || d.DueAt.Sub(q.now()) > MaxRetryAfter+maxDrift {
		return false
	}
	last := d.Attempts[len(d.Attempts)-1]
	return last.At.Sub(q.clock.wall()) < maxDrift // else it was made in the future
}
