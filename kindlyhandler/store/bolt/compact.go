package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/zap"
)

// A file that bbolt has grown never shrinks, and its list of free pages is
// written with every commit: hundreds of thousands of them cost most of the
// speed. So a file that is mostly empty, or has what was erased (purge.go), is
// copied into a new one, a chunk between two commits, while commits go to both;
// then the new one takes its place. All of that is done by the committer, but
// for the flushes, which take long: the copy is not durable before the last of
// them.
//
// On Windows an open file cannot be replaced: there it stays as it is.
type compaction struct {
	path string
	// least is how many free pages are worth it, if they are more than half of
	// the file; chunk how many keys are copied between two commits.
	least, chunk int
	db           *database  // nil unless one is under way
	rest         []table    // to be copied
	last         []byte     // the last key that was
	unflushed    int        // bytes, about
	flushing     chan error // not nil while a flush is under way
	next         time.Time  // not before, nor the next chunk while somebody waits
	// asked is how often a purge was asked for, asking the same when the
	// compaction under way began, purged when the latest one did that has ended.
	asked, asking, purged int
	// began and copied are for the log.
	began  time.Time
	copied int
}

const (
	// minFree is how many free pages are worth a compaction: 64 MiB.
	minFree = 64 << 20 / pageSize
	// compactPause is how long the store waits after looking, and
	// compactRetry after a compaction that failed.
	compactPause = time.Second
	compactRetry = 10 * time.Minute
	// maxCopied and maxCopying are after how many bytes, and how long, a chunk
	// is large enough however few keys it has.
	maxCopied  = 1 << 20
	maxCopying = 5 * time.Millisecond
	// maxUnflushed is how much is copied before it is flushed: the disk has
	// commits to flush, too, for which somebody waits.
	maxUnflushed = 16 << 20
	// copyShare is how many times as long as a chunk took commits go on without
	// one while somebody waits for them.
	copyShare = 3
)

// clear removes what a crash has left.
func (c *compaction) clear(path string) {
	c.path, c.least, c.chunk = path+".compact", minFree, chunk
	_ = os.Remove(c.path)
}

// begin returns the transaction of the new file, if there is one.
func (c *compaction) begin() *bbolt.Tx {
	if c.db == nil {
		return nil
	}
	tx, err := c.db.begin(true)
	if err != nil {
		c.abandon()
		return nil
	}
	return tx
}

// commit commits to the new file.
func (c *compaction) commit(tx *bbolt.Tx) {
	if err := sparing(tx.Commit); err != nil {
		_ = tx.Rollback()
		c.abandon()
	}
}

// write writes to the new file.
func (c *compaction) write(f func(to *bbolt.Tx) error) error {
	return sparing(func() error { return c.db.Update(f) })
}

// sparing calls f, which works with the new file: what is wrong with that is no
// damage to the old one.
func sparing(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the copy is damaged: %v", r)
		}
	}()
	return f()
}

func (c *compaction) abandon() {
	if c.db == nil {
		return
	}
	if c.flushing != nil {
		<-c.flushing //nolint:errcheck // the file is given up
	}
	_ = closeDB(c.db)
	_ = os.Remove(c.path)
	*c = c.ended(compactRetry)
}

// ended returns the compaction without what is under way; the next one comes
// after a pause.
func (c *compaction) ended(pause time.Duration) compaction {
	return compaction{
		path: c.path, least: c.least, chunk: c.chunk,
		asked: c.asked, purged: c.purged,
		next: time.Now().Add(pause),
	}
}

// compactSome does a part of the work, and tells whether more can be done at
// once.
func (s *Store) compactSome() bool {
	c := &s.compact
	if c.db == nil {
		if s.ctx.Err() != nil || time.Now().Before(c.next) {
			return false
		}
		c.next = time.Now().Add(compactPause)
		return canReplace && (c.purging() || s.worthCompacting()) && s.startCompacting()
	}
	var err error
	select {
	case err = <-c.flushing:
		c.flushing = nil
	default:
		if c.flushing != nil {
			return false
		}
	}
	switch {
	case err != nil:
	case c.unflushed > maxUnflushed, len(c.rest) == 0 && c.unflushed > 0:
		s.flushCopy()
		return false
	case len(c.rest) == 0:
		err = s.swap()
	case s.queue.awaited() && time.Now().Before(c.next):
		return false
	default:
		began := time.Now()
		err = s.copyChunk()
		c.next = time.Now().Add(copyShare * time.Since(began))
	}
	if err != nil {
		s.log.Warn("the store's file is not compacted; it is tried again later",
			zap.String("path", s.path), zap.Duration("after", compactRetry), zap.Error(err))
		c.abandon()
	}
	return c.db != nil
}

// worthCompacting tells whether more than half of the file is free, and much.
func (s *Store) worthCompacting() bool {
	pages, free, _ := s.pages()
	return free >= s.compact.least && free > min(pages/2, 2*s.compact.least)
}

// canReplace tells whether a file that is open can be replaced.
const canReplace = runtime.GOOS != "windows"

// pages returns how many pages the file has in use, how many of them are free,
// and their size.
func (s *Store) pages() (pages, free int, size int64) {
	_, _ = s.file.view(func(tx *bbolt.Tx) error {
		stats := tx.DB().Stats()
		size = int64(tx.DB().Info().PageSize)
		pages, free = int(tx.Size()/size), stats.FreePageN+stats.PendingPageN
		return nil
	})
	return pages, free, size
}

var errNoRoom = errors.New("the disk has no room for the copy")

func (s *Store) startCompacting() bool {
	c := &s.compact
	pages, free, size := s.pages()
	if room, _, ok := diskSpace(s.path); ok && room < 2*int64(pages-free)*size {
		s.log.Warn("the store's file is mostly empty, but cannot be compacted; it is tried again later",
			zap.String("path", s.path), zap.Duration("after", compactRetry), zap.Error(errNoRoom))
		c.next = time.Now().Add(compactRetry)
		return false
	}
	db, err := open(c.path, time.Second)
	if err != nil {
		s.log.Warn("the store's file cannot be compacted", zap.String("path", s.path), zap.Error(err))
		c.next = time.Now().Add(compactRetry)
		return false
	}
	db.NoSync = true // until it is complete
	c.db, c.began, c.copied, c.last, c.unflushed, c.asking = db, time.Now(), 0, nil, 0, c.asked
	if c.rest, err = s.tables(); err != nil {
		c.abandon()
		return false
	}
	return true
}

// tables returns all tables that there are.
func (s *Store) tables() (all []table, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			all = append(all, table{name: string(name)})
			return b.ForEachBucket(func(part []byte) error {
				all = append(all, table{string(name), string(part)})
				return nil
			})
		})
	})
	return all, err
}

// pair is a key and its value, which are valid while they are read.
type pair struct{ key, value []byte }

// copyChunk copies some keys of a table. What was committed since the
// compaction began is in the new file already, and the same.
func (s *Store) copyChunk() error {
	c := &s.compact
	t := c.rest[0]
	return s.view(func(tx *bbolt.Tx) error {
		from := t.in(tx)
		if from == nil { // dropped meanwhile
			c.rest, c.last = c.rest[1:], nil
			return nil
		}
		pairs, more, err := s.readChunk(from)
		if err != nil {
			return err
		}
		if err := c.write(func(to *bbolt.Tx) error {
			target, err := t.create(to)
			for _, p := range pairs {
				if err == nil {
					err = target.Put(p.key, p.value)
				}
			}
			return err
		}); err != nil {
			return err
		}
		c.copied += len(pairs)
		if more {
			c.last = bytes.Clone(pairs[len(pairs)-1].key)
		} else {
			c.rest, c.last = c.rest[1:], nil
		}
		return nil
	})
}

// readChunk returns what comes next in a table, and whether there is more.
func (s *Store) readChunk(from *bbolt.Bucket) (pairs []pair, more bool, err error) {
	c := &s.compact
	size, until := 0, time.Now().Add(maxCopying)
	cursor, last := from.Cursor(), c.last
	for key, value := cursor.Seek(last); key != nil; key, value = cursor.Next() {
		if value == nil || string(key) == string(c.last) { // a table in it, or copied before
			continue
		}
		if last != nil && bytes.Compare(key, last) <= 0 {
			return nil, false, errOrder
		}
		pairs, last = append(pairs, pair{key, value}), key
		size += len(key) + len(value)
		if len(pairs) == c.chunk || size > maxCopied || time.Now().After(until) {
			more = true
			break
		}
	}
	c.unflushed += size
	return pairs, more, nil
}

// flushCopy flushes what was copied, and wakes the committer then.
func (s *Store) flushCopy() {
	c := &s.compact
	c.unflushed, c.flushing = 0, make(chan error, 1)
	go func(db *database, flushed chan<- error) {
		flushed <- db.Sync()
		s.queue.kick()
	}(c.db, c.flushing)
}

// swap puts the new file in place of the old one.
func (s *Store) swap() error {
	c := &s.compact
	if err := errors.Join(s.copySequence(), c.endPurge()); err != nil {
		return err
	}
	if err := c.db.Sync(); err != nil {
		return err
	}
	if err := os.Rename(c.path, s.path); err != nil {
		return err
	}
	syncDir(s.path)
	c.db.NoSync = false
	_ = closeDB(s.file.replace(c.db))
	s.log.Info("the store's file was compacted", zap.String("path", s.path),
		zap.Int("records", c.copied), zap.Duration("took", time.Since(c.began)))
	c.purged = c.asking
	*c = c.ended(compactPause)
	return nil
}

// copySequence takes over the number of the latest write, of which the new
// file has seen none.
func (s *Store) copySequence() error {
	return s.view(func(tx *bbolt.Tx) error {
		number := deliveries.in(tx).Sequence()
		return s.compact.write(func(to *bbolt.Tx) error {
			target, err := deliveries.create(to)
			if err != nil {
				return err
			}
			return target.SetSequence(number)
		})
	})
}
