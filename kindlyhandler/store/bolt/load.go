package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

// mend makes the store ready, if it is not, however long that takes. It is false
// when the store is being closed and the index is not that of the file.
func (s *Store) mend() bool {
	for wait := time.Second; s.stale || s.damage.found() || s.file.unmapped.Load(); wait = min(2*wait, 30*time.Second) {
		if s.ctx.Err() != nil {
			return !s.stale
		}
		if err := s.mendOnce(); err != nil {
			s.log.Error("the store is out of order: webhooks are refused until that works again", zap.String("path", s.path), zap.Error(err))
			s.pause(wait)
		}
	}
	return true
}

func (s *Store) mendOnce() (err error) {
	switch {
	case s.damage.found():
		return s.setAside()
	case s.file.unmapped.Load():
		err = s.reopen()
	default:
		err = s.load()
	}
	if errors.Is(err, errDamaged) {
		s.damage.report(err)
		return nil
	}
	if s.ctx.Err() != nil {
		return nil
	}
	return err
}

// reopen opens the file anew.
func (s *Store) reopen() error {
	s.compact.abandon()
	_ = closeDB(s.file.replace(nil))
	err := s.openNew()
	s.file.unmapped.Store(err != nil)
	return err
}

// pause waits a little before something is tried again.
func (s *Store) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
	}
}

var errOrder = fmt.Errorf("%w: its keys are not in their order", errDamaged)

var errClosing = errors.New("the store is being closed")

// load finishes what a crash or damage has interrupted, and reads the index
// from the file.
func (s *Store) load() error {
	if s.file.current() == nil {
		if err := s.attach(time.Second); err != nil {
			if isDamage(err) {
				s.damage.report(err)
			}
			return err
		}
	}
	if err := checkTree(s.path); err != nil {
		s.spoil(s.file.current(), err)
		return err
	}
	if err := s.update(func(w *writer) error {
		for _, t := range []table{deliveries, contents, held, delivered, dead, asides, {name: "due"}} {
			if w.bucket(t) == nil { // also a full disk lets deliveries go on
				w.create(t)
			}
		}
		s.reserve = reserve{there: w.bucket(reserved) != nil}
		if w.get(purges, purgeKey) != nil && !s.compact.purging() {
			s.compact.asked++
		}
		return w.fault
	}); err != nil {
		return err
	}
	if err := s.resumeImport(); err != nil {
		return err
	}
	s.mu.Lock()
	s.index.reset()
	s.mu.Unlock()
	started := time.Now()
	s.placing = placing{open: true}
	met := make(map[uuid.UUID]bool) // of the unsaved ones
	n, unencrypted := 0, false
	if err := s.loadSpilled(); err != nil {
		return err
	}
	if err := s.each(deliveries, func(tx *bbolt.Tx, key, value []byte) error {
		r, err := decode(key, value)
		if err != nil {
			return err
		}
		n++
		unencrypted = unencrypted || r.sealer == seal.ID{}
		id := uuid.UUID(key)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.index.unsaved[id] != nil {
			met[id] = true
		}
		if s.enter(tx, id, &r) {
			s.placing.loose = append(s.placing.loose, loose{id: id, chat: r.order(), sequence: r.sequence})
		}
		return nil
	}); err != nil {
		return err
	}
	s.mu.Lock()
	for id, d := range s.index.unsaved {
		if !met[id] { // damage took it, but it will be written
			s.index.add(d.Lane, delivery.Delivered, 1)
		}
	}
	s.mu.Unlock()
	if err := s.placeLoose(); err != nil {
		return err
	}
	if unencrypted {
		_ = s.sealing.admit(seal.ID{}) // which takes no key
	}
	s.noteUnencrypted()
	s.stale = false
	s.mu.Lock()
	if !s.damage.found() {
		close(s.ready)
	}
	s.mu.Unlock()
	s.log.Debug("store is ready", zap.String("path", s.path), zap.Int("deliveries", n), zap.Duration("took", time.Since(started)))
	return nil
}

// each reads a table, in transactions of a thousand keys.
func (s *Store) each(t table, f func(tx *bbolt.Tx, key, value []byte) error) error {
	var last []byte
	for more := true; more; {
		if s.ctx.Err() != nil {
			return errClosing
		}
		err := s.view(func(tx *bbolt.Tx) error {
			b := t.in(tx)
			if more = b != nil; !more {
				return nil
			}
			c := b.Cursor()
			key, value := c.First()
			if last != nil {
				if key, value = c.Seek(last); key != nil && string(key) == string(last) {
					key, value = c.Next()
				}
			}
			n := 0
			for ; key != nil && n < chunk; key, value = c.Next() {
				if bytes.Compare(key, last) <= 0 && last != nil {
					return errOrder
				}
				n++
				last = append(last[:0], key...)
				if err := f(tx, key, value); err != nil {
					return err
				}
			}
			more = n == chunk
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// enter enters a record into the index. It tells whether nothing on disk leads
// to it: its first attempt was cut off, say.
func (s *Store) enter(tx *bbolt.Tx, id uuid.UUID, r *record) (isLoose bool) {
	if r.first && r.keyExpires > nanos(s.now()) {
		if key, err := r.key(); err == nil && key != (delivery.Key{}) && !s.isSpilled(tx, key, id, endOf(r.received, r.keyExpires)) {
			s.countKeys()
			s.index.keys.add(key, head(id[:]), r.received, r.keyExpires)
		}
	}
	if r.state == delivery.Pending {
		s.index.appears(r.lane, id)
	}
	if s.index.unsaved[id] != nil { // its completion is yet to be written
		s.index.add(r.lane, delivery.Delivered, 1)
		return false
	}
	s.index.add(r.lane, r.state, 1)
	s.index.enterChat(r.order())
	c, claimed := s.index.claims[id]
	if claimed && r.state == delivery.Pending {
		c.chat, c.lost = r.order(), false
		s.index.claims[id] = c
	}
	t, key, ok := r.indexed()
	if !ok {
		return c.state != granted
	}
	// The index has no checksums. What it has lost is found here.
	b := t.in(tx)
	return b == nil || string(b.Get(key)) != string(id[:])
}
