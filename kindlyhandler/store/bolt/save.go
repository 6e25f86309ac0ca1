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
// free no other delivery: it is committed with others, within 50 ms.
func (s *Store) Save(ctx context.Context, d *delivery.Delivery) (unblocked bool, err error) {
	if err := s.usable(ctx); err != nil {
		return false, err
	}
	saved := *d
	saved.Memo, saved.Claimed = nil, false
	e, err := newEntry(&saved, s.sealing.current())
	if err != nil {
		return false, err
	}
	e.saved = &saved
	if d.State != delivery.Pending {
		e.settled = nanos(s.now())
	}
	if done, err := s.complete(e, &saved); done || err != nil {
		return false, err
	}
	err = s.perform(ctx, operation{
		do: func(w *writer) (err error) {
			unblocked, err = s.save(w, e)
			return err
		},
		committed: func() { delete(s.index.claims, e.id) },
	})
	return unblocked && err == nil, err
}

// complete saves a completion in memory, if that will do for now.
func (s *Store) complete(e *entry, d *delivery.Delivery) (done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := &s.index
	c := x.claims[e.id]
	if e.state != delivery.Delivered || c.state != granted || c.lost || x.chats[c.chat] > 1 ||
		len(x.unsaved) >= maxUnsaved || !s.isReady() {
		return false, nil
	}
	o := &operation{
		chat: c.chat,
		do: func(w *writer) error {
			s.mu.Lock()
			gone := x.claims[e.id].state == dropped || x.unsaved[e.id] != d // and forgotten since
			s.mu.Unlock()
			if gone {
				return delivery.ErrNotFound
			}
			s.replace(w, e)
			return nil
		},
		committed: func() { x.saved = append(x.saved, e.id) },
	}
	if !s.queue.put(o) {
		return false, delivery.ErrClosed
	}
	x.unsaved[e.id] = d
	delete(x.claims, e.id)
	x.leaveChat(c.chat)
	x.count(e.lane, delivery.Pending, -1)
	x.count(e.lane, delivery.Delivered, 1)
	return true, nil
}

// save writes what has become of a claimed delivery, and tells whether another
// one of its chat can be claimed by that.
func (s *Store) save(w *writer, e *entry) (unblocked bool, err error) {
	s.mu.Lock()
	c := s.index.claims[e.id]
	s.mu.Unlock()
	if c.state != granted {
		return false, delivery.ErrNotFound
	}
	old := s.replace(w, e)
	s.mu.Lock()
	if old != nil {
		w.onFailure(s.index.count(old.lane, old.state, -1))
	}
	w.onFailure(s.index.count(e.lane, e.state, 1))
	s.mu.Unlock()
	switch was, is := old.order(), e.order(); {
	case is == 0:
		unblocked = s.leaveChat(w, was)
	case was == 0:
		s.mu.Lock()
		w.onFailure(s.index.enterChat(is))
		s.mu.Unlock()
	}
	return unblocked, w.fault
}

// replace writes a delivery in place of the record in the file, which is
// returned. If there is none, because damage took it, the entry is as good.
func (s *Store) replace(w *writer, e *entry) (old *record) {
	s.renew(w, e)
	e.revived, e.first, e.siblings = false, false, nil
	if r, ok := w.record(e.id); ok {
		old = &r
		e.sequence, e.revived, e.first, e.siblings = r.sequence, r.revived, r.first, r.siblings
		unplace(w, old)
	} else {
		e.sequence = w.next()
	}
	e.place = placeNone
	if e.state == delivery.Pending {
		e.place = placeDue
	}
	t, key, _ := e.indexed()
	w.put(t, key, e.id[:])
	w.write(e.id, &e.record)
	writeContent(w, e.id, kindBody, e.body)
	writeContent(w, e.id, kindTranscript, e.transcript)
	return old
}

// renew encodes an entry anew if the keys have changed since it was made.
func (s *Store) renew(w *writer, e *entry) {
	keys := s.keysFor(w)
	if e.sealer == keys.Sealer() {
		return
	}
	fresh, err := newEntry(e.saved, keys)
	if err != nil {
		w.fail(err)
		return
	}
	e.sealer, e.details, e.body, e.transcript = fresh.sealer, fresh.details, fresh.body, fresh.transcript
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

// writeContent writes a content that differs from the one in the file, of which
// it reads the beginning only, with the checksum: the rest can be large.
func writeContent(w *writer, id uuid.UUID, kind byte, value []byte) {
	key := contentKey(id, kind)
	old := w.get(contents, key)
	switch {
	case value == nil && old != nil:
		w.delete(contents, key)
	case value != nil && (len(old) != len(value) || string(old[:4]) != string(value[:4])):
		w.put(contents, key, value)
	}
}

// leaveChat takes a delivery out of its chat's order, and lets the next one
// go.
func (s *Store) leaveChat(w *writer, chat uint64) (unblocked bool) {
	s.mu.Lock()
	w.onFailure(s.index.leaveChat(chat))
	left := s.index.chats[chat]
	s.mu.Unlock()
	return left > 0 && letNextGo(w, chat)
}

// letNextGo makes the oldest delivery due that is held back in a chat.
func letNextGo(w *writer, chat uint64) bool {
	b := w.bucket(held)
	if b == nil {
		return false
	}
	for {
		key, value := b.Cursor().Seek(heldKey(chat, 0))
		if key == nil || head(key) != chat || w.fault != nil {
			return false
		}
		key = bytes.Clone(key)
		if id, err := idOf(value); err == nil {
			if r, ok := w.record(id); ok && r.place == placeHeld && r.order() == chat {
				unplace(w, &r)
				r.place = placeDue
				w.put(due(r.lane), timeKey(r.due, r.sequence), id[:])
				w.write(id, &r)
				return true
			}
		}
		w.delete(held, key) // leads nowhere: damage can do that
	}
}

// remove drops a delivery with all that is kept of it. Until no reader can find
// it any more, nobody can claim it.
func (s *Store) remove(w *writer, id uuid.UUID, r *record) {
	unplace(w, r)
	w.delete(deliveries, id[:])
	dropContents(w, id)
	s.leaveChat(w, s.removeFromIndex(w, id, r))
	if r.first {
		s.passOn(w, r)
	}
}

// removeFromIndex returns the chat whose others wait for this delivery, 0 if
// there is none.
func (s *Store) removeFromIndex(w *writer, id uuid.UUID, r *record) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, chat := r.state, r.order()
	if s.index.unsaved[id] != nil {
		state, chat = delivery.Delivered, 0 // it has left it
	}
	w.onFailure(s.index.count(r.lane, state, -1))
	// Who holds a claim may have saved it in this transaction, and try again.
	if c := s.index.claims[id]; (r.state == delivery.Pending || c.state == granted) && c.state != withdrawn {
		w.onFailure(s.index.mark(id, claim{state: dropped}))
	}
	if r.place != placeHeld {
		return chat
	}
	w.onFailure(s.index.leaveChat(chat))
	return 0
}

// passOn makes the next one of a webhook's deliveries the one that its key
// leads to.
func (s *Store) passOn(w *writer, r *record) {
	for i, id := range r.others() {
		next, ok := w.record(id)
		if !ok {
			continue
		}
		key, err := next.key()
		if err != nil {
			w.fail(err)
			return
		}
		next.first, next.siblings = true, r.siblings[(i+1)*idSize:]
		w.write(id, &next)
		if key != (delivery.Key{}) {
			s.mu.Lock()
			w.onFailure(s.index.keys.add(key, head(id[:]), next.received, next.keyExpires))
			s.mu.Unlock()
		}
		return
	}
}
