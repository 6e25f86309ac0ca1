package memory

import (
	"bytes"
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// Get implements [delivery.Store].
func (s *Store) Get(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.expire(s.options.Now())
	d := s.get(id)
	if d == nil {
		return nil, delivery.ErrNotFound
	}
	return d, nil
}

// lookedThrough is how many deliveries a call of List looks at, at the most:
// the store is locked meanwhile.
const lookedThrough = 10_000

// List implements [delivery.Store].
func (s *Store) List(ctx context.Context, query delivery.Query) (delivery.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return delivery.Page{}, err
	}
	s.expire(s.options.Now())
	var page delivery.Page
	ids := s.ids.before(query.Before)
	for i, id := range slices.Backward(ids) {
		if len(page.Deliveries) == query.Limit || len(ids)-1-i == lookedThrough {
			page.Before = ids[i+1]
			break
		}
		if s.matches(id, query) {
			page.Deliveries = append(page.Deliveries, summary(s.get(id)))
		}
	}
	return page, nil
}

// matches tells whether there is such a delivery, and the query asks for it.
func (s *Store) matches(id uuid.UUID, q delivery.Query) bool {
	if r := s.byID[id]; r != nil {
		return wants(q, r.State, r.Lane) && (q.ChatID == "" || q.ChatID == r.ChatID)
	}
	e, ok := s.delivered.entries[id]
	return ok && wants(q, delivery.Delivered, s.delivered.lanes[e.lane]) &&
		(q.ChatID == "" || q.ChatID == string(s.delivered.chat(e)))
}

func wants(q delivery.Query, state delivery.State, lane delivery.Lane) bool {
	return (len(q.States) == 0 || slices.Contains(q.States, state)) &&
		(q.Webhook == "" || q.Webhook == lane.Webhook) &&
		(q.Upstream == "" || q.Upstream == lane.Upstream)
}

// summary drops what makes a delivery large.
func summary(d *delivery.Delivery) *delivery.Delivery {
	d.Body, d.Customer, d.Transcript = nil, nil, nil
	return d
}

// Count implements [delivery.Store].
func (s *Store) Count(ctx context.Context) (map[delivery.Lane]delivery.Counts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.expire(s.options.Now())
	counts := make(map[delivery.Lane]delivery.Counts)
	for name, l := range s.lanes {
		if l.counts == [3]int{} {
			continue
		}
		c := delivery.Counts{
			Pending:   l.counts[delivery.Pending],
			Delivered: l.counts[delivery.Delivered],
			Dead:      l.counts[delivery.Dead],
		}
		if len(l.ages) > 0 {
			c.OldestPending = l.ages[0].ReceivedAt
		}
		counts[name] = c
	}
	return counts, nil
}

// index has the ids of all records in their order, and some of records that
// are gone. New ids are larger than most, so that adding one is cheap.
type index []uuid.UUID

func compare(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

func (x *index) add(id uuid.UUID) {
	if n := len(*x); n == 0 || compare((*x)[n-1], id) < 0 {
		*x = append(*x, id)
		return
	}
	if i, found := slices.BinarySearchFunc(*x, id, compare); !found {
		*x = slices.Insert(*x, i, id)
	}
}

// before returns the ids below one, all of them for the zero id.
func (x index) before(id uuid.UUID) index {
	if id == uuid.Nil {
		return x
	}
	i, _ := slices.BinarySearchFunc(x, id, compare)
	return x[:i]
}
