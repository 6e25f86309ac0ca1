package delivery

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// settle turns the outcome of an attempt into the delivery's next state and
// saves it.
func (a *attempt) settle(o Outcome, at, began, ended time.Time) {
	l, d, retry, observer := a.lane, &a.delivery, a.definition.Retry, a.definition.observer()
	made := entry(o, at, ended.Sub(began))
	d.Elapsed += l.health.counted(d, began, ended)
	now := l.dispatcher.now()
	before, after := l.health.observe(d, &o, made, a.probe, now)
	l.report(before, after, d.ID, made)
	observer.Attempted(&made, resultOf(&o))
	if after == Paused && before != Paused {
		observer.Paused()
	}
	if a.entered {
		l.gate.leave() // only now: who comes next knows the lane's condition
	}

	d.Tries++
	d.Attempts = record(d.Attempts, made)
	d.DueAt = now
	switch {
	case o.Verdict == Success:
		d.State, d.Ticket = Delivered, o.Ticket
	case o.Verdict == Permanent:
		d.State = Dead
	case o.Verdict == Misconfigured:
		// The lane, not the delivery, has to wait.
	case d.Elapsed > retry.MaxElapsed:
		d.State = Dead
	case o.RetryAfter > 0:
		d.DueAt = now.Add(min(o.RetryAfter, MaxRetryAfter))
	default:
		interval := retry.next(d.Tries)
		d.Elapsed += interval
		d.DueAt = now.Add(interval)
	}
	if d.State != Pending {
		d.Answer = a.answer()
	}
	if d.State == Delivered {
		d.Body, d.Customer, d.Transcript, d.TranscriptError = nil, nil, nil, ""
	}
	if d.State == Dead {
		l.dispatcher.losses.Add(d.Lane, LossDead, 1)
	}
	a.report(made, ended)
	l.dispatcher.save(d)
	if d.State != Pending {
		observer.Settled(d)
	}
}

// cutOff saves a delivery whose attempt a shutdown ended, whatever its verdict
// is then. It is in the history, for the ticket may have arrived, but counts
// for nothing.
func (a *attempt) cutOff(o Outcome, at, began, ended time.Time) {
	l, d := a.lane, &a.delivery
	made, result := entry(o, at, ended.Sub(began)), ResultCutOff
	if o.Unknown {
		result = ResultUnknown
	}
	a.definition.observer().Attempted(&made, result)
	d.Attempts = record(d.Attempts, made)
	d.Elapsed += l.health.counted(d, began, began)
	d.DueAt = l.dispatcher.now()
	l.gate.leave()
	l.log().Warn("attempt cut off by the shutdown: it is made again after the next start",
		zap.Stringer("delivery", d.ID), zap.Bool("unknown", o.Unknown))
	l.dispatcher.save(d)
}

// entry is what the history has of an attempt.
func entry(o Outcome, at time.Time, took time.Duration) Attempt {
	made := Attempt{At: at, Duration: took, Stage: o.Stage, Status: o.Status, Unknown: o.Unknown}
	if o.Err != nil {
		made.Error = o.Err.Error()
	}
	return made
}

// The intervals at which a Save that failed is repeated.
const (
	saveMinInterval = time.Second
	saveMaxInterval = 30 * time.Second
)

// lastSave is how long, when the time of a shutdown is over, a store may still
// take to save what has become of an attempt. What it cannot save stays claimed,
// and is attempted again after the next start.
const lastSave = 5 * time.Second

// save writes what has become of a claimed delivery. It goes on until that is
// done or the dispatcher ends: while it is claimed, nobody attempts the
// delivery, nor a later one of its chat. At the end, it goes on for lastSave.
func (q *Dispatcher) save(d *Delivery) {
	d.Memo = nil
	ctx, cancel := q.savingContext()
	defer cancel()
	for wait := saveMinInterval; ; wait = min(2*wait, saveMaxInterval) {
		unblocked, err := q.store.Save(ctx, d)
		if err == nil {
			l := q.lane(d.Lane)
			if l != nil && unblocked {
				l.health.unblock(q.now())
			}
			if l != nil && (unblocked || d.State == Pending) {
				l.poke()
			}
			return
		}
		if errors.Is(err, ErrNotFound) {
			message := "the delivery was dropped while it was being attempted"
			if q.shared {
				message += ", or another process has taken it over, for this one seemed to be dead"
			}
			q.log.Info(message, zap.Stringer("delivery", d.ID),
				zap.String("webhook", d.Lane.Webhook), zap.String("upstream", d.Lane.Upstream), zap.Stringer("state", d.State))
			return
		}
		q.log.Error("cannot save a delivery", zap.Stringer("delivery", d.ID), zap.String("webhook", d.Lane.Webhook),
			zap.String("upstream", d.Lane.Upstream), zap.Stringer("state", d.State), zap.Error(err))
		if errors.Is(err, ErrClosed) {
			return
		}
		select {
		case <-time.After(wait):
		case <-q.ctx.Done():
			return
		}
	}
}

// savingContext returns the context of a Save: while the dispatcher runs, that
// of all; when the time of a shutdown is over, one for it alone.
func (q *Dispatcher) savingContext() (context.Context, context.CancelFunc) {
	if q.ctx.Err() == nil {
		return q.saving, func() {}
	}
	return context.WithTimeout(context.WithoutCancel(q.ctx), lastSave)
}

// report tells of an attempt that has ended. The delivery has its new state, but
// is not saved: nobody else has it.
func (a *attempt) report(made Attempt, ended time.Time) {
	l, d := a.lane, &a.delivery
	level := zap.DebugLevel
	message := "ticket delivered"
	switch {
	case d.State == Dead:
		level, message = zap.ErrorLevel, "ticket not delivered: the delivery is a dead letter now"
	case d.State == Pending:
		level, message = zap.WarnLevel, "attempt failed"
		if l.health.ill() {
			level = zap.DebugLevel // the condition was reported, loudly and once
		}
	case a.late(ended):
		level = zap.InfoLevel
	}
	c := l.dispatcher.log.Check(level, message)
	if c == nil {
		return
	}
	fields := make([]zap.Field, 0, 10)
	fields = append(fields,
		zap.Stringer("delivery", d.ID),
		zap.String("webhook", l.Webhook),
		zap.String("upstream", l.Upstream),
		zap.Int("attempt", d.Tries),
		zap.String("stage", made.Stage),
		zap.Duration("duration", made.Duration),
	)
	fields = append(fields, made.why()...)
	if made.Unknown {
		fields = append(fields, zap.Bool("unknown", true))
	}
	if d.State == Pending {
		fields = append(fields, zap.Time("next_attempt_at", d.DueAt))
	}
	c.Write(fields...)
}

// late tells whether a chat was told that its ticket would follow: it was not
// delivered by a first attempt in the time that its answer had.
func (a *attempt) late(ended time.Time) bool {
	return a.committed == nil || a.awaited && ended.After(a.deadline)
}

// why has the HTTP status of an attempt and its error, as far as there are any.
func (a *Attempt) why() (fields []zap.Field) {
	if a.Status != 0 {
		fields = append(fields, zap.Int("status", a.Status))
	}
	if a.Error != "" {
		fields = append(fields, zap.String("error", a.Error))
	}
	return fields
}
