package bolt

import (
	"context"

	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// entry is a delivery as it will be written.
type entry struct {
	record
	id      uuid.UUID
	key     delivery.Key
	claimed bool
	body    []byte
	// transcript is nil if there is none.
	transcript []byte
}

// newEntry encodes a delivery, which is the caller's, so that the committer
// does not have to.
func newEntry(d *delivery.Delivery) (*entry, error) {
	e := &entry{id: d.ID, key: d.Key, claimed: d.Claimed}
	var err error
	if e.record, err = recordOf(d); err != nil {
		return nil, err
	}
	if d.State != delivery.Delivered || d.Body != nil {
		if e.body, err = encodeBody(d); err != nil {
			return nil, err
		}
	}
	if d.Transcript != nil {
		e.transcript = encodeTranscript(d)
	}
	return e, nil
}

// Put implements [delivery.Store].
func (s *Store) Put(ctx context.Context, all []*delivery.Delivery) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if len(all) > 256 {
		return errLanes
	}
	entries := make([]*entry, len(all))
	for i, d := range all {
		e, err := newEntry(d)
		if err != nil {
			return err
		}
		e.state, e.first = delivery.Pending, i == 0
		entries[i] = e
		if i > 0 {
			entries[0].siblings = append(entries[0].siblings, d.ID[:]...)
		}
	}
	err := s.perform(ctx, &operation{
		do:   func(w *writer) error { return s.put(w, entries) },
		undo: func(w *writer) error { return s.takeBack(w, entries) },
	})
	if err == nil {
		for i, e := range entries {
			all[i].Claimed = e.claimed
		}
	}
	return err
}

// put stores the deliveries of one webhook, or none of them.
func (s *Store) put(w *writer, entries []*entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.room(w, entries); err != nil {
		return err
	}
	for _, e := range entries {
		e.sequence = w.next()
		switch {
		case e.chat != 0 && s.index.chats[e.chat] > 0:
			e.place, e.claimed = placeHeld, false
			w.put(held, heldKey(e.chat, e.sequence), e.id[:])
		case e.claimed:
			e.place = placeNone
			s.index.claims[e.id] = claim{chat: e.chat, granted: true}
			w.onFailure(func() { delete(s.index.claims, e.id) })
		default:
			e.place = placeDue
			w.put(due(e.lane), timeKey(e.due, e.sequence), e.id[:])
		}
		w.write(e.id, &e.record)
		w.put(contents, contentKey(e.id, kindBody), e.body)
		if e.transcript != nil {
			w.put(contents, contentKey(e.id, kindTranscript), e.transcript)
		}
		if e.first && e.key != (delivery.Key{}) {
			w.onFailure(s.index.keys.add(e.key, head(e.id[:]), e.received, e.keyExpires))
			s.countKeys()
		}
		s.index.appears(e.lane, e.id)
		w.onFailure(s.index.count(e.lane, delivery.Pending, 1))
		w.onFailure(s.index.enterChat(e.chat))
	}
	return nil
}

// room tells whether the deliveries can be stored.
func (s *Store) room(w *writer, entries []*entry) error {
	if first := entries[0]; first.key != (delivery.Key{}) {
		heads := append(s.index.keys.find(first.key), s.findSpilled(w.txs[0], first.key)...)
		if len(heads) > 0 {
			f, err := findKey(w.txs[0], heads, first.key, s.now())
			if err != nil {
				w.fail(err)
				return err
			}
			if f != nil {
				return delivery.ErrDuplicate
			}
		}
	}
	if s.index.pending+len(entries) > s.limits.Load().MaxPending {
		return delivery.ErrFull
	}
	for _, e := range entries {
		if e.chat != 0 && s.index.chats[e.chat] >= delivery.MaxPendingPerChat {
			return delivery.ErrFull
		}
		if w.get(deliveries, e.id[:]) != nil {
			return errTwice
		}
	}
	return nil
}

// takeBack removes what was stored for a caller who had gone by then.
func (s *Store) takeBack(w *writer, entries []*entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		if r, ok := w.record(e.id); ok && r.sequence == e.sequence {
			s.remove(w, e.id, &r)
		}
	}
	return w.fault
}
