package bolt

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"
	"go.uber.org/zap"
)

// loose is a delivery that no table leads to: its first attempt was cut off by
// a crash, or damage took the entry.
type loose struct {
	id             uuid.UUID
	chat, sequence uint64
}

// placing is what is left to do after the index was read.
type placing struct {
	loose []loose
	// open: some of loose have no place yet, or some chat does not go on.
	open bool
	next time.Time // not before
}

// placeLater is when placing is tried again if the disk does not let it: what
// has its place goes on meanwhile.
const placeLater = 10 * time.Second

// placeLoose gives what is loose its place: if it is pending, due, or behind
// another one of its chat. And it sees to it that each chat goes on. Its error
// is damage; what else prevents it may be over later.
func (s *Store) placeLoose() error {
	p := &s.placing
	if !p.open || time.Now().Before(p.next) {
		return nil
	}
	err := s.placeAll()
	switch {
	case err == nil:
		p.open = false
	case errors.Is(err, errDamaged):
		return err
	case s.ctx.Err() == nil:
		p.next = time.Now().Add(placeLater)
		s.log.Error("some deliveries have to wait until the store can be written to",
			zap.String("path", s.path), zap.Int("deliveries", len(p.loose)), zap.Error(err))
	}
	return nil
}

func (s *Store) placeAll() error {
	p := &s.placing
	slices.SortFunc(p.loose, func(a, b loose) int { return cmp.Compare(a.sequence, b.sequence) })
	waiting, err := s.countHeld()
	if err != nil {
		return err
	}
	behind := make(map[uint64]int) // how many of a chat there are in no table
	for _, l := range p.loose {
		behind[l.chat]++
	}
	headed := func(chat uint64) bool { // by one that is due, or claimed
		s.mu.Lock()
		defer s.mu.Unlock()
		return int(s.index.chats[chat]) > behind[chat]+waiting[chat]
	}
	for most := chunk; len(p.loose) > 0; {
		part := p.loose[:min(most, len(p.loose))]
		err := s.update(func(w *writer) error {
			for _, l := range part {
				placeOne(w, l, behind, waiting, headed)
			}
			return w.fault
		})
		switch {
		case err == nil:
			p.loose = p.loose[len(part):]
		case errors.Is(err, errDamaged), len(part) == 1:
			return err
		default: // the disk may have room for less
			most = len(part) / 4
		}
		most = max(most, 1)
	}
	return s.update(func(w *writer) error {
		for chat := range waiting {
			if !headed(chat) {
				letNextGo(w, chat)
			}
		}
		return w.fault
	})
}

// placeOne places one delivery, unless it has gone.
func placeOne(w *writer, l loose, behind, waiting map[uint64]int, headed func(chat uint64) bool) {
	if r, ok := w.record(l.id); ok {
		if r.place = placeDue; l.chat != 0 && headed(l.chat) {
			r.place = placeHeld
			waiting[l.chat]++
			w.onFailure(func() { waiting[l.chat]-- })
		}
		if t, key, ok := r.indexed(); ok {
			w.put(t, key, l.id[:])
		}
		w.write(l.id, &r)
	}
	behind[l.chat]--
	w.onFailure(func() { behind[l.chat]++ })
}

// countHeld counts, by chat, what is held back.
func (s *Store) countHeld() (map[uint64]int, error) {
	n := make(map[uint64]int)
	err := s.each(held, func(_ *bbolt.Tx, key, _ []byte) error {
		n[head(key)]++
		return nil
	})
	return n, err
}
