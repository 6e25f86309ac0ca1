package delivery

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
)

// lane carries the deliveries of one upstream: first attempts on behalf of
// [Dispatcher.Submit], later ones on its own.
type lane struct {
	Lane
	dispatcher *Dispatcher
	definition atomic.Pointer[Definition] // nil while the configuration does not name the lane
	health     health
	gate       gate
	empty      atomic.Bool // nothing waits for its time
	barred     atomic.Bool // what the rate allows is for other processes
	wake       chan struct{}

	// trusted is a time far ahead at which a delivery is due rightly. It is for
	// run alone.
	trusted time.Time
}

// longestNap is how often a lane looks at least whether the wall clock was set.
const longestNap = time.Minute

// claimAtOnce bounds what a lane claims of its store at once.
const claimAtOnce = 256

// poke makes the lane look for deliveries that are due.
func (l *lane) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run makes the later attempts until the dispatcher stops.
func (l *lane) run() {
	timer := time.AfterFunc(0, l.poke)
	defer timer.Stop()
	for {
		select {
		case <-l.dispatcher.running.Done():
			return
		case <-l.wake:
		}
		if l.dispatcher.ending() { // both at once
			return
		}
		nap := longestNap
		if next := l.dispatch(); !next.IsZero() {
			nap = min(max(next.Sub(l.dispatcher.now()), 0), longestNap)
		}
		timer.Reset(nap)
		l.dispatcher.followClock()
	}
}

// dispatch starts the attempts that are due, and returns when to look again;
// zero means when poked.
func (l *lane) dispatch() time.Time {
	definition := l.definition.Load()
	if definition == nil {
		return time.Time{}
	}
	now := l.dispatcher.now()
	room, wait := l.gate.reserve(claimAtOnce)
	if room == 0 {
		return soon(now, wait)
	}
	limit, probe, again := l.health.allowance(now, room)
	if limit == 0 {
		l.gate.release(room)
		return again
	}
	due, next, err := l.claim(now, limit, definition.Retry.MaxInterval)
	l.empty.Store(err == nil && len(due) == 0 && next.IsZero())
	l.gate.release(room - len(due))
	if len(due) == 0 {
		l.health.noProbe(probe)
	}
	if err != nil {
		if !errors.Is(err, context.Canceled) && !errors.Is(err, ErrClosed) {
			l.log().Error("cannot claim deliveries", zap.Error(err))
		}
		return now.Add(time.Second)
	}
	for i, d := range due {
		a := l.begin(d, definition)
		if a == nil { // the dispatcher stops
			l.gate.release(len(due) - i)
			for _, d := range due[i:] { // at once: the store may be slow
				l.dispatcher.loops.Go(func() { l.dispatcher.save(d) })
			}
			return time.Time{}
		}
		a.probe, a.reserved = probe, true
		go func() {
			a.run()
			l.poke()
		}()
	}
	return next
}

// claim claims what is due, else one delivery that says it is due later than it
// can be.
func (l *lane) claim(now time.Time, limit int, longest time.Duration) ([]*Delivery, time.Time, error) {
	q := l.dispatcher
	due, next, err := q.store.Claim(q.ctx, l.Lane, now, limit)
	if err != nil || len(due) > 0 || next.Sub(now) <= longest || next.Equal(l.trusted) {
		return due, next, err
	}
	late, after, err := q.store.Claim(q.ctx, l.Lane, next, 1)
	if err != nil || len(late) == 0 || !q.plausible(late[0]) {
		return late, after, err
	}
	l.trusted = next
	q.save(late[0])
	return nil, next, nil
}

// soon returns the time after a wait; there is none for none.
func soon(now time.Time, wait time.Duration) time.Time {
	if wait == 0 {
		return time.Time{}
	}
	return now.Add(wait)
}

// worthwhile tells whether an attempt should be made that is no probe.
func (l *lane) worthwhile() bool { return l.admits(0) }

// admits tells whether an attempt should be made, as the probe of that number
// unless it is 0.
func (l *lane) admits(probe uint64) bool {
	return l.definition.Load() != nil && l.health.admits(probe, l.dispatcher.now())
}

func (l *lane) log() *zap.Logger {
	return l.dispatcher.log.With(zap.String("webhook", l.Webhook), zap.String("upstream", l.Upstream))
}

// report tells of a change of the lane's condition, once, and of the attempt
// of a delivery that brought it about.
func (l *lane) report(before, after Condition, id uuid.UUID, a Attempt) {
	if before == after {
		return
	}
	l.poke()
	why := append(a.why(), zap.Stringer("delivery", id))
	switch after {
	case Paused:
		l.log().Error("upstream paused: it refuses our requests; check its URL and credentials. Deliveries are kept, and one at a time probes whether it works again", why...)
	case Open:
		l.log().Warn("upstream seems to be down: deliveries are kept, and one at a time probes whether it is back", why...)
	case Healthy:
		l.log().Info("upstream works again", zap.Stringer("was", before))
	case PausedByHand: // is no finding of an attempt
	}
}
