package outbound

import (
	"errors"
	"io"
)

var (
	// ErrTooLarge means that there is more to read than may be.
	ErrTooLarge = errors.New("too large")
	// ErrNoMemory means that a [Budget] is used up.
	ErrNoMemory = errors.New("too much in memory already")
)

// A body starts with a buffer of at most trustedLength, whatever length it
// declares: who declares much must send it to occupy memory. A body without a
// length starts with unknownLength.
const (
	trustedLength = 16 << 10
	unknownLength = 4 << 10
)

// Read reads r to its end into memory that the lease pays for, also when it
// fails. The length is how much there will be, as far as anybody says, -1 if
// nobody does; limit is how much there may be.
func Read(r io.Reader, length, limit int64, lease *Lease) ([]byte, error) {
	if length > limit {
		return nil, ErrTooLarge
	}
	size := min(length+1, trustedLength) // one more, so that the end is met without growing
	if length < 0 {
		size = min(unknownLength, limit+1)
	}
	var b []byte
	for {
		if !lease.take(size - int64(cap(b))) {
			return nil, ErrNoMemory
		}
		grown := make([]byte, len(b), size)
		copy(grown, b)
		b = grown
		for len(b) < cap(b) {
			n, err := r.Read(b[len(b):cap(b)])
			b = b[:len(b)+n]
			switch {
			case int64(len(b)) > limit:
				return nil, ErrTooLarge
			case err == io.EOF:
				return b, nil
			case err != nil:
				return nil, err
			}
		}
		size = min(2*size, limit+1)
	}
}
