package delivery

import (
	"cmp"
	"time"
)

// Limits are what every engine bounds, and can be changed while a store is open.
// Zero values mean the engine's defaults.
type Limits struct {
	// Retention is how long delivered deliveries are kept, DeadRetention the
	// same of dead letters. While its key makes duplicates, a delivery is kept
	// anyhow.
	Retention, DeadRetention time.Duration
	// MaxPending bounds the pending deliveries.
	MaxPending int
}

// DefaultLimits are those of engines that keep deliveries on a disk.
var DefaultLimits = Limits{Retention: 24 * time.Hour, DeadRetention: 720 * time.Hour, MaxPending: 1_000_000}

// Or returns the limits with those of defaults in place of zero values.
func (l Limits) Or(defaults Limits) Limits {
	return Limits{
		Retention:     cmp.Or(l.Retention, defaults.Retention),
		DeadRetention: cmp.Or(l.DeadRetention, defaults.DeadRetention),
		MaxPending:    cmp.Or(l.MaxPending, defaults.MaxPending),
	}
}
