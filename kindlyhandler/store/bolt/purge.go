package bolt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// What was dropped is still on pages of the file that are free, until others
// are written there. So an erasure asks for a purge: a compaction, however much
// is free, that begins after it; the file then has nothing but what there is.
//
// purges has a key from before something is erased until it is purged, so that
// a crash forgets nothing.
var (
	purges   = table{name: "purge"}
	purgeKey = []byte("asked")
)

// askForPurge asks for a purge of what is dropped before it.
func (s *Store) askForPurge(ctx context.Context) error {
	return s.perform(ctx, operation{
		do: func(w *writer) error {
			w.put(purges, purgeKey, []byte{1})
			return w.fault
		},
		committed: func() { s.compact.asked++ },
	})
}

// purging tells whether something that was erased may be in the file.
func (c *compaction) purging() bool { return c.asked > c.purged }

// untilPurge returns how long it is until a purge can be begun, 0 if none is
// asked for.
func (s *Store) untilPurge() time.Duration {
	if s.ctx.Err() != nil || !s.compact.purging() || s.compact.db != nil || !canReplace {
		return 0
	}
	return max(time.Until(s.compact.next), time.Millisecond)
}

// endPurge notes, in the new file, that it has nothing that was erased: unless
// something was since it was begun.
func (c *compaction) endPurge() error {
	if c.asked > c.asking || !c.purging() {
		return nil
	}
	return c.write(func(to *bbolt.Tx) error {
		b := purges.in(to)
		if b == nil {
			return nil
		}
		return b.Delete(purgeKey)
	})
}

// eraseAsides removes the files that were set aside: nothing in a damaged file
// tells for sure whose it is. One that could not be read yet is left, since
// other chats' tickets are in it.
func (s *Store) eraseAsides() error {
	err := s.removeAsides(s.now().Add(time.Second))
	all, failed := s.listAsides()
	for _, a := range all {
		if !a.Done {
			failed = errors.Join(failed, fmt.Errorf("%s could not be read, and may have something of the chat: remove it, or restart and erase the chat again when it is imported", a.Path))
		}
	}
	return errors.Join(err, failed)
}
