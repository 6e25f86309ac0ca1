package delivery

import (
	"context"
	"sync"
)

// gate bounds how many attempts are with one upstream at once. First attempts,
// for which somebody waits in a chat, go before retries.
type gate struct {
	mu      sync.Mutex
	limit   int
	in      int
	waiting [2][]chan struct{} // first attempts, retries
}

const (
	firstAttempt = 0
	laterAttempt = 1
)

// setLimit applies to attempts that enter from now on.
func (g *gate) setLimit(limit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = limit
	g.admit()
}

// tryEnter takes a place if there is one.
func (g *gate) tryEnter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.in >= g.limit {
		return false
	}
	g.in++
	return true
}

// enter waits for a place. Each enter that succeeds needs a leave.
func (g *gate) enter(ctx context.Context, class int) error {
	g.mu.Lock()
	if g.in < g.limit {
		g.in++
		g.mu.Unlock()
		return nil
	}
	ready := make(chan struct{})
	g.waiting[class] = append(g.waiting[class], ready)
	g.mu.Unlock()

	select {
	case <-ready:
		return nil
	case <-ctx.Done():
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	for i, w := range g.waiting[class] {
		if w == ready {
			g.waiting[class] = append(g.waiting[class][:i], g.waiting[class][i+1:]...)
			return context.Cause(ctx)
		}
	}
	g.in-- // admitted in the meantime: the place goes to the next one
	g.admit()
	return context.Cause(ctx)
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.in--
	g.admit()
}

func (g *gate) admit() {
	for class := range g.waiting {
		for g.in < g.limit && len(g.waiting[class]) > 0 {
			close(g.waiting[class][0])
			g.waiting[class] = g.waiting[class][1:]
			g.in++
		}
	}
}
