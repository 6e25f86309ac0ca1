package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"
	"go.etcd.io/bbolt"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
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

// asides has, by its name, each damaged file and what has become of it.
var asides = table{name: "asides"}

// Aside is a damaged file that was set aside.
type Aside struct {
	Path string    `json:"path" cbor:"-"`
	At   time.Time `json:"at" cbor:"1,keyasint"`
	// Done says that all that can be read of it is imported.
	Done bool `json:"done" cbor:"2,keyasint"`
	// Imported counts the deliveries that were; Lost what could not be read:
	// deliveries, or pages of some of them.
	Imported int `json:"imported" cbor:"3,keyasint"`
	Lost     int `json:"lost" cbor:"4,keyasint"`
}

// replaceDamaged puts a new file in place of a damaged one, and makes the store
// ready again with what could be read.
func (s *Store) replaceDamaged() {
	s.setAside()
	s.restore()
}

// setAside renames the damaged file and opens a new one. If that cannot be
// done, the damage stays.
func (s *Store) setAside() {
	why := s.damage.what()
	s.mu.Lock()
	s.unready()
	s.mu.Unlock()
	s.compact.abandon()
	if old := s.file.replace(nil); old != nil {
		// What a panic has left locked may make this wait for ever.
		go func() { _ = old.close() }()
	}
	name := asideName(s.path, s.now())
	db, err := putInPlace(s.path, name, s.now())
	if err != nil {
		s.log.Error("the store's file is damaged and cannot be replaced: webhooks are refused until that works",
			zap.String("path", s.path), zap.NamedError("damage", why), zap.Error(err))
		s.pause()
		return
	}
	s.file.replace(db)
	s.damage.mended()
	s.log.Error("the store's file is damaged: it was set aside, and what can be read of it is imported",
		zap.String("path", s.path), zap.String("set_aside", name), zap.NamedError("damage", why))
}

// pause waits a little before something is tried again.
func (s *Store) pause() {
	select {
	case <-time.After(time.Second):
	case <-s.ctx.Done():
	}
}

// asideName returns a name for a damaged file that no other one has.
func asideName(path string, now time.Time) string {
	stamped := path + ".corrupt-" + now.UTC().Format("20060102T150405Z")
	name := stamped
	for n := 2; ; n++ {
		if _, err := os.Lstat(name); errors.Is(err, os.ErrNotExist) {
			return name
		}
		name = fmt.Sprintf("%s-%d", stamped, n)
	}
}

// replacement is where a new file lies until it takes the damaged one's place.
func replacement(path string) string { return path + ".new" }

// putInPlace renames a damaged file, and puts a new one in its place, which
// knows of it. The new one is made first: a crash, or a full disk, never leaves
// a file set aside that nobody will import.
func putInPlace(path, name string, now time.Time) (*database, error) {
	fresh := replacement(path)
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	db, err := open(fresh, time.Second)
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := asides.create(tx)
		if err != nil {
			return err
		}
		return putAside(b, filepath.Base(name), &Aside{At: now})
	})
	if err == nil {
		err = os.Rename(path, name)
	}
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		_ = db.close()
		return nil, err
	}
	syncDir(path)
	return db, nil
}

// finishSettingAside does the rest of what a crash has interrupted.
func finishSettingAside(path string) error {
	fresh := replacement(path)
	if _, err := os.Lstat(fresh); err != nil {
		return nil
	}
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		return os.Rename(fresh, path)
	}
	return os.Remove(fresh)
}

func putAside(b *bbolt.Bucket, name string, a *Aside) error {
	encoded, err := cbor.Marshal(a)
	if err != nil {
		return err
	}
	return b.Put([]byte(name), encoded)
}

// listAsides returns the files that were set aside and are still there.
func (s *Store) listAsides() (all []Aside) {
	known := make(map[string]Aside)
	_ = s.view(func(tx *bbolt.Tx) error {
		b := asides.in(tx)
		if b == nil {
			return nil
		}
		return b.ForEach(func(name, value []byte) error {
			var a Aside
			if err := decoding.Unmarshal(value, &a); err != nil {
				return fmt.Errorf("%w: a file set aside: %w", errDamaged, err)
			}
			known[string(name)] = a
			return nil
		})
	})
	names, _ := filepath.Glob(escapeGlob(s.path) + ".corrupt-*")
	for _, name := range names {
		a := known[filepath.Base(name)]
		a.Path = name
		if info, err := os.Stat(name); err == nil && a.At.IsZero() {
			a.At, a.Done = info.ModTime(), true // from an earlier file
		}
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b Aside) int { return a.At.Compare(b.At) })
	return all
}

var globs = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

func escapeGlob(path string) string { return globs.Replace(path) }

// removeAsides removes the files that were set aside before a time, and are
// imported.
func (s *Store) removeAsides(before time.Time) error {
	var failed error
	for _, a := range s.listAsides() {
		if a.Done && a.At.Before(before) {
			failed = errors.Join(failed, os.Remove(a.Path))
		}
	}
	return failed
}

// resumeImport imports the files that were set aside and are not done.
func (s *Store) resumeImport() error {
	for _, a := range s.listAsides() {
		if a.Done {
			continue
		}
		if err := s.importFrom(&a); err != nil {
			return err
		}
		a.Done = true
		if err := s.update(func(w *writer) error {
			return putAside(w.create(asides)[0], filepath.Base(a.Path), &a)
		}); err != nil {
			return err
		}
		s.losses.Add(delivery.Lane{}, delivery.LossDamaged, a.Lost)
		s.log.Error("what could be read of the damaged file is imported",
			zap.String("set_aside", a.Path), zap.Int("imported", a.Imported), zap.Int("lost", a.Lost))
	}
	return nil
}

// importFrom takes over what can be read of a damaged file, under the same
// ids. Of several copies the newest counts.
func (s *Store) importFrom(a *Aside) error {
	a.Imported, a.Lost = 0, 0
	var batch []piece
	flush := func() error {
		if s.ctx.Err() != nil {
			return errClosing
		}
		err := s.update(func(w *writer) error {
			for _, p := range batch {
				if p.content {
					w.put(contents, p.key, p.value)
				} else if s.importRecord(w, p) {
					a.Imported++
				}
			}
			return w.fault
		})
		batch = batch[:0]
		return err
	}
	trusted, err := salvage(a.Path, func(p piece) error {
		if batch = append(batch, p); len(batch) < chunk/2 {
			return nil
		}
		return flush()
	}, &a.Lost)
	if err == nil {
		err = flush()
	}
	if err != nil {
		return err
	}
	return s.importOrphans(a, trusted)
}

// importRecord takes over a record, if it is the newest one of its id. It
// tells whether it is the first one.
func (s *Store) importRecord(w *writer, p piece) (first bool) {
	id := uuid.UUID(p.key)
	r, err := decode(p.key, p.value)
	if err != nil {
		return false
	}
	old, there := w.record(id)
	if there && old.revision >= r.revision {
		return false
	}
	if there {
		unplace(w, &old)
	}
	r.place = placeNone
	if r.state != delivery.Pending {
		w.put(settled(r.state), timeKey(r.settled, r.sequence), p.key)
	}
	// The numbers go on behind all that there are.
	if b := w.create(deliveries); b != nil && b[0].Sequence() <= max(r.sequence, r.revision) {
		if err := b[0].SetSequence(max(r.sequence, r.revision) + 1); err != nil {
			w.fail(err)
		}
	}
	w.put(deliveries, p.key, r.encode(id))
	return !there
}

// importOrphans makes deliveries of contents whose records are lost, and drops
// contents that are not needed. If it is not known which of the file's pages
// were free, old ones are not trusted: their tickets may have been delivered
// and forgotten since.
func (s *Store) importOrphans(a *Aside, trusted bool) error {
	oldest := int64(never)
	if !trusted {
		oldest = nanos(s.now().Add(-s.limits.Load().Retention))
	}
	var orphans []uuid.UUID
	flush := func() error {
		err := s.update(func(w *writer) error {
			for _, id := range orphans {
				if s.importOrphan(w, id, oldest) {
					a.Imported++
				} else {
					a.Lost++
				}
			}
			return w.fault
		})
		orphans = orphans[:0]
		return err
	}
	for more, last := true, []byte(nil); more; {
		n := 0
		err := s.view(func(tx *bbolt.Tx) error {
			c := contents.in(tx).Cursor()
			for key, _ := c.Seek(last); key != nil; key, _ = c.Next() {
				if n++; n > chunk {
					break
				}
				if len(key) != idSize+1 || bytes.Compare(key, last) < 0 {
					return errOrder
				}
				last = append(append(last[:0], key...), 0)
				value := deliveries.in(tx).Get(key[:idSize])
				if value == nil && key[idSize] == kindBody {
					orphans = append(orphans, uuid.UUID(key[:idSize]))
				}
			}
			return nil
		})
		if err == nil {
			err = flush()
		}
		if err != nil {
			return err
		}
		more = n > chunk
	}
	return nil
}

func (s *Store) importOrphan(w *writer, id uuid.UUID, oldest int64) bool {
	var o origin
	body, err := decodeBody(id, w.get(contents, contentKey(id, kindBody)), &o)
	if err == nil && o.ReceivedAt >= oldest {
		e, err := newEntry(o.delivery(id, body))
		if err == nil {
			e.first, e.sequence = true, w.next()
			w.write(id, &e.record)
			return true
		}
	}
	w.delete(contents, contentKey(id, kindBody))
	w.delete(contents, contentKey(id, kindTranscript))
	return false
}
