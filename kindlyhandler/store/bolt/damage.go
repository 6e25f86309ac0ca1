package bolt

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/zap"
)

// damage is what is known of damage to the file.
type damage struct {
	mu         sync.Mutex
	err        error // what was found; nil: nothing that is not mended
	complained time.Time
}

// report notes that the file is damaged, so that the committer replaces it.
func (d *damage) report(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
	}
}

func (d *damage) found() bool { return d.what() != nil }

func (d *damage) what() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func (d *damage) mended() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = nil
}

// complain tells whether a failure is to be logged: every ten seconds at most.
func (d *damage) complain(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.complained) < 10*time.Second {
		return false
	}
	d.complained = now
	return true
}

// setAside renames the damaged file and opens a new one. If that cannot be
// done, the damage stays.
func (s *Store) setAside() error {
	s.stale = true
	why := s.damage.what()
	s.mu.Lock()
	s.unready()
	s.mu.Unlock()
	s.compact.abandon()
	if old := s.file.replace(nil); old != nil {
		// What a panic has left locked may make this wait for ever.
		go func() { _ = closeDB(old) }()
	}
	name, err := s.startAnew()
	if err != nil {
		return fmt.Errorf("%w; it cannot be set aside and replaced: %w", why, err)
	}
	s.damage.mended()
	s.file.unmapped.Store(false)
	s.log.Error("the store's file is damaged: it was set aside, and what can be read of it is imported",
		zap.String("path", s.path), zap.String("set_aside", name), zap.NamedError("damage", why))
	return nil
}

// startAnew puts a new file in place of the damaged one, which gets the name
// that is returned, and opens it. The new one says from the beginning what is
// to be imported: wherever a crash interrupts this, nothing is forgotten.
func (s *Store) startAnew() (name string, err error) {
	if adopted, err := adopt(s.path); err != nil || adopted {
		return "", errors.Join(err, s.openNew())
	}
	all := s.unfinished
	_, missing := os.Lstat(s.path)
	if missing == nil {
		name = freeName(s.path, s.now())
		all = append(slices.Clip(all), name)
	}
	fresh := freshPath(s.path)
	if err := s.makeFresh(fresh, all); err != nil {
		return "", err
	}
	if missing == nil {
		if err := rename(s.path, name); err != nil {
			return "", err
		}
		syncDir(s.path)
	}
	s.unfinished = all
	if err := rename(fresh, s.path); err != nil {
		return "", err
	}
	syncDir(s.path)
	return name, s.openNew()
}

// makeFresh makes a file that says what is to be imported.
func (s *Store) makeFresh(path string, unfinished []string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := open(path, time.Second)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := asides.create(tx)
		for _, name := range unfinished {
			if err == nil {
				err = putAside(b, name, &Aside{At: s.now()})
			}
		}
		return err
	})
	return errors.Join(err, closeDB(db))
}

func (s *Store) openNew() error {
	db, err := open(s.path, time.Second)
	if err == nil {
		s.file.replace(db)
	}
	return err
}

// freshPath is where a new file lies until it takes a damaged one's place.
func freshPath(path string) string { return path + ".new" }

// adopt finishes the replacement of a damaged file, if that was interrupted
// when the one was set aside and the other was not in its place yet.
func adopt(path string) (adopted bool, err error) {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	err = rename(freshPath(path), path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	syncDir(path)
	return err == nil, err
}

// rename is os.Rename, except in tests of what a crash makes of it.
var rename = os.Rename
