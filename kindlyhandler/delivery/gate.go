package delivery

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// gate bounds how many attempts are with one upstream at once, and how many
// get there in a time. First attempts, for which somebody waits in a chat, wait
// here for their turn and go before later ones, which are not begun before
// there is room for them, so that none holds a transcript in memory, or its
// delivery claimed, for nothing.
type gate struct {
	// freed is called when there may be room again after reserve had none. It
	// must not call the gate.
	freed func()

	mu      sync.Mutex
	limit   int
	rate    *rate.Limiter // nil until there was a rate
	limited bool          // by the rate
	in      int
	waiting []chan struct{} // first attempts, closed on admission
	coming  int             // later attempts with a reservation
	wanted  bool            // reserve had no room
	timer   *time.Timer     // for the first of those who wait
}

// errNoRoom defers an attempt that would have to wait for too long.
var errNoRoom = errors.New("the upstream has no room for another attempt now")

// configure applies to attempts that enter from now on. What the rate has
// allowed before counts on. With a limit of 0 none enters.
func (g *gate) configure(limit int, r Rate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit, g.limited = limit, r != Rate{}
	switch {
	case !g.limited:
	case g.rate == nil:
		g.rate = rate.NewLimiter(r.limit(), r.burst())
	default:
		g.rate.SetLimit(r.limit())
		g.rate.SetBurst(r.burst())
	}
	g.admit()
}

// enter takes a place for a first attempt, and waits for one if need be, but
// not if its turn would come after its patience has ended. Each enter that
// succeeds needs a leave.
func (g *gate) enter(ctx context.Context, patience time.Duration) error {
	g.mu.Lock()
	if len(g.waiting) == 0 && g.take() {
		g.mu.Unlock()
		return nil
	}
	if patience <= 0 || g.delay(1+len(g.waiting)) > patience {
		g.mu.Unlock()
		return errNoRoom
	}
	ready := make(chan struct{})
	g.waiting = append(g.waiting, ready)
	g.admit()
	g.mu.Unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	why := errNoRoom
	select {
	case <-ready:
		return nil
	case <-timer.C:
	case <-ctx.Done():
		why = context.Cause(ctx)
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.admit()
	for i, w := range g.waiting {
		if w == ready {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			return why
		}
	}
	g.in-- // admitted in the meantime: the place goes to the next one
	return why
}

// reserve returns for how many later attempts there is room, at most n. They
// need an arrive, or a release, each. If there is none, it says how long to
// wait for it; 0 means until freed is called.
func (g *gate) reserve(n int) (room int, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wanted = false
	places := g.limit - g.in - g.coming
	if len(g.waiting) > 0 || places <= 0 {
		g.wanted = true
		return 0, 0
	}
	if g.limited {
		tokens := int(g.rate.TokensAt(time.Now()))
		if tokens <= 0 {
			return 0, g.delay(1)
		}
		if places = min(places, tokens-g.coming); places <= 0 {
			g.wanted = true
			return 0, 0
		}
	}
	room = min(n, places)
	g.coming += room
	return room, 0
}

// release takes back reservations.
func (g *gate) release(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.coming -= n
	g.admit()
}

// arrive takes a place for a later attempt that has a reservation, unless
// first attempts took it. Each arrive that succeeds needs a leave.
func (g *gate) arrive() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.admit()
	g.coming--
	if len(g.waiting) > 0 || !g.take() {
		return errNoRoom
	}
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.in--
	g.admit()
}

// take takes a place if there is one.
func (g *gate) take() bool {
	if g.in >= g.limit || g.limited && !g.rate.AllowN(time.Now(), 1) {
		return false
	}
	g.in++
	return true
}

// delay is how long it takes until the rate has allowed n more attempts.
func (g *gate) delay(n int) time.Duration {
	if !g.limited {
		return 0
	}
	missing := float64(n) - g.rate.TokensAt(time.Now())
	if missing <= 0 {
		return 0
	}
	// Rounded up, so that it is over then.
	return time.Duration(math.Ceil(missing/float64(g.rate.Limit())*1e6)) * time.Microsecond
}

// admit lets in those who can go in, and tells of what has become free.
func (g *gate) admit() {
	for len(g.waiting) > 0 && g.take() {
		close(g.waiting[0])
		g.waiting = g.waiting[1:]
	}
	if len(g.waiting) > 0 && g.in < g.limit { // it is for the rate that they wait
		g.wake(g.delay(1))
	}
	if g.wanted && len(g.waiting) == 0 && g.in+g.coming < g.limit {
		g.wanted = false
		g.freed()
	}
}

// wake calls admit after a time.
func (g *gate) wake(after time.Duration) {
	if g.timer != nil {
		g.timer.Reset(after)
		return
	}
	g.timer = time.AfterFunc(after, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.admit()
	})
}
