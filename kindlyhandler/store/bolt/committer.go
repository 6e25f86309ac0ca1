package bolt

import (
	"errors"
	"runtime"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/zap"
)

// commit is the goroutine that writes. It begins with reading the index, and
// ends when the store is closed and nothing waits any more.
func (s *Store) commit() {
	defer faulting()()
	s.restore()
	retry := time.NewTimer(0)
	defer retry.Stop()
	var last int // how many operations the last transaction had
	for {
		if s.damage.found() {
			s.replaceDamaged()
		}
		busy := s.compactSome()
		lazy, urgent, closed := s.queue.waiting()
		switch {
		case urgent > 0, closed && lazy > 0:
		case closed:
			return
		case busy:
			continue
		case lazy > 0:
			s.linger()
		default:
			<-s.queue.wake
			continue
		}
		if last > few {
			s.waitForCompany(last)
		}
		completions, operations := s.queue.take()
		last = len(operations)
		err := s.transact(completions, operations)
		if err == nil {
			continue
		}
		if closed && last == 0 {
			s.log.Error("the last completions are not saved: these deliveries will be attempted again",
				zap.Int("deliveries", len(completions)), zap.Error(err))
			return
		}
		s.queue.back(completions)
		if last == 0 { // only completions: not in a hot loop
			retry.Reset(time.Second)
			select {
			case <-retry.C:
			case <-s.queue.wake:
			}
		}
	}
}

// linger waits until completions have waited long enough, or somebody waits.
func (s *Store) linger() {
	timer := time.NewTimer(maxLinger)
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

// transact does and commits operations. Its error is that of the commit, after
// which none of them has had an effect; those of single operations go to who
// waits for them.
func (s *Store) transact(completions, operations []*operation) (err error) {
	s.round.Lock()
	defer s.round.Unlock()
	all := slices.Concat(completions, operations)
	var done []*operation
	var id, next int
	err = s.update(func(w *writer) error {
		id = w.id
		for ; next < len(all); next++ {
			o := all[next]
			if o.done != nil && !o.take() {
				o.end(o.ctx.Err())
			} else if err := o.do(w); err != nil {
				o.end(err)
			} else {
				done = append(done, o)
			}
		}
		return w.fault
	})
	for _, o := range done {
		if err == nil && o.committed != nil {
			o.committed()
		}
		o.end(err)
	}
	for _, o := range all[next:] { // a panic has kept them from being done
		o.end(err)
	}
	if err == nil {
		return nil
	}
	s.failed(err)
	if s.visible(id) {
		for _, o := range done {
			if o.undo != nil {
				s.queue.put(&operation{do: o.undo})
			}
		}
	}
	return err
}

// update commits what f writes, to the file and to the one that it is being
// compacted into. If that fails, the index is as before.
func (s *Store) update(f func(w *writer) error) error {
	db := s.file.current()
	if db == nil {
		return errClosedFile
	}
	var w *writer
	err := func() (err error) {
		defer guard(&err)
		tx, err := db.begin(true)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		other := s.compact.begin()
		if other == nil {
			w = newWriter(tx)
		} else {
			defer func() { _ = other.Rollback() }()
			w = newWriter(tx, other)
		}
		w.id = tx.ID()
		if err := f(w); err != nil {
			return err
		}
		if !w.dirty {
			return nil
		}
		if s.failing.Load() {
			return errDisk
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		if other != nil {
			s.compact.commit(other)
		}
		return nil
	}()
	if err != nil && w != nil {
		s.mu.Lock()
		w.rollBack()
		s.mu.Unlock()
	}
	if errors.Is(err, errDamaged) {
		s.spoil(db, err)
	}
	return err
}

var errDisk = errors.New("the disk fails, in a test")

// visible tells whether a transaction whose commit failed is in the file all
// the same: it was its flush that failed.
func (s *Store) visible(id int) bool {
	current := 0
	_, err := s.file.view(func(tx *bbolt.Tx) error {
		current = tx.ID()
		return nil
	})
	return err == nil && current >= id
}

// failed reports that a commit failed, not more often than it is read.
func (s *Store) failed(err error) {
	if errors.Is(err, errDamaged) || !s.damage.complain(time.Now()) {
		return
	}
	s.log.Error("cannot write to the store: webhooks are refused until that works again",
		zap.String("path", s.path), zap.Error(err))
}
