package bolt

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// DefaultMaxKeys is how many duplicate keys are found in memory, some 25 bytes
// each: that is enough for 3,000 dialogue webhooks, or 20 ticket webhooks, a
// second. Beyond it, whole generations of them are written to the disk, in
// their order, and are found there.
const DefaultMaxKeys = 2_000_000

// spilled has the keys of a generation: key → ids, the first 8 bytes of each.
// There are several ids if keys share their beginning, or one was used again.
func spilled(until int64) table { return table{"keys", strconv.FormatInt(until, 10)} }

// countKeys wakes the goroutine that spills if there are too many. The store's
// mutex is held.
func (s *Store) countKeys() {
	if s.index.keys.len() > s.maxKeys {
		select {
		case s.crowded <- struct{}{}:
		default:
		}
	}
}

// candidates returns the beginnings of the ids that may have the key.
func (s *Store) candidates(tx *bbolt.Tx, key delivery.Key) []uint64 {
	s.mu.Lock()
	ids, ends := s.index.keys.find(key), slices.Collect(maps.Keys(s.index.keys.spilled))
	s.mu.Unlock()
	for _, until := range ends {
		if b := spilled(until).in(tx); b != nil {
			for id := range slices.Chunk(b.Get(key[:8]), 8) {
				if len(id) == 8 {
					ids = append(ids, head(id))
				}
			}
		}
	}
	return ids
}

// isSpilled tells whether a generation on disk leads from the key to the id.
func (s *Store) isSpilled(tx *bbolt.Tx, key delivery.Key, id uuid.UUID, until int64) bool {
	if !s.index.keys.spilled[until] {
		return false
	}
	b := spilled(until).in(tx)
	return b != nil && hasID(b.Get(key[:8]), id[:8])
}

func hasID(ids, id []byte) bool {
	for other := range slices.Chunk(ids, 8) {
		if string(other) == string(id) {
			return true
		}
	}
	return false
}

// loadSpilled notes which generations are on disk.
func (s *Store) loadSpilled() error {
	return s.view(func(tx *bbolt.Tx) error {
		b := table{name: "keys"}.in(tx)
		if b == nil {
			return nil
		}
		return b.ForEachBucket(func(name []byte) error {
			until, err := strconv.ParseInt(string(name), 10, 64)
			if err != nil {
				return errDamaged
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.index.keys.spill(until)
			return nil
		})
	})
}

// spill is the goroutine that moves keys to the disk.
func (s *Store) spill() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.crowded:
		}
		if s.usable(s.ctx) != nil {
			return
		}
		if err := s.spillOne(s.ctx); err != nil && s.ctx.Err() == nil {
			s.log.Error("cannot move duplicate keys to the disk: they stay in memory", zap.Error(err))
		}
	}
}

// spillOne moves the largest generation.
func (s *Store) spillOne(ctx context.Context) error {
	var g *generation
	// The committer freezes it: it has no changes under way that may be undone.
	err := s.perform(ctx, operation{do: func(*writer) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, other := range s.index.keys.generations {
			if g == nil || len(other.ids) > len(g.ids) {
				g = other
			}
		}
		if g != nil {
			g.frozen = true
		}
		return nil
	}})
	if err != nil || g == nil {
		return err
	}
	short := make([]uint64, 0, len(g.ids))
	for key := range g.ids {
		short = append(short, key)
	}
	slices.Sort(short)
	for part := range slices.Chunk(short, chunk) {
		if err := s.perform(ctx, operation{do: func(w *writer) error {
			for _, key := range part {
				spillKey(w, g, key)
			}
			return w.fault
		}}); err != nil {
			return err
		}
	}
	return s.perform(ctx, operation{do: func(w *writer) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.index.keys.spill(g.until)
		all := s.index.keys.generations
		s.index.keys.generations = slices.DeleteFunc(all, func(other *generation) bool { return other == g })
		return nil
	}})
}

func spillKey(w *writer, g *generation, short uint64) {
	key := binary.BigEndian.AppendUint64(nil, short)
	id := binary.BigEndian.AppendUint64(nil, g.ids[short])
	if ids := w.get(spilled(g.until), key); !hasID(ids, id) {
		w.put(spilled(g.until), key, slices.Concat(ids, id))
	}
}

// forgetSpilled deletes the generations on disk that have expired, a part at a
// time: they can be large.
func (s *Store) forgetSpilled(ctx context.Context, now int64) error {
	s.mu.Lock()
	var expired []int64
	for until := range s.index.keys.spilled {
		if until < now {
			expired = append(expired, until)
		}
	}
	s.mu.Unlock()
	for _, until := range expired {
		t := spilled(until)
		for more := true; more; {
			if err := s.perform(ctx, operation{do: func(w *writer) error {
				if more = w.empty(t, chunk); more {
					return w.fault
				}
				w.drop(t)
				s.mu.Lock()
				defer s.mu.Unlock()
				delete(s.index.keys.spilled, until)
				w.onFailure(func() { s.index.keys.spill(until) })
				return w.fault
			}}); err != nil {
				return err
			}
		}
	}
	return nil
}
