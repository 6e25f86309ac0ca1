package delivery

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// RetryPolicy says when a delivery that failed is attempted again: after a
// random time between nothing and InitialInterval, which grows by Multiplier
// with each attempt up to MaxInterval (exponential backoff with full jitter),
// until one fails after MaxElapsed: time in which the lane is paused or not
// defined, in which the upstream asked to be left alone, in which the delivery
// waits for an earlier one of its chat, or in which the process does not run,
// does not count.
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

// WithDefaults returns the policy with the values of [DefaultRetryPolicy] where
// it has none.
func (p RetryPolicy) WithDefaults() RetryPolicy {
	return RetryPolicy{
		InitialInterval: cmp.Or(p.InitialInterval, DefaultRetryPolicy.InitialInterval),
		Multiplier:      cmp.Or(p.Multiplier, DefaultRetryPolicy.Multiplier),
		MaxInterval:     cmp.Or(p.MaxInterval, DefaultRetryPolicy.MaxInterval),
		MaxElapsed:      cmp.Or(p.MaxElapsed, DefaultRetryPolicy.MaxElapsed),
	}
}

// Validate says which value of a policy cannot be, and what to write instead.
func (p RetryPolicy) Validate() error {
	switch {
	case p.InitialInterval <= 0:
		return errors.New("initial_interval must be longer than 0: write a duration such as 1s")
	case !(p.Multiplier >= 1) || math.IsInf(p.Multiplier, 1): // no number, too
		return errors.New("multiplier must be at least 1: write a number such as 2, or 1 for intervals that do not grow")
	case p.MaxInterval <= 0:
		return errors.New("max_interval must be longer than 0: write a duration such as 1h")
	case p.MaxInterval < p.InitialInterval:
		return fmt.Errorf("max_interval %s is shorter than initial_interval %s: write a longer one, or a shorter initial_interval", p.MaxInterval, p.InitialInterval)
	case p.MaxElapsed <= 0:
		return errors.New("max_elapsed must be longer than 0: write a duration such as 72h")
	default:
		return nil
	}
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
