package delivery

import (
	"context"

	"go.uber.org/zap"
)

// Import stores deliveries from another store, as [Store.Import] does, and
// returns how many of them were not there. What is pending and due is attempted
// at once; that it was due while it was elsewhere does not count towards
// [RetryPolicy.MaxElapsed].
func (q *Dispatcher) Import(ctx context.Context, deliveries []*Delivery) (imported int, err error) {
	if !q.enterRequest() {
		return 0, ErrClosed
	}
	defer q.requests.Done()
	now := q.now()
	copies := make([]*Delivery, len(deliveries))
	pending := make(map[Lane]bool)
	for i, d := range deliveries {
		c := *d
		if c.State == Pending {
			c.DueAt = later(c.DueAt, now)
			pending[c.Lane] = true
		}
		copies[i] = &c
	}
	imported, err = q.store.Import(ctx, copies)
	if err != nil {
		return 0, err
	}
	for name := range pending {
		if l := q.lane(name); l != nil {
			l.poke()
		}
	}
	if imported > 0 {
		q.log.Info("deliveries imported", zap.Int("deliveries", imported))
	}
	return imported, nil
}
