package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

// With a key, what quotes people is encrypted: webhooks, customers, transcripts,
// tickets and answers. What finds, orders and counts deliveries is not: names,
// states, times, attempts, and the chat's id, by which a chat is erased.
//
// All of a delivery is encrypted with one key, whose ID its record has, or
// nothing of it is. Checksums are of what is on disk, so that damage is found
// without the key, and a wrong key is never taken for it.
//
// sealers has the IDs of the keys that something in the file may need, each
// since the transaction of the first record that does: Open tells by them
// whether its keys will do, before anything is written. The zero ID, which takes
// no key, is among them while something on the file's pages, also on free ones,
// may not be encrypted.
var sealers = table{name: "keys used"} // ID → its checksum

// errKeysChanged means that a delivery was encoded before the keys changed.
var errKeysChanged = errors.New("the encryption keys have changed meanwhile")

// sealing is what is known of the keys. Nothing is waited for with its mutex.
type sealing struct {
	mu   sync.Mutex
	keys *seal.Keys
	// used counts the writes with each key since the file was opened; a key that
	// has been used before has at least 1. The zero ID is for what is not
	// encrypted.
	used map[seal.ID]int
}

func (s *sealing) current() *seal.Keys {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys
}

// use returns the keys, and notes that something is written with the one that
// seals: from now on, keys without it are refused.
func (s *sealing) use() *seal.Keys {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[s.keys.Sealer()]++
	return s.keys
}

// admit notes that something is there that was sealed with some keys, or fails if
// one of them is not.
func (s *sealing) admit(ids ...seal.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.keys.Require(ids...); err != nil {
		return err
	}
	for _, id := range ids {
		s.used[id]++
	}
	return nil
}

// require fails if keys are too few for what there is, or may be at any moment.
// The mutex is held.
func (s *sealing) require(keys *seal.Keys) error {
	return keys.Require(append(slices.Collect(maps.Keys(s.used)), s.keys.Sealer())...)
}

// CheckKeys tells whether SetKeys would take the keys.
func (s *Store) CheckKeys(keys *seal.Keys) error {
	s.sealing.mu.Lock()
	defer s.sealing.mu.Unlock()
	return s.sealing.require(keys)
}

// SetKeys changes the keys from now on; nil has nothing encrypted. What is there
// is encrypted anew when it is written the next time. It fails with a
// [*seal.UnknownKeyError], and changes nothing, unless the keys have those that
// may have been used, the one that encrypts until now among them. What was
// encrypted with a key that [Status] does not call needed is gone.
func (s *Store) SetKeys(keys *seal.Keys) error {
	s.sealing.mu.Lock()
	defer s.sealing.mu.Unlock()
	if err := s.sealing.require(keys); err != nil {
		return err
	}
	s.sealing.keys = keys
	return nil
}

// keysFor returns the keys for what a transaction writes.
func (s *Store) keysFor(w *writer) *seal.Keys {
	keys := s.sealing.use()
	noteSealer(w, keys.Sealer())
	return keys
}

// noteSealer notes in the file that it needs a key.
func noteSealer(w *writer, id seal.ID) {
	if w.get(sealers, id[:]) == nil {
		w.put(sealers, id[:], binary.BigEndian.AppendUint32(nil, checksum(id[:], nil)))
	}
}

// learnSealers fails unless the keys are those that a file needs, which has just
// been opened. It reads a few pages only.
func (s *Store) learnSealers(db *database) error {
	ids, err := sealersIn(s.path, db)
	if err != nil {
		return err
	}
	return s.sealing.admit(ids...)
}

// noteUnencrypted notes in the file that not all of it is encrypted, if it does not
// say so: it was written before keys were noted.
func (s *Store) noteUnencrypted() {
	if s.sealing.unencrypted() {
		_ = s.update(func(w *writer) error { // a full disk does not hold up the start
			noteSealer(w, seal.ID{})
			return w.fault
		})
	}
}

func sealersIn(path string, db *database) (ids []seal.ID, err error) {
	if err := checkTable(path, sealers.name); err != nil {
		return nil, err
	}
	defer faulting()()
	defer guard(&err)
	tx, err := db.begin(false)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	b := sealers.in(tx)
	if b == nil {
		if written := deliveries.in(tx); written != nil && written.Sequence() > 0 {
			ids = []seal.ID{{}} // before there were keys
		}
		return ids, nil
	}
	err = b.ForEach(func(id, sum []byte) error {
		if len(id) != len(seal.ID{}) || len(sum) != 4 || binary.BigEndian.Uint32(sum) != checksum(id, nil) {
			return fmt.Errorf("%w: a key that was used cannot be read", errDamaged)
		}
		ids = append(ids, seal.ID(id))
		return nil
	})
	return ids, err
}

// forgetSealers finds out which keys are not needed any more, but for the one
// that seals. Deliveries are read in the order of their age, so it has soon found
// what is encrypted with an old key, as long as there is something.
func (s *Store) forgetSealers(ctx context.Context) error {
	s.sealing.mu.Lock()
	unmet := maps.Clone(s.sealing.used)
	delete(unmet, s.sealing.keys.Sealer())
	s.sealing.mu.Unlock()
	if len(unmet) == 0 {
		return nil
	}
	err := s.each(deliveries, func(_ *bbolt.Tx, key, value []byte) error {
		r, err := decode(key, value)
		if err != nil {
			return err
		}
		if delete(unmet, r.sealer); len(unmet) == 0 {
			return errEnough
		}
		return nil
	})
	if err != nil || len(unmet) == 0 {
		return ignoreUnless(!errors.Is(err, errEnough), err)
	}
	var forgotten []seal.ID
	err = s.perform(ctx, operation{
		do: func(w *writer) error {
			forgotten = nil
			for id, writes := range unmet {
				if s.sealing.forgettable(id, writes) && len(s.unfinished) == 0 { // which may need it yet
					w.delete(sealers, id[:])
					forgotten = append(forgotten, id)
				}
			}
			if len(forgotten) > 0 {
				w.put(purges, purgeKey, []byte{1}) // of what is on free pages
			}
			return w.fault
		},
		committed: func() {
			if len(forgotten) > 0 {
				s.compact.asked++
			}
			for _, id := range forgotten {
				s.sealing.forget(id, unmet[id])
			}
		},
	})
	if err != nil || len(forgotten) == 0 {
		return err
	}
	for _, id := range forgotten {
		if id == (seal.ID{}) {
			s.log.Info("all deliveries are encrypted now", zap.String("path", s.path))
		} else {
			s.log.Info("an encryption key is not needed any more", zap.String("path", s.path), zap.Stringer("key", id))
		}
	}
	return nil
}

// forgettable tells whether nothing was written with a key since there were so
// many writes.
func (s *sealing) forgettable(id seal.ID, writes int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used[id] == writes && s.keys.Sealer() != id
}

func (s *sealing) forget(id seal.ID, writes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used[id] == writes {
		delete(s.used, id)
	}
}

// Key is what [Status] tells of an encryption key.
type Key struct {
	ID string `json:"id"`
	// Encrypts says that what is written is encrypted with it.
	Encrypts bool `json:"encrypts"`
	// Needed says that something may be encrypted with it, also on free pages that
	// are being purged: where a file has lost its meta pages, they are read, too. It
	// is looked for once in a minute.
	Needed bool `json:"needed"`
}

// status returns what there is to tell of the keys, and whether there may be
// something that is not encrypted.
func (s *sealing) status() (keys []Key, unencrypted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.keys.IDs() {
		encrypts := id == s.keys.Sealer()
		keys = append(keys, Key{ID: id.String(), Encrypts: encrypts, Needed: encrypts || s.used[id] > 0})
	}
	return keys, s.used[seal.ID{}] > 0
}

// unencrypted tells whether there may be something that is not encrypted.
func (s *sealing) unencrypted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used[seal.ID{}] > 0
}

// requireSealers fails unless all that can be read of a damaged file can be
// decrypted, too. It takes over nothing.
func (s *Store) requireSealers(path string) error {
	needed := make(map[seal.ID]bool)
	lost := 0
	if _, err := salvage(path, func(p piece) error {
		needed[p.sealer()] = true
		return nil
	}, &lost); err != nil {
		return err
	}
	if err := s.sealing.admit(slices.Collect(maps.Keys(needed))...); err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return nil
}

// sealer returns the ID of the key that a piece needs.
func (p *piece) sealer() seal.ID {
	if p.content {
		return sealerOf(p.value)
	}
	r, err := decode(p.key, p.value)
	if err != nil {
		return seal.ID{}
	}
	return r.sealer
}

// opens tells whether a piece is what was encrypted, if it was.
func (s *Store) opens(p piece) bool {
	if p.sealer() == (seal.ID{}) {
		return true
	}
	keys := s.sealing.current()
	id := uuid.UUID(p.key[:idSize])
	var err error
	switch {
	case !p.content:
		var r record
		if r, err = decode(p.key, p.value); err == nil {
			_, err = r.delivery(id, keys)
		}
	case p.key[idSize] == kindBody:
		_, _, _, err = decodeBody(id, p.value, keys)
	default:
		_, err = decodeTranscript(id, p.value, keys)
	}
	return err == nil
}
