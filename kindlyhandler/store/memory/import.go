package memory

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// Import implements [delivery.Store]. What is settled is kept as long as if it
// had been settled here.
func (s *Store) Import(ctx context.Context, deliveries []*delivery.Delivery) (imported int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	now := s.options.Now()
	s.expire(now)
	mine := make(map[delivery.Key]bool) // the keys that these deliveries took
	for _, d := range deliveries {
		if s.get(d.ID) != nil {
			continue
		}
		imported++
		r := s.add(d)
		r.Claimed = false
		switch live := r.KeyExpires.After(now); {
		case live && (mine[r.Key] || len(s.live(r.Key, now)) == 0):
			mine[r.Key] = true
			s.linkYoungest(r)
		default:
			if live {
				r.KeyExpires = time.Time{}
			}
			s.linkOldest(r)
		}
		if r.State == delivery.Pending {
			s.enqueue(r)
			continue
		}
		settled := r.LastEnded()
		if settled.After(now) {
			settled = now
		}
		s.settle(s.lane(r.Lane), r, settled)
	}
	return imported, nil
}

// linkOldest makes a record, whose key has expired or is another's, the oldest
// of those with its key.
func (s *Store) linkOldest(r *record) {
	if r.Key == (delivery.Key{}) {
		return
	}
	last := s.byKey[r.Key]
	if last == uuid.Nil {
		s.byKey[r.Key] = r.ID
		return
	}
	for {
		older, _ := s.link(last)
		if older == uuid.Nil {
			break
		}
		last = older
	}
	s.setOlder(last, r.ID)
}
