package delivery

import (
	"math"
	"math/rand/v2"
	"time"
)

// RetryPolicy says when a delivery that failed is attempted again: after a
// random time between nothing and InitialInterval, which grows by Multiplier
// with each attempt up to MaxInterval (exponential backoff with full jitter),
// until the intervals add up to MaxElapsed.
type RetryPolicy struct {
	InitialInterval time.Duration
	Multiplier      float64
	MaxInterval     time.Duration
	MaxElapsed      time.Duration
}

// DefaultRetryPolicy retries for three days, at least about once an hour.
var DefaultRetryPolicy = RetryPolicy{
	InitialInterval: time.Second,
	Multiplier:      2,
	MaxInterval:     time.Hour,
	MaxElapsed:      72 * time.Hour,
}

// interval returns how long to wait after the given number of attempts. The
// random number is in [0, 1).
func (p RetryPolicy) interval(attempts int, random float64) time.Duration {
	ceiling := float64(p.InitialInterval) * math.Pow(p.Multiplier, float64(max(attempts, 1)-1))
	if most := float64(p.MaxInterval); !(ceiling < most) { // infinite or no number, too
		ceiling = most
	}
	return time.Duration(ceiling * random)
}

func (p RetryPolicy) next(attempts int) time.Duration {
	return p.interval(attempts, rand.Float64()) //nolint:gosec // jitter needs no secrecy
}

// MaxRetryAfter is how long an upstream can ask us to wait at the most.
const MaxRetryAfter = 24 * time.Hour
