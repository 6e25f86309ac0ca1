package delivery

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

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
	later      atomic.Int32 // later attempts under way
	wake       chan struct{}
}

// longestNap bounds how long a lane trusts its timer: what is due is a matter
// of the wall clock, which may be set.
const longestNap = time.Minute

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
		case <-l.dispatcher.stopping:
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
	limit, probe, again := l.health.allowance(now, definition.Concurrency-int(l.later.Load()))
	if limit == 0 {
		return again
	}
	due, next, err := l.dispatcher.store.Claim(l.dispatcher.ctx, l.Lane, now, limit)
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
		a := l.begin(d, definition, laterAttempt)
		if a == nil { // the dispatcher stops
			for _, d := range due[i:] {
				l.dispatcher.save(d)
			}
			return time.Time{}
		}
		a.probe = probe
		l.later.Add(1)
		go func() {
			a.run()
			l.later.Add(-1)
			l.poke()
		}()
	}
	return next
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
// that brought it about.
func (l *lane) report(before, after Condition, a Attempt) {
	if before == after {
		return
	}
	l.poke()
	why := []zap.Field{zap.Int("status", a.Status), zap.String("error", a.Error)}
	switch after {
	case Paused:
		l.log().Error("upstream paused: it refuses our requests; check its URL and credentials. Deliveries are kept, and one at a time probes whether it works again", why...)
	case Open:
		l.log().Warn("upstream seems to be down: deliveries are kept, and one at a time probes whether it is back", why...)
	case Healthy:
		l.log().Info("upstream works again", zap.Stringer("was", before))
	}
}
