package delivery

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"
)

var (
	errHeld         = errors.New("an earlier delivery of the same chat is pending")
	errNotCommitted = errors.New("the webhook could not be stored")
	errNotNow       = errors.New("the upstream does not work, or asked to be left alone")
	errStopped      = errors.New("the server is stopping")
)

// attempt is one attempt under way. It works on a copy of its delivery, which
// belongs to it until done is closed.
type attempt struct {
	lane       *lane
	definition *Definition
	delivery   Delivery
	class      int
	probe      uint64 // its number, 0 if it is none
	forced     bool   // by the operator, whatever the lane's condition
	ctx        context.Context
	cancel     context.CancelCauseFunc
	done       chan struct{}

	// deadline is when nobody waits for a first attempt any more, so that it
	// need not wait for a place at the gate either.
	deadline time.Time
	// committed, of an attempt that began before its webhook was stored, is
	// closed when that has ended; refused says then why the attempt may not
	// proceed.
	committed chan struct{}
	refused   error

	entered  bool
	deferred bool
}

// begin prepares an attempt, nil if the dispatcher stops. The caller runs it.
func (l *lane) begin(d *Delivery, definition *Definition, class int) *attempt {
	if !l.dispatcher.enter() {
		return nil
	}
	a := &attempt{lane: l, definition: definition, delivery: *d, class: class, done: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancelCause(l.dispatcher.ctx)
	return a
}

// abandon ends an attempt whose delivery turns out not to be its to deliver.
func (a *attempt) abandon(why error) {
	a.refused = why
	close(a.committed)
	a.cancel(why)
}

// run makes the attempt and saves what came of it.
func (a *attempt) run() {
	defer a.lane.dispatcher.leave()
	defer close(a.done)
	defer a.cancel(nil)

	started := a.lane.dispatcher.now()
	outcome := a.try()
	took := a.lane.dispatcher.now().Sub(started)
	if a.committed != nil {
		<-a.committed // it may have failed before that
	}
	switch {
	case a.refused != nil: // as if it had never begun
	case a.deferred:
		a.lane.dispatcher.save(&a.delivery)
	default:
		a.settle(outcome, started, took)
	}
}

// try makes the attempt. A panic fails it, and no more than that: a request
// that a stranger thought up must not end the process.
func (a *attempt) try() (o Outcome) {
	defer func() {
		if r := recover(); r != nil {
			a.logPanic(r)
			o = Outcome{Verdict: Transient, Stage: StageTicket, Err: errors.New("internal error (panic)"), Unknown: a.entered}
		}
	}()
	return a.definition.Target.Attempt(a.ctx, &a.delivery, sync.OnceValue(a.proceed))
}

// answer returns what the [Target] answers, nil if it panics.
func (a *attempt) answer() (answer []byte) {
	defer func() {
		if r := recover(); r != nil {
			a.logPanic(r)
		}
	}()
	return a.definition.Target.Answer(&a.delivery)
}

// logPanic tells only the type: the value may quote what the stranger wrote.
func (a *attempt) logPanic(r any) {
	a.lane.log().Error("panic in an attempt", zap.Stringer("delivery", a.delivery.ID),
		zap.String("type", fmt.Sprintf("%T", r)), zap.ByteString("stack", debug.Stack()))
}

// proceed is what the [Target] calls before it writes to the upstream. It
// waits for the commit and for a place at the gate.
func (a *attempt) proceed() error {
	if a.committed != nil {
		<-a.committed
		if a.refused != nil {
			return a.refused
		}
	}
	if err := a.enter(); err != nil {
		a.deferred = true
		return err
	}
	a.entered = true
	return nil
}

// enter takes a place at the gate, unless the lane is found not to work by
// then.
func (a *attempt) enter() error {
	if !a.lane.gate.tryEnter() {
		ctx := a.ctx
		if a.class == firstAttempt {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, a.deadline)
			defer cancel()
		}
		if err := a.lane.gate.enter(ctx, a.class); err != nil {
			return err
		}
	}
	switch {
	case a.lane.dispatcher.ctx.Err() != nil: // at the same moment
		a.lane.gate.leave()
		return errStopped
	case !a.forced && !a.lane.admits(a.probe):
		a.lane.gate.leave()
		return errNotNow
	default:
		return nil
	}
}
