package kindlytest

import (
	"sync"
	"sync/atomic"
)

// faults says which mode the next request gets.
type faults struct {
	active atomic.Bool // whether there is anything to look up
	mu     sync.Mutex
	queue  []planned
	always Mode
}

// planned is a mode for the next n requests.
type planned struct {
	n    int
	mode Mode
}

// Fail treats all requests in the given mode, after those that FailNext has
// planned for, until the next call of Fail or Recover. Requests that have
// arrived already are not affected.
func (f *faults) Fail(mode Mode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.always = mode
	f.update()
}

// FailNext treats the next n requests in the given mode. Several calls add up,
// in their order: FailNext(2, Hang()) and FailNext(1, Status(503)) are three
// failures in a row. The zero Mode lets requests pass in between.
func (f *faults) FailNext(n int, mode Mode) {
	if n <= 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, planned{n, mode})
	f.update()
}

// Recover takes back what Fail and FailNext have planned. Requests that hang
// already go on hanging.
func (f *faults) Recover() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue, f.always = nil, Mode{}
	f.update()
}

// next takes the mode for one request.
func (f *faults) next() Mode {
	if !f.active.Load() {
		return Mode{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) == 0 {
		return f.always
	}
	mode := f.queue[0].mode
	if f.queue[0].n--; f.queue[0].n == 0 {
		f.queue = f.queue[1:]
		f.update()
	}
	return mode
}

// update sets active; f.mu is held.
func (f *faults) update() {
	f.active.Store(len(f.queue) > 0 || f.always.apply != nil)
}
