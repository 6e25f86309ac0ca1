package bolt

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

var errWithdrawing = errors.New("a delivery is being removed at this moment, whose import was given up before: try again")

// maxSiblings is how many other deliveries of a webhook a record can name.
const maxSiblings = 255

// Import implements [delivery.Store]. What is settled is kept as long as if it
// had been settled here.
func (s *Store) Import(ctx context.Context, all []*delivery.Delivery) (imported int, err error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	if len(all) == 0 {
		return 0, nil
	}
	for {
		imported, err := s.importWith(ctx, s.sealing.current(), all)
		if !errors.Is(err, errKeysChanged) {
			return imported, err
		}
	}
}

// importWith is Import with keys, which may have changed when it comes to be
// committed.
func (s *Store) importWith(ctx context.Context, keys *seal.Keys, all []*delivery.Delivery) (imported int, err error) {
	now := nanos(s.now())
	entries := make([]*entry, len(all))
	for i, d := range all {
		e, err := newEntry(d, keys)
		if err != nil {
			return 0, err
		}
		e.claimed = false
		if e.state != delivery.Pending {
			e.settled = min(nanos(d.LastEnded()), now)
		}
		entries[i] = e
	}
	var added []*entry
	err = s.perform(ctx, operation{
		do: func(w *writer) (err error) {
			added, err = s.importNew(w, entries)
			return err
		},
		committed: func() {
			s.index.accept(added)
			s.index.anew(added)
		},
		entries: entries,
		imports: true,
	})
	if err != nil {
		return 0, err
	}
	return len(added), nil
}

// anew forgets what is known of earlier deliveries with the same ids, which are
// gone.
func (x *index) anew(entries []*entry) {
	if len(x.saved) == 0 {
		return
	}
	ids := make(map[uuid.UUID]bool, len(entries))
	for _, e := range entries {
		ids[e.id] = true
	}
	x.saved = slices.DeleteFunc(x.saved, func(id uuid.UUID) bool { return ids[id] })
}

// importNew stores the deliveries whose id is not in the file, and returns
// them.
func (s *Store) importNew(w *writer, entries []*entry) ([]*entry, error) {
	if !s.reserve.there {
		return nil, errNoReserve
	}
	added, err := s.missing(w, entries)
	if err != nil || len(added) == 0 {
		return nil, err
	}
	if s.sealing.use().Sealer() != added[0].sealer {
		return nil, errKeysChanged
	}
	noteSealer(w, added[0].sealer)
	if err := s.takeKeys(w, added); err != nil {
		return nil, err
	}
	s.mu.Lock()
	for _, e := range added {
		switch chat := e.order(); {
		case e.state != delivery.Pending:
			e.place = placeNone
		case chat != 0 && s.index.chats[chat] > 0:
			e.place = placeHeld
		default:
			e.place = placeDue
		}
		s.enterEntry(w, e)
	}
	s.mu.Unlock()
	for _, e := range added {
		add(w, e)
	}
	return added, w.fault
}

// missing returns the deliveries whose id is not in the file.
func (s *Store) missing(w *writer, entries []*entry) ([]*entry, error) {
	var missing []*entry
	seen := make(map[uuid.UUID]bool, len(entries))
	for _, e := range entries {
		e.sequence = 0
		if seen[e.id] {
			continue
		}
		seen[e.id] = true
		if w.get(deliveries, e.id[:]) == nil {
			missing = append(missing, e)
			continue
		}
		s.mu.Lock()
		withdrawing := s.index.claims[e.id].state == withdrawn
		s.mu.Unlock()
		if withdrawing {
			return nil, errWithdrawing
		}
	}
	return missing, nil
}

// takeKeys lets those keys lead to the deliveries that are free, and have not
// expired.
func (s *Store) takeKeys(w *writer, entries []*entry) error {
	now := nanos(s.now())
	firsts := make(map[delivery.Key]*entry)
	for _, e := range entries {
		e.first, e.siblings = false, nil
		if e.key == (delivery.Key{}) || e.keyExpires <= now {
			continue
		}
		if first := firsts[e.key]; first != nil {
			if len(first.siblings) < maxSiblings*idSize {
				first.siblings = append(first.siblings, e.id[:]...)
			}
			continue
		}
		taken, err := s.findKey(w.txs[0], e.key)
		if err != nil {
			w.fail(err)
			return err
		}
		if taken == nil {
			e.first, firsts[e.key] = true, e
		}
	}
	return nil
}
