package bolt

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
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
	// saved, in a Save, is what the entry was made of.
	saved *delivery.Delivery
}

// newEntry encodes a delivery, which is the caller's, so that the committer
// does not have to.
func newEntry(d *delivery.Delivery, keys *seal.Keys) (*entry, error) {
	e := &entry{id: d.ID, key: d.Key, claimed: d.Claimed}
	var err error
	if e.record, err = recordOf(d, keys); err != nil {
		return nil, err
	}
	if d.State != delivery.Delivered || d.Body != nil {
		if e.body, err = encodeBody(d, keys); err != nil {
			return nil, err
		}
	}
	if d.Transcript != nil {
		e.transcript = encodeTranscript(d, keys)
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
	for {
		if err := s.putWith(ctx, s.sealing.current(), all); !errors.Is(err, errKeysChanged) {
			return err
		}
	}
}

// putWith is Put with keys, which may have changed when it comes to be committed.
func (s *Store) putWith(ctx context.Context, keys *seal.Keys, all []*delivery.Delivery) error {
	entries := make([]*entry, len(all))
	for i, d := range all {
		e, err := newEntry(d, keys)
		if err != nil {
			return err
		}
		e.state, e.first = delivery.Pending, i == 0
		entries[i] = e
		if i > 0 {
			entries[0].siblings = append(entries[0].siblings, d.ID[:]...)
		}
	}
	err := s.perform(ctx, operation{
		do:        func(w *writer) error { return s.put(w, entries) },
		committed: func() { s.index.accept(entries) },
		entries:   entries,
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
	if !s.reserve.there {
		return errNoReserve
	}
	if err := s.known(w, entries); err != nil {
		return err
	}
	if s.sealing.use().Sealer() != entries[0].sealer {
		return errKeysChanged
	}
	if err := s.place(w, entries); err != nil {
		return err
	}
	noteSealer(w, entries[0].sealer)
	for _, e := range entries {
		add(w, e)
	}
	return nil
}

// add writes a delivery that is not in the file.
func add(w *writer, e *entry) {
	e.sequence = w.next()
	if t, key, ok := e.indexed(); ok {
		w.put(t, key, e.id[:])
	}
	w.write(e.id, &e.record)
	if e.body != nil {
		w.put(contents, contentKey(e.id, kindBody), e.body)
	}
	if e.transcript != nil {
		w.put(contents, contentKey(e.id, kindTranscript), e.transcript)
	}
}

// known fails if the webhook, or one of its ids, is in the file already.
func (s *Store) known(w *writer, entries []*entry) error {
	first := entries[0]
	f, err := s.findKey(w.txs[0], first.key)
	if err != nil {
		w.fail(err)
		return err
	}
	if f != nil {
		return delivery.ErrDuplicate
	}
	for _, e := range entries {
		if w.get(deliveries, e.id[:]) != nil {
			return errTwice
		}
	}
	return nil
}

// place enters the deliveries into the index, each in the place where it is to
// wait, or fails with ErrFull.
func (s *Store) place(w *writer, entries []*entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := &s.index
	if x.pending+len(entries) > s.limits.Load().MaxPending {
		return delivery.ErrFull
	}
	for _, e := range entries {
		if x.chats[e.chat] >= delivery.MaxPendingPerChat {
			return delivery.ErrChatFull
		}
	}
	for _, e := range entries {
		switch {
		case x.chats[e.chat] > 0:
			e.place, e.claimed = placeHeld, false
		case e.claimed:
			e.place = placeNone
		default:
			e.place = placeDue
		}
		s.enterEntry(w, e)
	}
	return nil
}

// enterEntry enters a delivery into the index, hidden until [index.accept]. The
// mutex is held.
func (s *Store) enterEntry(w *writer, e *entry) {
	x := &s.index
	w.onFailure(x.mark(e.id, claim{state: putting, chat: e.order()}))
	if e.first && e.key != (delivery.Key{}) {
		w.onFailure(x.keys.add(e.key, head(e.id[:]), e.received, e.keyExpires))
		s.countKeys()
	}
	if e.state == delivery.Pending {
		w.onFailure(x.appears(e.lane, e.id))
	}
	w.onFailure(x.count(e.lane, e.state, 1))
	w.onFailure(x.enterChat(e.order()))
}

// accept ends a Put: now others may see the deliveries, and claim those whose
// claim was not granted.
func (x *index) accept(entries []*entry) {
	for _, e := range entries {
		if e.claimed {
			x.mark(e.id, claim{state: granted, chat: e.chat})
		} else {
			delete(x.claims, e.id)
		}
	}
}

// withdraw hides what was stored for a caller who has gone, or was told that
// it was not, until it is taken out of the file again. The mutex is held.
func (s *Store) withdraw(entries []*entry) {
	var ids []uuid.UUID
	for _, e := range entries {
		if e.sequence == 0 {
			continue // an Import has found it there
		}
		ids = append(ids, e.id)
		s.index.mark(e.id, claim{state: withdrawn, chat: e.chat})
	}
	s.queue.back(&operation{
		do: func(w *writer) error {
			for _, e := range slices.Backward(entries) { // the first one last: it would pass its key on
				if r, ok := w.record(e.id); ok && r.sequence == e.sequence {
					s.remove(w, e.id, &r)
				}
			}
			return w.fault
		},
		committed: func() { s.index.saved = append(s.index.saved, ids...) },
	})
}
