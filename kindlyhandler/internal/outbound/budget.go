package outbound

import (
	"sync"
	"sync/atomic"
	"time"
)

// Budget bounds the bytes that are held in memory at once for one purpose. A
// quarter of it is for leases of ordinary size: who holds much cannot keep
// those waiting who need little.
type Budget struct {
	bytes   int64
	taken   atomic.Int64
	waiting atomic.Int32

	mu      sync.Mutex
	release chan struct{} // closed when something is given back
}

// NewBudget returns a budget of the given number of bytes. Leases of up to a
// 256th of it are ordinary.
func NewBudget(bytes int64) *Budget { return &Budget{bytes: bytes, release: make(chan struct{})} }

// Largest returns the size below which two leases that are not ordinary find
// room beside each other.
func Largest(budget int64) int64 { return budget / 8 * 3 }

// patience is how long a lease waits for room.
const patience = time.Second

// Taken returns how many bytes are held at the moment.
func (b *Budget) Taken() int64 { return b.taken.Load() }

// take takes n bytes, unless more than so many are taken then.
func (b *Budget) take(n, most int64) bool {
	for {
		taken := b.taken.Load()
		if n > most-taken {
			return false
		}
		if b.taken.CompareAndSwap(taken, taken+n) {
			return true
		}
	}
}

// await takes n bytes as soon as there is room for them, if that is soon.
func (b *Budget) await(n, most int64) bool {
	b.waiting.Add(1)
	defer b.waiting.Add(-1)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		b.mu.Lock()
		released := b.release
		b.mu.Unlock()
		if b.take(n, most) {
			return true
		}
		select {
		case <-released:
		case <-timer.C:
			return false
		}
	}
}

func (b *Budget) give(n int64) {
	b.taken.Add(-n)
	if b.waiting.Load() > 0 {
		b.mu.Lock()
		defer b.mu.Unlock()
		close(b.release)
		b.release = make(chan struct{})
	}
}

// Lease returns a part of the budget, of no bytes yet. It grows with what is
// read under it, and has to be released.
func (b *Budget) Lease() *Lease { return &Lease{budget: b} }

// Lease is the part of a [Budget] that one user holds.
type Lease struct {
	budget *Budget
	bytes  int64
}

// Release gives everything back. The lease can be used again.
func (l *Lease) Release() {
	if l.bytes > 0 {
		l.budget.give(l.bytes)
	}
	l.bytes = 0
}

// take adds n bytes to the lease, unless the budget has no room for them, nor
// will have soon.
func (l *Lease) take(n int64) bool {
	most := l.budget.bytes
	if l.bytes+n > most/256 {
		most -= most / 4
	}
	if !l.budget.take(n, most) && (n > most || !l.budget.await(n, most)) {
		return false
	}
	l.bytes += n
	return true
}
