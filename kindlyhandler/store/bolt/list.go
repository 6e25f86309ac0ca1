package bolt

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

const (
	// chunk is how many records one transaction reads, so that it is short.
	chunk = 1000
	// maxScan is how many records one call of List looks through.
	maxScan = 20 * chunk
)

// List implements [delivery.Store].
func (s *Store) List(ctx context.Context, q delivery.Query) (page delivery.Page, err error) {
	// Only what is not delivered has contents: they lead to it faster.
	t := deliveries
	if len(q.States) > 0 && !slices.Contains(q.States, delivery.Delivered) {
		t = contents
	}
	page.Before = q.Before
	for range maxScan / chunk {
		var more bool
		err := s.read(ctx, func(tx *bbolt.Tx) error {
			more, err = s.listChunk(tx, t, &q, &page)
			return err
		})
		if err != nil {
			return delivery.Page{}, err
		}
		if !more {
			page.Before = uuid.UUID{}
			return page, nil
		}
		if len(page.Deliveries) == q.Limit {
			return page, nil
		}
	}
	return page, nil
}

// listChunk goes on with a page, back from page.Before, and tells whether there
// may be more.
func (s *Store) listChunk(tx *bbolt.Tx, t table, q *delivery.Query, page *delivery.Page) (more bool, err error) {
	b := t.in(tx)
	if b == nil {
		return false, nil
	}
	c := b.Cursor()
	var key []byte
	if page.Before == (uuid.UUID{}) {
		key, _ = c.Last()
	} else if key, _ = c.Seek(page.Before[:]); key == nil {
		key, _ = c.Last()
	}
	for n, last := 0, []byte(nil); key != nil; key, _ = c.Prev() {
		if len(key) < idSize || last != nil && bytes.Compare(key, last) >= 0 {
			return false, errOrder
		}
		last = key
		id := uuid.UUID(key[:idSize])
		if page.Before != (uuid.UUID{}) && !lessID(id, page.Before) {
			continue
		}
		if n++; n > chunk || len(page.Deliveries) == q.Limit {
			return true, nil
		}
		page.Before = id
		d, err := s.matching(tx, id, q)
		if err != nil {
			return false, err
		}
		if d != nil {
			page.Deliveries = append(page.Deliveries, d)
		}
	}
	return false, nil
}

// matching returns a delivery if the query asks for it.
func (s *Store) matching(tx *bbolt.Tx, id uuid.UUID, q *delivery.Query) (*delivery.Delivery, error) {
	value := deliveries.in(tx).Get(id[:])
	if value == nil {
		return nil, nil // a content that has lost its record
	}
	r, err := decode(id[:], value)
	if err != nil {
		return nil, err
	}
	if q.Webhook != "" && q.Webhook != r.lane.Webhook || q.Upstream != "" && q.Upstream != r.lane.Upstream ||
		q.ChatID != "" && hashChat(r.lane, q.ChatID) != r.chat {
		return nil, nil
	}
	d, err := r.delivery(id, s.sealing.current())
	if err != nil {
		return nil, err
	}
	if d = s.present(d); d == nil {
		return nil, nil
	}
	d.Body, d.Customer, d.Transcript = nil, nil, nil
	if len(q.States) > 0 && !slices.Contains(q.States, d.State) || q.ChatID != "" && q.ChatID != d.ChatID {
		return nil, nil
	}
	return d, nil
}

// Drop implements [delivery.Store].
func (s *Store) Drop(ctx context.Context, id uuid.UUID) (d *delivery.Delivery, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	err = s.perform(ctx, operation{
		do: func(w *writer) error {
			r, ok := w.record(id)
			if w.fault != nil {
				return w.fault
			}
			if !ok {
				return delivery.ErrNotFound
			}
			if d, err = r.delivery(id, s.sealing.current()); err != nil {
				w.fail(err)
				return err
			}
			if d = s.present(d); d == nil {
				return delivery.ErrNotFound
			}
			d.Body, d.Customer, d.Transcript = nil, nil, nil
			s.remove(w, id, &r)
			return nil
		},
		committed: func() { s.index.saved = append(s.index.saved, id) },
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Erase implements [delivery.Store]. It looks through all deliveries, and takes
// a second or two for a million of them. What is left on free pages of the file
// goes soon after, when they are not copied (see purge.go).
func (s *Store) Erase(ctx context.Context, chatID string) (n int, err error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	if chatID == "" {
		return 0, nil
	}
	if err := s.askForPurge(ctx); err != nil {
		return 0, err
	}
	q := delivery.Query{ChatID: chatID, Limit: chunk}
	for {
		page, err := s.List(ctx, q)
		if err != nil {
			return n, err
		}
		for _, d := range page.Deliveries {
			switch _, err := s.Drop(ctx, d.ID); {
			case err == nil:
				n++
			case !errors.Is(err, delivery.ErrNotFound):
				return n, err
			}
		}
		if q.Before = page.Before; q.Before == (uuid.UUID{}) {
			return n, errors.Join(s.askForPurge(ctx), s.eraseAsides())
		}
	}
}

// Count implements [delivery.Store].
func (s *Store) Count(ctx context.Context) (map[delivery.Lane]delivery.Counts, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	all := make(map[delivery.Lane]delivery.Counts, len(s.index.lanes))
	oldest := make(map[delivery.Lane]uuid.UUID)
	for lane, c := range s.index.lanes {
		if c.Counts != (delivery.Counts{}) {
			all[lane] = c.Counts
		}
		if c.Pending > 0 {
			oldest[lane] = c.oldest
		}
	}
	s.mu.Unlock()
	for lane, from := range oldest {
		c := all[lane]
		received, err := s.oldestPending(ctx, lane, from)
		if err != nil {
			return nil, err
		}
		c.OldestPending = received
		all[lane] = c
	}
	return all, nil
}

// oldestPending returns when the oldest pending delivery of a lane was
// received, which is not older than from. Where many others are in between, it
// may take several calls to find it; until then the time is zero.
func (s *Store) oldestPending(ctx context.Context, lane delivery.Lane, from uuid.UUID) (received time.Time, err error) {
	at := from
	for range maxScan / chunk {
		done := true
		err := s.read(ctx, func(tx *bbolt.Tx) error {
			b := contents.in(tx)
			if b == nil {
				return nil
			}
			c := b.Cursor()
			n := 0
			for key, _ := c.Seek(at[:]); key != nil; key, _ = c.Next() {
				if len(key) < idSize || bytes.Compare(key[:idSize], at[:]) < 0 {
					return errOrder
				}
				at = uuid.UUID(key[:idSize])
				if n++; n > chunk {
					done = false
					return nil
				}
				d, err := s.matching(tx, at, &delivery.Query{
					Webhook: lane.Webhook, Upstream: lane.Upstream, States: []delivery.State{delivery.Pending},
				})
				if err != nil {
					return err
				}
				if d != nil {
					received = d.ReceivedAt
					return nil
				}
			}
			return nil
		})
		if err != nil {
			return received, err
		}
		if done {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.index.of(lane); c.oldest == from {
		c.oldest = at
	}
	return received, nil
}
