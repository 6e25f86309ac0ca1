package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// file is the open database. Readers hold it while they read, so that it can
// be replaced by another one.
type file struct {
	mu sync.RWMutex
	db atomic.Pointer[database] // nil when it is closed
	// unmapped: bbolt found no address space for it when it grew, and does not
	// try again.
	unmapped atomic.Bool
}

// database is an open database and its file.
type database struct {
	*bbolt.DB
	file     *os.File
	pageSize int64
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
	case isDamage(err):
		if err := os.Remove(name); err != nil { // there is nothing in it
			return nil, err
		}
		return open()
	default:
		return db, err
	}
}

func closeLock(lock *bbolt.DB) error {
	if lock == nil {
		return nil
	}
	return lock.Close()
}

// isDamage tells whether an error of opening is about what is in a file.
func isDamage(err error) bool {
	for _, damage := range []error{errDamaged, berrors.ErrInvalid, berrors.ErrChecksum, berrors.ErrVersionMismatch} {
		if errors.Is(err, damage) {
			return true
		}
	}
	return false
}

// isFull tells whether an error means that the disk has no room.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// pageSize is that of new files. The list of free pages is written with every
// commit: the larger they are, the shorter it is after a backlog was drained.
// 4 KiB and 16 KiB took a fifth and a third longer for a delivery's put and save.
const pageSize = 8 << 10

// open opens the database at a path, which it makes if there is none. It
// fails with errDamaged if what is there is to be set aside.
func open(path string, timeout time.Duration) (db *database, err error) {
	if err := check(path); err != nil {
		return nil, err
	}
	if _, missing := os.Lstat(path); errors.Is(missing, os.ErrNotExist) {
		defer func() {
			if err != nil {
				_ = os.Remove(path) // what there is of it
			} else {
				syncDir(path)
			}
		}()
	}
	defer faulting()()
	defer guard(&err)
	var f *os.File
	opened, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         timeout,
		FreelistType:    bbolt.FreelistMapType,
		PageSize:        pageSize,
		InitialMmapSize: initialMmapSize(),
		OpenFile: func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
			f, err = os.OpenFile(name, flag, mode)
			return f, err
		},
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, errLocked
	}
	if err != nil {
		return nil, err
	}
	return &database{DB: opened, file: f, pageSize: int64(opened.Info().PageSize)}, nil
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

// begin begins a transaction. Without a sound meta page (somebody has cut off
// the file, say) bbolt would panic and keep its locks, and all that comes
// later would wait for them for ever.
func (d *database) begin(writable bool) (*bbolt.Tx, error) {
	for _, offset := range []int64{0, d.pageSize} {
		if _, sound := readMeta(d.file, offset); sound {
			return d.Begin(writable)
		}
	}
	return nil, fmt.Errorf("%w: it has lost its meta pages", errDamaged)
}

// view reads the database, which is returned. Nothing of it may be kept.
// Readers are short: while they are at it, pages that become free cannot be
// used again.
func (f *file) view(read func(tx *bbolt.Tx) error) (db *database, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if db = f.current(); db == nil {
		return nil, errClosedFile
	}
	defer faulting()()
	defer guard(&err)
	tx, err := db.begin(false)
	if err != nil {
		f.note(err)
		return db, err
	}
	defer func() { _ = tx.Rollback() }()
	return db, read(tx)
}

// current returns the database, nil if it is closed. It waits for nobody:
// readers wait for the store's mutex, whose holders call it.
func (f *file) current() *database { return f.db.Load() }

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
func (f *file) replace(db *database) (old *database) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.db.Swap(db)
}

// closeDB closes a database, if there is one, whatever state it is in.
func closeDB(db *database) (err error) {
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
