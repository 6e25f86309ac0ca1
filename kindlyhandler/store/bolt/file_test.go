package bolt

import (
	"errors"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// A reader waits for the mutex, the committer for the reader, and who reports
// damage holds the mutex: nobody waits for ever.
func TestSpoil_while_replaced(t *testing.T) {
	s, err := Open(Options{Path: filepath.Join(t.TempDir(), "deliveries.db")})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.usable(t.Context()))

	reading, goOn, done := make(chan struct{}), make(chan struct{}), make(chan struct{}, 3)
	go func() {
		_ = s.view(func(*bbolt.Tx) error {
			close(reading)
			<-goOn
			s.mu.Lock()
			defer s.mu.Unlock()
			return nil
		})
		done <- struct{}{}
	}()
	<-reading
	go func() {
		s.file.replace(s.file.current())
		done <- struct{}{}
	}()
	require.Eventually(t, func() bool {
		if s.file.mu.TryRLock() {
			s.file.mu.RUnlock()
			return false
		}
		return true
	}, 5*time.Second, time.Millisecond, "it waits for the reader")
	go func() {
		s.spoil(nil, errors.New("of another file"))
		done <- struct{}{}
	}()
	require.Eventually(t, func() bool {
		if s.mu.TryLock() {
			s.mu.Unlock()
			return len(done) > 0
		}
		return true
	}, 5*time.Second, time.Millisecond, "spoil is at it")
	close(goOn)
	for range cap(done) {
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			t.Fatal("deadlock")
		}
	}
}

// bbolt has found no address space when the file grew.
func TestUnmapped(t *testing.T) {
	s, err := Open(Options{Path: filepath.Join(t.TempDir(), "deliveries.db")})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.usable(t.Context()))
	for range 3 {
		db := s.file.current()
		require.NoError(t, s.perform(t.Context(), operation{do: func(*writer) error {
			field := func(name string) unsafe.Pointer {
				return reflect.ValueOf(db).Elem().FieldByName(name).Addr().UnsafePointer()
			}
			readers := (*sync.RWMutex)(field("mmaplock"))
			readers.Lock()
			defer readers.Unlock()
			*(*unsafe.Pointer)(field("data")) = nil
			return nil
		}}))
		require.Eventually(t, func() bool {
			return s.view(func(*bbolt.Tx) error { return nil }) == nil
		}, 5*time.Second, time.Millisecond)
		require.NotSame(t, db, s.file.current())
	}
}
