package delivery

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"
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
	probe      uint64 // its number, 0 if it is none
	forced     bool   // by the operator, whatever the lane's condition
	ctx        context.Context
	cancel     context.CancelCauseFunc
	done       chan struct{}

	// deadline is when nobody waits for a first attempt any more, so that it
	// need not wait for a place at the gate either.
	deadline time.Time
	// awaited is whether anybody waits until then.
	awaited bool
	// committed, of an attempt that began before its webhook was stored, is
	// closed when that has ended; refused says then why the attempt may not
	// proceed.
	committed chan struct{}
	refused   error

	// reserved is whether a later attempt has a reservation at the gate.
	reserved bool
	entered  bool
	deferred bool
}

// begin prepares an attempt, nil if the dispatcher stops. The caller runs it.
func (l *lane) begin(d *Delivery, definition *Definition) *attempt {
	if !l.dispatcher.enter() {
		return nil
	}
	a := &attempt{lane: l, definition: definition, delivery: *d, done: make(chan struct{})}
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

	at, began := a.lane.dispatcher.clock.wall(), a.lane.dispatcher.now()
	outcome := a.try()
	ended := a.lane.dispatcher.now()
	interrupted := outcome.Verdict != Success && a.lane.dispatcher.ctx.Err() != nil
	if a.reserved { // it did not get so far
		a.lane.gate.release(1)
	}
	if a.committed != nil {
		<-a.committed // it may have failed before that
	}
	switch {
	case a.refused != nil: // as if it had never begun
	case a.deferred, interrupted && !a.entered: // as far as the upstream knows
		a.lane.dispatcher.save(&a.delivery)
	case interrupted:
		a.cutOff(outcome, at, began, ended)
	default:
		a.settle(outcome, at, began, ended)
	}
}

// try makes the attempt. A panic fails it, and no more than that: a request
// that a stranger thought up must not end the process.
func (a *attempt) try() (o Outcome) {
	defer func() {
		if r := recover(); r != nil {
			a.lane.logPanic(a.delivery.ID, r)
			o = Outcome{Verdict: Transient, Stage: StageTicket, Err: errors.New("internal error (panic)"), Unknown: a.entered}
		}
	}()
	return a.definition.Target.Attempt(a.ctx, &a.delivery, sync.OnceValue(a.proceed))
}

// answer returns what the [Target] answers, nil if it panics.
func (a *attempt) answer() (answer []byte) {
	defer func() {
		if r := recover(); r != nil {
			a.lane.logPanic(a.delivery.ID, r)
		}
	}()
	return a.definition.Target.Answer(&a.delivery)
}

// logPanic tells only the type: the value may quote what the stranger wrote.
func (l *lane) logPanic(id uuid.UUID, r any) {
	l.log().Error("panic in an attempt", zap.Stringer("delivery", id),
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

// enter takes a place at the gate, unless there is none in time, or the lane
// is found not to work by then.
func (a *attempt) enter() error {
	var err error
	if a.reserved {
		a.reserved = false
		err = a.lane.gate.arrive()
	} else {
		err = a.lane.gate.enter(a.ctx, a.deadline.Sub(a.lane.dispatcher.now()))
	}
	switch {
	case err != nil:
		return err
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
