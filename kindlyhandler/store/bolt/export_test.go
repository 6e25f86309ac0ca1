package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/google/uuid"
)

// PageSize is that of new files.
const PageSize = pageSize

// Frozen calls f while nothing is written.
func (s *Store) Frozen(ctx context.Context, f func()) {
	_ = s.perform(ctx, operation{do: func(*writer) error {
		f()
		return nil
	}})
}

// Sweep removes what is past its time now.
func (s *Store) Sweep(ctx context.Context) { s.sweepOnce(ctx, never) }

// Compact begins to compact the store's file as soon as anything of it is free,
// a few keys at a time.
func (s *Store) Compact(ctx context.Context) error {
	return s.perform(ctx, operation{do: func(*writer) error {
		s.compact.next = time.Time{}
		s.compact.least, s.compact.chunk = 1, 2
		return nil
	}})
}

// CopyOne returns how many bytes of the contents a compaction copies at once, if
// it may copy so many keys.
func (s *Store) CopyOne(ctx context.Context, keys int) (bytes int) {
	_ = s.perform(ctx, operation{do: func(w *writer) error {
		s.compact.chunk = keys
		pairs, _, err := s.readChunk(w.bucket(contents))
		for _, p := range pairs {
			bytes += len(p.value)
		}
		s.compact.unflushed = 0
		return err
	}})
	return bytes
}

// LimitSize lets the file grow to a power of two only: commits that need more
// fail, as on a full disk.
func (s *Store) LimitSize(ctx context.Context, size int) error {
	return s.perform(ctx, operation{do: func(*writer) error {
		s.file.current().MaxSize = size
		return nil
	}})
}

// Commits sets what commits go through, nil for nothing.
func (s *Store) Commits(through func(commit func() error) error) {
	if through == nil {
		s.hook.Store(nil)
		return
	}
	s.hook.Store(&through)
}

// FailCommits makes commits fail, or work again.
func (s *Store) FailCommits(fail bool) {
	if !fail {
		s.Commits(nil)
		return
	}
	s.Commits(func(func() error) error { return errors.New("the disk fails, in a test") })
}

// SetMaxKeys changes how many keys there may be in memory.
func (s *Store) SetMaxKeys(n int) { s.maxKeys = n }

// Renames sets what renames a damaged file and the one in its place.
func Renames(f func(from, to string) error) { rename = f }

// Waiting returns how many webhooks and completions wait for a transaction.
func (s *Store) Waiting() (webhooks, completions int) {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	for _, o := range s.queue.urgent {
		if o.entries != nil {
			webhooks++
		}
	}
	return webhooks, len(s.queue.lazy)
}

// Tamper changes an encrypted webhook, and gives it the right checksum.
func (s *Store) Tamper(ctx context.Context, id uuid.UUID) error {
	return s.perform(ctx, operation{do: func(w *writer) error {
		key := contentKey(id, kindBody)
		b := bytes.Clone(w.get(contents, key))
		b[len(b)-1] ^= 1
		binary.BigEndian.PutUint32(b, checksum(key, b[4:]))
		w.put(contents, key, b)
		return w.fault
	}})
}

// LoseBody takes a webhook away as damage does.
func (s *Store) LoseBody(ctx context.Context, id uuid.UUID) error {
	return s.perform(ctx, operation{do: func(w *writer) error {
		w.delete(contents, contentKey(id, kindBody))
		return w.fault
	}})
}

// ForgetSealers makes the file as versions wrote it that noted no keys.
func (s *Store) ForgetSealers(ctx context.Context) error {
	return s.perform(ctx, operation{do: func(w *writer) error {
		w.drop(sealers)
		return w.fault
	}})
}
