package delivery

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRetryInterval(t *testing.T) {
	p := RetryPolicy{InitialInterval: time.Second, Multiplier: 2, MaxInterval: time.Hour}
	for _, test := range []struct {
		name     string
		policy   RetryPolicy
		attempts int
		random   float64
		want     time.Duration
	}{
		{"the first", p, 1, 0.5, 500 * time.Millisecond},
		{"no attempt is as one", p, 0, 0.5, 500 * time.Millisecond},
		{"doubles", p, 2, 0.5, time.Second},
		{"doubles again", p, 3, 0.5, 2 * time.Second},
		{"without luck", p, 3, 0, 0},
		{"before its limit", p, 12, 0.5, 1024 * time.Second},
		{"at its limit", p, 13, 0.5, 30 * time.Minute},
		{"beyond all numbers", p, math.MaxInt, 0.5, 30 * time.Minute},
		{"no number", RetryPolicy{Multiplier: 2, MaxInterval: time.Hour}, math.MaxInt, 0.5, 30 * time.Minute},
		{"at once", RetryPolicy{Multiplier: 2, MaxInterval: time.Hour}, 5, 0.5, 0},
		{"constant", RetryPolicy{InitialInterval: time.Second, Multiplier: 1, MaxInterval: time.Hour}, 50, 0.5, 500 * time.Millisecond},
		{"initially too long", RetryPolicy{InitialInterval: time.Hour, Multiplier: 2, MaxInterval: time.Minute}, 1, 0.5, 30 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, test.policy.interval(test.attempts, test.random))
		})
	}
}

func TestRetryPolicyValidate(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(p *RetryPolicy)
		want   string
	}{
		{"the defaults", func(*RetryPolicy) {}, ""},
		{"intervals that do not grow", func(p *RetryPolicy) { p.Multiplier, p.MaxInterval = 1, p.InitialInterval }, ""},
		{"no initial interval", func(p *RetryPolicy) { p.InitialInterval = 0 }, "initial_interval must be longer than 0: write a duration such as 1s"},
		{"shrinking intervals", func(p *RetryPolicy) { p.Multiplier = 0.99 }, "multiplier must be at least 1: write"},
		{"a multiplier that is no number", func(p *RetryPolicy) { p.Multiplier = math.NaN() }, "multiplier must be at least 1: write"},
		{"a multiplier without end", func(p *RetryPolicy) { p.Multiplier = math.Inf(1) }, "multiplier must be at least 1: write"},
		{"a negative longest interval", func(p *RetryPolicy) { p.MaxInterval = -1 }, "max_interval must be longer than 0: write a duration such as 1h"},
		{"intervals that cross", func(p *RetryPolicy) { p.InitialInterval = 2 * time.Hour }, "max_interval 1h0m0s is shorter than initial_interval 2h0m0s: write a longer one"},
		{"no end", func(p *RetryPolicy) { p.MaxElapsed = 0 }, "max_elapsed must be longer than 0: write a duration such as 72h"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := DefaultRetryPolicy
			test.change(&p)
			err := p.Validate()
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestRecordDropsTheOldest(t *testing.T) {
	var attempts []Attempt
	for i := range maxAttempts + 5 {
		before := attempts
		attempts = record(attempts, Attempt{Status: i})
		if len(before) > 0 {
			before[0].Status = -1 // the record is its own
		}
	}
	require.Len(t, attempts, maxAttempts)
	for i, a := range attempts {
		require.Equal(t, i+5, a.Status)
	}
}

func TestState(t *testing.T) {
	for state, want := range map[State]string{Pending: "pending", Delivered: "delivered", Dead: "dead", 99: "unknown"} {
		require.Equal(t, want, state.String())
	}
}
