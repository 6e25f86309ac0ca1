package outbound

import "sync/atomic"

// Budget bounds the bytes that are held in memory at once for one purpose.
type Budget struct {
	bytes int64
	taken atomic.Int64
}

// NewBudget returns a budget of the given number of bytes.
func NewBudget(bytes int64) *Budget { return &Budget{bytes: bytes} }

// Taken returns how many bytes are held at the moment.
func (b *Budget) Taken() int64 { return b.taken.Load() }

func (b *Budget) take(n int64) bool {
	for {
		taken := b.taken.Load()
		if n > b.bytes-taken {
			return false
		}
		if b.taken.CompareAndSwap(taken, taken+n) {
			return true
		}
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
	l.budget.taken.Add(-l.bytes)
	l.bytes = 0
}

// take adds n bytes to the lease, unless that is more than the budget has.
func (l *Lease) take(n int64) bool {
	if !l.budget.take(n) {
		return false
	}
	l.bytes += n
	return true
}
