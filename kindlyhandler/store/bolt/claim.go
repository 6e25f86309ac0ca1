package bolt

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// Claim implements [delivery.Store]. What is claimed stays in the table of
// what is due until it is saved, so that a crash loses no claim.
func (s *Store) Claim(ctx context.Context, lane delivery.Lane, now time.Time, limit int) (claimed []*delivery.Delivery, next time.Time, err error) {
	var ids []uuid.UUID
	var keys [][]byte
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		s.unclaim(ids...)
		ids, keys, next, err = s.claimDue(tx, lane, nanos(now), limit)
		return err
	})
	if err != nil {
		s.unclaim(ids...)
		return nil, time.Time{}, err
	}
	for i, id := range ids {
		d, err := s.claimed(ctx, id, lane, nanos(now))
		if err != nil {
			s.unclaim(ids[i:]...)
			return claimed, next, ignoreUnless(len(claimed) == 0, err)
		}
		if d != nil {
			claimed = append(claimed, d)
		} else if err := s.prune(ctx, lane, keys[i], id); err != nil {
			s.unclaim(ids[i+1:]...)
			return claimed, next, ignoreUnless(len(claimed) == 0, err)
		}
	}
	return claimed, next, nil
}

func ignoreUnless(condition bool, err error) error {
	if condition {
		return err
	}
	return nil
}

// claimDue claims what is due by the table, which may be older than the
// claims.
func (s *Store) claimDue(tx *bbolt.Tx, lane delivery.Lane, now int64, limit int) (ids []uuid.UUID, keys [][]byte, next time.Time, err error) {
	b := due(lane).in(tx)
	if b == nil {
		return nil, nil, next, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := b.Cursor()
	for key, value := c.First(); key != nil; key, value = c.Next() {
		id, err := idOf(value)
		if err != nil {
			return ids, keys, next, err
		}
		if _, claimed := s.index.claims[id]; claimed || s.index.unsaved[id] != nil {
			continue
		}
		at := timeOfKey(key)
		if at > now || len(ids) == limit {
			return ids, keys, timeOf(at), nil
		}
		s.index.mark(id, claim{state: reading})
		ids, keys = append(ids, id), append(keys, bytes.Clone(key))
	}
	return ids, keys, next, nil
}

// claimed returns a delivery that was claimed by the table, nil if the table
// was old.
func (s *Store) claimed(ctx context.Context, id uuid.UUID, lane delivery.Lane, now int64) (d *delivery.Delivery, err error) {
	var r record
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		b := deliveries.in(tx)
		if b == nil {
			return delivery.ErrNotFound
		}
		value := b.Get(id[:])
		if value == nil {
			return delivery.ErrNotFound
		}
		if r, err = decode(id[:], value); err != nil {
			return err
		}
		keys := s.sealing.current()
		if d, err = r.delivery(id, keys); err != nil {
			return err
		}
		return readContent(tx, d, keys)
	})
	if err != nil && !errors.Is(err, delivery.ErrNotFound) {
		return nil, err
	}
	if err != nil || r.state != delivery.Pending || r.place != placeDue || r.due > now || r.lane != lane {
		s.unclaim(id)
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index.claims[id].state != reading { // dropped at this moment
		return nil, nil
	}
	s.index.mark(id, claim{state: granted, chat: r.order()})
	d.Claimed = true
	return d, nil
}

// prune takes an entry out of the table of what is due that leads to nothing
// that is: damage can do that. An entry that was old only when it was read is
// gone already.
func (s *Store) prune(ctx context.Context, lane delivery.Lane, key []byte, id uuid.UUID) error {
	return s.perform(ctx, operation{do: func(w *writer) error {
		r, ok := w.record(id)
		t, right, indexed := r.indexed()
		if !ok || !indexed || t != due(lane) || string(right) != string(key) {
			w.delete(due(lane), key)
		}
		return w.fault
	}})
}

// unclaim gives up what was claimed, but not granted.
func (s *Store) unclaim(ids ...uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.index.claims[id].state == reading {
			delete(s.index.claims, id)
		}
	}
}

// Take implements [delivery.Store].
func (s *Store) Take(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	d, err := s.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if d.State != delivery.Pending {
		return nil, delivery.ErrNotFound
	}
	s.mu.Lock()
	_, busy := s.index.claims[id]
	if !busy {
		s.index.mark(id, claim{state: reading})
	}
	s.mu.Unlock()
	if busy {
		return nil, delivery.ErrBusy
	}
	// By what is there now that nobody else can change it.
	taken, err := s.claimed(ctx, id, d.Lane, nanos(future))
	switch {
	case err != nil:
		s.unclaim(id)
		return nil, err
	case taken == nil && d.ChatID != "":
		return nil, delivery.ErrBusy
	case taken == nil:
		return nil, delivery.ErrNotFound
	}
	return taken, nil
}

// future is later than anything is due.
var future = time.Unix(0, 1<<63-1)

// Revive implements [delivery.Store].
func (s *Store) Revive(ctx context.Context, id uuid.UUID) (d *delivery.Delivery, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	err = s.perform(ctx, operation{do: func(w *writer) error {
		d, err = s.revive(w, id)
		return err
	}})
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (s *Store) revive(w *writer, id uuid.UUID) (*delivery.Delivery, error) {
	old, ok := w.record(id)
	if w.fault != nil {
		return nil, w.fault
	}
	if !ok || old.state != delivery.Dead {
		return nil, delivery.ErrNotFound
	}
	keys := s.keysFor(w)
	d, err := old.delivery(id, keys)
	if err == nil {
		err = readContent(w.txs[0], d, keys)
	}
	if err != nil {
		w.fail(err)
		return nil, err
	}
	d.State, d.Claimed, d.Answer = delivery.Pending, true, nil
	d.DueAt, d.Elapsed = s.now(), 0
	e, err := newEntry(d, keys)
	if err != nil {
		return nil, err
	}
	r := &e.record
	r.sequence, r.siblings, r.first, r.revived = old.sequence, old.siblings, old.first, true
	unplace(w, &old)
	w.write(id, r)
	writeContent(w, id, kindBody, e.body) // if it was encrypted with another key
	writeContent(w, id, kindTranscript, e.transcript)
	s.mu.Lock()
	defer s.mu.Unlock()
	w.onFailure(s.index.count(r.lane, delivery.Dead, -1))
	w.onFailure(s.index.appears(r.lane, id))
	w.onFailure(s.index.count(r.lane, delivery.Pending, 1))
	w.onFailure(s.index.mark(id, claim{state: granted}))
	return d, nil
}
