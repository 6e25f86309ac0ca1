package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// file is the open database. Readers hold it while they read, so that it can
// be replaced by another one.
type file struct {
	mu sync.RWMutex
	db atomic.Pointer[bbolt.DB] // nil when it is closed
	// unmapped: bbolt found no address space for it when it grew, and does not
	// try again.
	unmapped atomic.Bool
}

var errLocked = errors.New("another process has it open (a second Caddy with the same storage?): end that, or give this one a path of its own (store bolt <path>)")

// lock takes the path for this process, for as long as what it returns is not
// closed. The lock is a file of its own, since the database's can be replaced;
// that it is a bbolt file, too, makes it one on every system.
func lock(path string, timeout time.Duration) (*bbolt.DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	name := path + ".lock"
	open := func() (db *bbolt.DB, err error) {
		defer faulting()()
		defer guard(&err)
		return bbolt.Open(name, 0o600, &bbolt.Options{Timeout: timeout})
	}
	db, err := open()
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, errLocked
	case errors.Is(err, errDamaged), errors.Is(err, berrors.ErrInvalid),
		errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		if err := os.Remove(name); err != nil { // there is nothing in it
			return nil, err
		}
		return open()
	}
	return db, err
}

// open opens the database at a path, which it makes if there is none. It
// fails with errDamaged if what is there is to be set aside.
func open(path string, timeout time.Duration) (db *bbolt.DB, err error) {
	if err := check(path); err != nil {
		return nil, err
	}
	defer faulting()()
	defer guard(&err)
	_, missing := os.Stat(path)
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         timeout,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: initialMmapSize(),
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, errLocked
	}
	if missing != nil {
		syncDir(path)
	}
	return db, err
}

// initialMmapSize is address space, not memory: within it, a growing file need
// not wait for its readers. 32-bit systems have too little of it, and on
// Windows the file would be that large.
func initialMmapSize() int {
	if strconv.IntSize == 32 || runtime.GOOS == "windows" {
		return 0
	}
	return 1 << 30
}

// guard turns a panic, or a fault when a page of the mapped file cannot be
// read, into an error: a damaged file must not end the process. It is deferred
// by whoever touches the file, in its own goroutine.
func guard(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: %v", errDamaged, r)
	}
}

// faulting makes faults panics, until the function is called.
func faulting() (restore func()) {
	old := debug.SetPanicOnFault(true)
	return func() { debug.SetPanicOnFault(old) }
}

// begin begins a transaction. It is where bbolt panics with locks held that
// nobody would ever release, if the meta pages are gone: somebody has cut off
// the file, say.
func begin(db *bbolt.DB, writable bool) (tx *bbolt.Tx, err error) {
	defer func() {
		if r := recover(); r != nil {
			release(db, writable)
			err = fmt.Errorf("%w: %v", errDamaged, r)
		}
	}()
	return db.Begin(writable)
}

// release releases what a panic in Begin has left locked: all that came later
// would wait for it for ever, Close too.
func release(db *bbolt.DB, writable bool) {
	field := func(name string) unsafe.Pointer {
		return reflect.ValueOf(db).Elem().FieldByName(name).Addr().UnsafePointer()
	}
	if writable {
		(*sync.Mutex)(field("rwlock")).Unlock()
		return
	}
	(*sync.Mutex)(field("metalock")).Unlock()
	(*sync.RWMutex)(field("mmaplock")).RUnlock()
}

// view reads the database, which is returned. Nothing of it may be kept.
// Readers are short: while they are at it, pages that become free cannot be
// used again.
func (f *file) view(read func(tx *bbolt.Tx) error) (db *bbolt.DB, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if db = f.current(); db == nil {
		return nil, errClosedFile
	}
	defer faulting()()
	defer guard(&err)
	tx, err := begin(db, false)
	if err != nil {
		f.note(err)
		return db, err
	}
	defer func() { _ = tx.Rollback() }()
	return db, read(tx)
}

// current returns the database, nil if it is closed. It waits for nobody:
// readers wait for the store's mutex, whose holders call it.
func (f *file) current() *bbolt.DB { return f.db.Load() }

// note notes what an error at the beginning of a transaction tells.
func (f *file) note(err error) {
	if errors.Is(err, berrors.ErrInvalidMapping) {
		f.unmapped.Store(true)
	}
}

// idle tells whether nobody reads the database: who does from now on finds all
// that was committed.
func (f *file) idle() bool {
	if !f.mu.TryLock() {
		return false
	}
	f.mu.Unlock()
	return true
}

var errClosedFile = errors.New("the file is closed")

// replace puts another database in place of this one, which is returned, when
// nobody reads it any more.
func (f *file) replace(db *bbolt.DB) (old *bbolt.DB) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.db.Swap(db)
}

// closeDB closes a database, if there is one, whatever state it is in.
func closeDB(db *bbolt.DB) (err error) {
	if db == nil {
		return nil
	}
	defer faulting()()
	defer guard(&err)
	return db.Close()
}

// syncDir makes a new name in a path's directory durable, as far as the system
// lets anybody do that: Windows and some network file systems do not.
func syncDir(path string) {
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
}
