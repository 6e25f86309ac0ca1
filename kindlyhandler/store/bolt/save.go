package bolt

import (
	"bytes"
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// maxUnsaved bounds the completions in memory: beyond it, Save waits for the
// disk.
const maxUnsaved = 4096

var errTwice = errors.New("a delivery with the same id is there already")

// Save implements [delivery.Store]. Nobody waits for a completion that sets
// free no other delivery: it is committed with what comes next, within 50 ms.
func (s *Store) Save(ctx context.Context, d *delivery.Delivery) (unblocked bool, err error) {
	if err := s.usable(ctx); err != nil {
		return false, err
	}
	saved := *d
	saved.Memo, saved.Claimed = nil, false
	e, err := newEntry(&saved)
	if err != nil {
		return false, err
	}
	if d.State != delivery.Pending {
		e.settled = nanos(s.now())
	}
	if done, err := s.complete(e, &saved); done || err != nil {
		return false, err
	}
	err = s.perform(ctx, &operation{
		do: func(w *writer) (err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			unblocked, err = s.save(w, e)
			return err
		},
		committed: func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.index.claims, e.id)
		},
	})
	return unblocked && err == nil, err
}

// complete saves a completion in memory, if that will do for now.
func (s *Store) complete(e *entry, d *delivery.Delivery) (done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.index.claims[e.id]
	if !ok {
		return false, delivery.ErrNotFound
	}
	if e.state != delivery.Delivered || s.index.chats[c.chat] > 1 || len(s.index.unsaved) >= maxUnsaved {
		return false, nil
	}
	o := &operation{
		do: func(w *writer) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.index.unsaved[e.id] == nil {
				return delivery.ErrNotFound // dropped since
			}
			s.settle(w, e)
			return nil
		},
		committed: func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.index.unsaved, e.id)
		},
	}
	if !s.queue.put(o) {
		return false, delivery.ErrClosed
	}
	s.index.unsaved[e.id] = d
	delete(s.index.claims, e.id)
	s.index.leaveChat(c.chat)
	s.index.count(e.lane, delivery.Pending, -1)
	s.index.count(e.lane, delivery.Delivered, 1)
	return true, nil
}

// save writes what has become of a claimed delivery, and tells whether another
// one of its chat can be claimed by that.
func (s *Store) save(w *writer, e *entry) (unblocked bool, err error) {
	c, ok := s.index.claims[e.id]
	if !ok {
		return false, delivery.ErrNotFound
	}
	if e.state != delivery.Pending {
		w.onFailure(s.index.count(e.lane, delivery.Pending, -1))
		w.onFailure(s.index.count(e.lane, e.state, 1))
		unblocked = s.leaveChat(w, c.chat)
		s.settle(w, e)
		return unblocked, nil
	}
	s.replace(w, e)
	e.place = placeDue
	w.put(due(e.lane), timeKey(e.due, e.sequence), e.id[:])
	w.write(e.id, &e.record)
	s.writeContents(w, e)
	return false, nil
}

// settle writes a delivery that is no longer pending.
func (s *Store) settle(w *writer, e *entry) {
	s.replace(w, e)
	e.place = placeNone
	w.put(settled(e.state), timeKey(e.settled, e.sequence), e.id[:])
	w.write(e.id, &e.record)
	s.writeContents(w, e)
}

// replace takes over from the record on disk what the entry does not have, and
// takes that out of the indexes. If damage has lost it, the entry is as good.
func (s *Store) replace(w *writer, e *entry) {
	old, ok := w.record(e.id)
	if !ok {
		e.sequence = w.next()
		return
	}
	e.sequence, e.revived, e.first, e.siblings = old.sequence, old.revived, old.first, old.siblings
	unplace(w, &old)
}

// indexed returns where the index on disk leads to a record; ok is false if it
// does not.
func (r *record) indexed() (t table, key []byte, ok bool) {
	switch {
	case r.state != delivery.Pending:
		return settled(r.state), timeKey(r.settled, r.sequence), true
	case r.place == placeDue:
		return due(r.lane), timeKey(r.due, r.sequence), true
	case r.place == placeHeld:
		return held, heldKey(r.chat, r.sequence), true
	default:
		return t, nil, false
	}
}

// unplace takes a record out of the index on disk.
func unplace(w *writer, r *record) {
	if t, key, ok := r.indexed(); ok {
		w.delete(t, key)
	}
}

// writeContents writes what differs from the contents on disk.
func (s *Store) writeContents(w *writer, e *entry) {
	for kind, value := range map[byte][]byte{kindBody: e.body, kindTranscript: e.transcript} {
		key := contentKey(e.id, kind)
		old := w.get(contents, key)
		switch {
		case value == nil && old != nil:
			w.delete(contents, key)
		case value != nil && !bytes.Equal(old, value):
			w.put(contents, key, value)
		}
	}
}

// leaveChat takes a delivery out of its chat's order, and lets the next one
// go.
func (s *Store) leaveChat(w *writer, chat uint64) (unblocked bool) {
	if chat == 0 {
		return false
	}
	w.onFailure(s.index.leaveChat(chat))
	return s.index.chats[chat] > 0 && letNextGo(w, chat)
}

// letNextGo makes the oldest delivery due that is held back in a chat.
func letNextGo(w *writer, chat uint64) bool {
	b := w.bucket(held)
	if b == nil {
		return false
	}
	key, value := b.Cursor().Seek(heldKey(chat, 0))
	if key == nil || head(key) != chat {
		return false
	}
	id, err := idOf(value)
	if err != nil {
		w.fail(err)
		return false
	}
	r, ok := w.record(id)
	if !ok {
		w.fail(errDamaged)
		return false
	}
	unplace(w, &r)
	r.place = placeDue
	w.put(due(r.lane), timeKey(r.due, r.sequence), id[:])
	w.write(id, &r)
	return true
}

// remove drops a delivery with all that is kept of it. The caller has seen to
// its claim.
func (s *Store) remove(w *writer, id uuid.UUID, r *record) (unblocked bool) {
	state := r.state
	unplace(w, r)
	w.delete(deliveries, id[:])
	w.delete(contents, contentKey(id, kindBody))
	w.delete(contents, contentKey(id, kindTranscript))
	if d := s.index.unsaved[id]; d != nil { // it has left its chat
		delete(s.index.unsaved, id)
		w.onFailure(func() { s.index.unsaved[id] = d })
		state = delivery.Delivered
	} else if r.counted() {
		first := r.place != placeHeld
		if first {
			unblocked = s.leaveChat(w, r.chat)
		} else {
			w.onFailure(s.index.leaveChat(r.chat))
		}
	}
	if c, ok := s.index.claims[id]; ok {
		delete(s.index.claims, id)
		w.onFailure(func() { s.index.claims[id] = c })
	}
	w.onFailure(s.index.count(r.lane, state, -1))
	if r.first {
		s.passOn(w, r)
	}
	return unblocked
}

// passOn makes the next one of a webhook's deliveries the one that its key
// leads to.
func (s *Store) passOn(w *writer, r *record) {
	for i, id := range r.others() {
		next, ok := w.record(id)
		if !ok {
			continue
		}
		d, err := next.delivery(id)
		if err != nil {
			w.fail(err)
			return
		}
		next.first, next.siblings = true, r.siblings[(i+1)*idSize:]
		w.write(id, &next)
		if d.Key != (delivery.Key{}) {
			w.onFailure(s.index.keys.add(d.Key, head(id[:]), next.received, next.keyExpires))
		}
		return
	}
}
