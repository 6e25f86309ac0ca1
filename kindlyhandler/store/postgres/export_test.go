package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Hurried makes what takes its time happen soon.
func Hurried(o Options) Options {
	o.timing = timing{beat: 50 * time.Millisecond, lease: 600 * time.Millisecond, poll: 200 * time.Millisecond, sweep: time.Hour}
	return o
}

// WithPoll sets how often a store looks for what nobody has told it.
func WithPoll(o Options, poll time.Duration) Options {
	o.timing.poll = poll
	return o
}

// Instance is who the store is in the fleet.
func (s *Store) Instance() uuid.UUID { return s.identity.id() }

// Sweep removes what is past its time, and warns of the dead letters.
func (s *Store) Sweep(ctx context.Context) { s.sweepOnce(ctx, time.Time{}) }

// ClaimQuery is the statement of Claim.
func (s *Store) ClaimQuery() string { return s.sql(claimSQL) }

// NextQuery is the one that follows it.
func (s *Store) NextQuery() string { return s.sql(nextSQL) }

// Suspect has claims looked for that no caller knows of.
func (s *Store) Suspect() { s.claims.suspect() }

// Forget makes the store forget that a caller has a delivery.
func (s *Store) Forget(id uuid.UUID) { s.claims.remove(id) }

// Mine counts the deliveries that callers have.
func (s *Store) Mine() int {
	s.claims.mu.Lock()
	defer s.claims.mu.Unlock()
	return len(s.claims.mine)
}

// Setting returns a setting of the store's sessions.
func (s *Store) Setting(ctx context.Context, name string) (value string) {
	_ = s.pool.QueryRow(ctx, `SELECT current_setting($1)`, name).Scan(&value)
	return value
}
