package outbound

import (
	"errors"
	"io"

	"golang.org/x/sync/semaphore"
)

var (
	// ErrTooLarge means that there is more to read than may be.
	ErrTooLarge = errors.New("too large")
	// ErrNoMemory means that a [Budget] is used up.
	ErrNoMemory = errors.New("too much in memory already")
)

// Budget bounds the bytes that are held in memory at once for one purpose.
type Budget struct{ weighted *semaphore.Weighted }

// NewBudget returns a budget of the given number of bytes.
func NewBudget(bytes int64) *Budget { return &Budget{semaphore.NewWeighted(bytes)} }

// Release gives back what [Read] took.
func (b *Budget) Release(n int64) {
	if n > 0 {
		b.weighted.Release(n)
	}
}

// A body starts with a buffer of at most trustedLength, whatever length it
// declares: who declares much must send it to occupy memory. A body without a
// length starts with unknownLength.
const (
	trustedLength = 64 << 10
	unknownLength = 4 << 10
)

// Read reads r to its end into memory from the budget. The length is how much
// there will be, as far as anybody says, -1 if nobody does; limit is how much
// there may be. It returns what it took from the budget, for Release, also
// when it fails.
func Read(r io.Reader, length, limit int64, budget *Budget) (b []byte, taken int64, err error) {
	if length > limit {
		return nil, 0, ErrTooLarge
	}
	size := min(length+1, trustedLength) // one more, so that the end is met without growing
	if length < 0 {
		size = min(unknownLength, limit+1)
	}
	for {
		if !budget.weighted.TryAcquire(size - taken) {
			return b, taken, ErrNoMemory
		}
		taken = size
		grown := make([]byte, len(b), size)
		copy(grown, b)
		b = grown
		for len(b) < cap(b) {
			n, err := r.Read(b[len(b):cap(b)])
			b = b[:len(b)+n]
			if err == io.EOF {
				return b, taken, nil
			}
			if err != nil {
				return b, taken, err
			}
		}
		if int64(len(b)) > limit {
			return b, taken, ErrTooLarge
		}
		size = min(2*taken, limit+1)
	}
}
