package jq

import (
	"context"
	"errors"
	"time"
)

const (
	// maxSteps is what one evaluation may take, in instructions of the virtual
	// machine: some 0.1 s of CPU. A chat of 10,000 messages needs some
	// 200,000 for a body.
	maxSteps = 2_000_000
	// maxTime is for what takes few steps, but long ones.
	maxTime = 10 * time.Second
	// How many steps go by between two looks at the clock.
	stepsPerLook = 1024
)

var (
	errSteps = errors.New("it does not come to an end: it was stopped after 2,000,000 steps")
	errTime  = errors.New("it takes too long: it was stopped after 10s")
)

// budget is the context of one evaluation. The virtual machine asks it before
// each instruction whether to go on, and so it counts them: unlike a deadline,
// that gives the same verdict on a machine that is busy.
type budget struct {
	context.Context
	steps    int
	deadline time.Time
	err      error
}

func newBudget(ctx context.Context) *budget {
	return &budget{Context: ctx, deadline: time.Now().Add(maxTime)}
}

// spent is closed.
var spent = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func (b *budget) Done() <-chan struct{} {
	b.steps++
	switch {
	case b.steps > maxSteps:
		b.err = errSteps
	case b.steps%stepsPerLook == 0 && time.Now().After(b.deadline):
		b.err = errTime
	}
	if b.err != nil {
		return spent
	}
	return b.Context.Done()
}

func (b *budget) Err() error {
	if b.err != nil {
		return b.err
	}
	return b.Context.Err()
}
