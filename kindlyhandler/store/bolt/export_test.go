package bolt

import (
	"context"
	"time"
)

// Frozen calls f while nothing is written.
func (s *Store) Frozen(f func()) {
	s.round.Lock()
	defer s.round.Unlock()
	f()
}

// Sweep removes what is past its time now.
func (s *Store) Sweep(ctx context.Context) { s.sweepOnce(ctx, never) }

// Compact begins to compact the store's file as soon as anything of it is free,
// a few keys at a time.
func (s *Store) Compact(ctx context.Context) error {
	return s.perform(ctx, &operation{do: func(*writer) error {
		s.compact.next = time.Time{}
		s.compact.least, s.compact.chunk = 1, 2
		return nil
	}})
}

// FailCommits makes commits fail, or work again.
func (s *Store) FailCommits(fail bool) { s.failing.Store(fail) }

// SetMaxKeys changes how many keys there may be in memory.
func (s *Store) SetMaxKeys(n int) { s.maxKeys = n }
