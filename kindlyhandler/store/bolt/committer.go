package bolt

import (
	"errors"
	"runtime"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// commit is the goroutine that writes. It begins with reading the index, and
// ends when the store is closed and nothing waits any more.
func (s *Store) commit() {
	defer faulting()()
	defer s.compact.abandon()
	last := 0           // operations in the latest transaction
	var ended time.Time // when that was over
	for {
		if !s.mend() {
			s.refuse()
			return
		}
		s.forgetSaved()
		if err := s.placeLoose(); err != nil {
			continue
		}
		s.keepReserve()
		busy := s.compactSome()
		lazy, urgent, closed := s.queue.waiting()
		switch {
		case urgent > 0, lazy > 0 && (closed || busy && s.queue.linger() <= 0):
		case closed:
			return
		case busy:
			continue
		case lazy > 0:
			if wait := s.queue.linger(); wait > 0 {
				s.linger(wait)
				continue
			}
		default:
			if wait := s.untilPurge(); wait > 0 {
				s.linger(wait)
				continue
			}
			<-s.queue.wake
			continue
		}
		if last > few && !closed {
			s.waitForCompany(last)
			s.waitForOthers(ended)
		}
		completions, operations := s.queue.take(s.room, closed || s.room < maxUnsaved)
		last = len(operations)
		switch err := s.transactAll(completions, operations); {
		case err == nil, last > 0, len(completions) > 1:
		case closed:
			s.refuse()
			return
		default:
			s.linger(time.Second) // not in a hot loop
		}
		ended = time.Now()
	}
}

// transactAll does operations, completions first, in one transaction. After a
// commit that failed, for the disk is short of room, say, completions go by
// themselves and less of them at once: they need little, and free some.
func (s *Store) transactAll(completions, operations []*operation) (err error) {
	defer func() {
		if err != nil && !errors.Is(err, errDamaged) {
			s.giveUpReserve()
		}
	}()
	if s.room == maxUnsaved {
		err = s.transact(slices.Concat(completions, operations))
		s.adapt(completions, err)
		return err
	}
	if len(completions) > 0 {
		err = s.transact(completions)
		s.adapt(completions, err)
		s.keepReserve()
	}
	if len(operations) > 0 {
		failed := s.transact(operations)
		if len(completions) == 0 {
			s.adapt(nil, failed)
		}
		err = errors.Join(err, failed)
	}
	return err
}

// adapt returns completions to the queue if they could not be committed, and
// sets how many there may be in the next transaction.
func (s *Store) adapt(completions []*operation, err error) {
	if err == nil {
		s.room = min(2*s.room, maxUnsaved)
		return
	}
	s.room = max(len(completions)/2, 1)
	s.queue.back(completions...)
}

// linger waits for a time, or until somebody waits.
func (s *Store) linger(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.queue.wake:
	case <-s.ctx.Done():
	}
}

// waitForCompany waits until as many operations wait as the last transaction
// had, but not for long. It yields: a sleep of so short a time takes several
// times as long on an idle machine.
func (s *Store) waitForCompany(last int) {
	for until := time.Now().Add(company); time.Now().Before(until); runtime.Gosched() {
		if _, urgent, closed := s.queue.waiting(); urgent >= last || closed {
			return
		}
	}
}

// waitForOthers waits while deliveries are under way, the longer the more of
// them there are: they keep the machine busy, so that it loses nothing, and gains
// what fewer transactions cost. Without any, everybody may be waiting for this
// one.
func (s *Store) waitForOthers(ended time.Time) {
	s.mu.Lock()
	underWay := len(s.index.claims)
	s.mu.Unlock()
	time.Sleep(min(time.Duration(underWay)*othersEach, maxOthers) - time.Since(ended))
}

// refuse ends what waits and cannot be committed any more.
func (s *Store) refuse() {
	s.queue.close()
	lost := 0
	for {
		completions, operations := s.queue.take(maxUnsaved, true)
		if lost += len(completions); len(operations) == 0 {
			break
		}
		for _, o := range operations {
			o.err = delivery.ErrClosed
			close(o.done)
		}
	}
	if lost > 0 {
		s.log.Error("the last completions cannot be saved: these deliveries will be attempted again",
			zap.String("path", s.path), zap.Int("deliveries", lost))
	}
}

// transact does and commits operations. Its error is that of the commit, after
// which none of them has had an effect.
func (s *Store) transact(all []*operation) error {
	defer s.beginRound()()
	next := 0 // a panic may keep the last ones from being done
	w, err := s.try(func(w *writer) error {
		for ; next < len(all); next++ {
			if o := all[next]; s.takes(o) {
				o.err = o.do(w)
			}
		}
		return w.fault
	})
	visible := false
	if err != nil {
		s.failed(err)
		visible = s.visible(w.id)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		w.rollBack()
	}
	if visible {
		s.stale = true
		s.unready()
	}
	for i, o := range all {
		done := i < next && o.err == nil
		switch {
		case done && o.entries != nil && (err == nil && o.state == givenUp || visible):
			s.withdraw(o.entries)
		case done && err == nil && o.committed != nil:
			o.committed()
		}
		o.end(err)
	}
	return err
}

// beginRound begins what Find waits for.
func (s *Store) beginRound() (end func()) {
	over := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.round = over
	return func() { close(over) }
}

// takes tells whether an operation is still to be done.
func (s *Store) takes(o *operation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.state == givenUp {
		o.err = errGivenUp
	} else if o.state, o.err = taken, nil; o.ctx != nil {
		o.err = o.ctx.Err()
	}
	return o.err == nil
}

var errGivenUp = errors.New("the caller has gone")

// end tells the caller what has become of an operation. One that found
// something out by what was not committed then has not found it out.
func (o *operation) end(err error) {
	if err != nil {
		o.err = err
	}
	if o.done != nil {
		close(o.done)
	}
}

// update commits what f writes, to the file and to the one that it is being
// compacted into. If that fails, the index is as before.
func (s *Store) update(f func(w *writer) error) error {
	w, err := s.try(f)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		w.rollBack()
	}
	return err
}

// try is update, but leaves the index as it is. There is a writer in any case.
func (s *Store) try(f func(w *writer) error) (w *writer, err error) {
	w = &writer{}
	db := s.file.current()
	if db == nil {
		return w, errClosedFile
	}
	defer func() {
		if errors.Is(err, errDamaged) {
			s.spoil(db, err)
		}
		if err != nil {
			s.compact.abandon()
		}
	}()
	defer guard(&err)
	tx, err := db.begin(true)
	if err != nil {
		s.file.note(err)
		return w, err
	}
	defer func() { _ = tx.Rollback() }()
	w = newWriter(tx)
	if other := s.compact.begin(); other != nil {
		defer func() { _ = other.Rollback() }()
		w.txs = append(w.txs, other)
	}
	if err := f(w); err != nil || !w.dirty {
		return w, err
	}
	commit := tx.Commit
	if hook := s.hook.Load(); hook != nil {
		commit = func() error { return (*hook)(tx.Commit) }
	}
	if err := commit(); err != nil {
		return w, err
	}
	if len(w.txs) > 1 {
		s.compact.commit(w.txs[1])
	}
	return w, nil
}

// visible tells whether a transaction whose commit failed is in the file all
// the same, and may stay there: its meta page was written, and not flushed.
func (s *Store) visible(id int) bool {
	current := 0
	_, err := s.file.view(func(tx *bbolt.Tx) error {
		current = tx.ID()
		return nil
	})
	return err == nil && id > 0 && current >= id
}

// failed reports that a commit failed, not more often than it is read.
func (s *Store) failed(err error) {
	if errors.Is(err, errDamaged) || !s.damage.complain(time.Now()) {
		return
	}
	s.log.Error("cannot write to the store: webhooks are refused until that works again",
		zap.String("path", s.path), zap.Error(err))
}
