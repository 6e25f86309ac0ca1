package bolt

import (
	"bytes"
	"errors"
	"os"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/zap"
)

// A file that bbolt has grown never shrinks, and its list of free pages is
// written with every commit: hundreds of thousands of them cost most of the
// speed. So a file that is mostly empty is copied into a new one, a chunk
// between two commits, while commits go to both; then the new one takes its
// place. All of that is done by the committer.
type compaction struct {
	path string
	// least is how many free pages are worth it, if they are more than half of
	// the file; chunk how many keys are copied between two commits.
	least, chunk int
	db           *database // nil unless one is under way
	rest         []table   // to be copied
	last         []byte    // the last key that was
	next         time.Time // not before
	// began and copied are for the log.
	began  time.Time
	copied int
}

const (
	// minFree is how many free pages are worth a compaction: 64 MiB.
	minFree = 16 << 10
	// compactPause is how long the store waits after looking, and
	// compactRetry after a compaction that failed.
	compactPause = time.Second
	compactRetry = 10 * time.Minute
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

// commit commits to the new file, which is not durable yet.
func (c *compaction) commit(tx *bbolt.Tx) {
	if err := tx.Commit(); err != nil {
		_ = tx.Rollback()
		c.abandon()
	}
}

func (c *compaction) abandon() {
	if c.db != nil {
		_ = c.db.close()
		_ = os.Remove(c.path)
	}
	*c = compaction{path: c.path, least: c.least, chunk: c.chunk, next: time.Now().Add(compactRetry)}
}

// compactSome does a part of the work, and tells whether there is more.
func (s *Store) compactSome() bool {
	c := &s.compact
	if c.db == nil {
		if s.ctx.Err() != nil || time.Now().Before(c.next) {
			return false
		}
		c.next = time.Now().Add(compactPause)
		return s.worthCompacting() && s.startCompacting()
	}
	done, err := s.copyChunk()
	if err == nil && done {
		err = s.swap()
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
	pages, free := s.pages()
	return free >= s.compact.least && free > min(pages/2, 2*s.compact.least)
}

// pages returns how many pages the file has in use, and how many of them are
// free.
func (s *Store) pages() (pages, free int) {
	_, _ = s.file.view(func(tx *bbolt.Tx) error {
		stats := tx.DB().Stats()
		pages, free = int(tx.Size())/tx.DB().Info().PageSize, stats.FreePageN+stats.PendingPageN
		return nil
	})
	return pages, free
}

var errNoRoom = errors.New("the disk has no room for the copy")

func (s *Store) startCompacting() bool {
	c := &s.compact
	pages, free := s.pages()
	pageSize := int64(os.Getpagesize())
	if room, ok := freeSpace(s.path); ok && room < 2*int64(pages-free)*pageSize {
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
	c.db, c.began, c.copied, c.last = db, time.Now(), 0, nil
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

// copyChunk copies some keys, and tells whether that was all. What was
// committed since the compaction began is in the new file already, and the
// same.
func (s *Store) copyChunk() (done bool, err error) {
	c := &s.compact
	if len(c.rest) == 0 {
		return true, nil
	}
	t, n := c.rest[0], 0
	err = s.view(func(tx *bbolt.Tx) error {
		return c.db.Update(func(to *bbolt.Tx) error {
			from := t.in(tx)
			if from == nil {
				return nil
			}
			target, err := t.create(to)
			if err != nil {
				return err
			}
			if err := target.SetSequence(from.Sequence()); err != nil {
				return err
			}
			cursor := from.Cursor()
			for key, value := cursor.Seek(c.last); key != nil; key, value = cursor.Next() {
				if value == nil || string(key) == string(c.last) { // a table in it, or done
					continue
				}
				if bytes.Compare(key, c.last) < 0 {
					return errOrder
				}
				if n++; n > c.chunk {
					return nil
				}
				if err := target.Put(key, value); err != nil {
					return err
				}
				c.last = append(c.last[:0], key...)
			}
			return nil
		})
	})
	c.copied += min(n, c.chunk)
	if err == nil && n <= c.chunk {
		c.rest, c.last = c.rest[1:], nil
	}
	return err == nil && len(c.rest) == 0, err
}

// swap puts the new file in place of the old one.
func (s *Store) swap() error {
	c := &s.compact
	if err := s.copySequences(); err != nil {
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
	_ = s.file.replace(c.db).close()
	s.log.Info("the store's file was compacted", zap.String("path", s.path),
		zap.Int("records", c.copied), zap.Duration("took", time.Since(c.began)))
	*c = compaction{path: c.path, least: c.least, chunk: c.chunk, next: time.Now().Add(compactPause)}
	return nil
}

// copySequences takes over the numbers, of which the new file has seen none.
func (s *Store) copySequences() error {
	return s.view(func(tx *bbolt.Tx) error {
		return s.compact.db.Update(func(to *bbolt.Tx) error {
			target, err := deliveries.create(to)
			if err != nil {
				return err
			}
			return target.SetSequence(deliveries.in(tx).Sequence())
		})
	})
}
