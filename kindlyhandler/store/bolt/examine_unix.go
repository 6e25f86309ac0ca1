//go:build unix && !solaris && !illumos && !aix

package bolt

import (
	"os"

	"golang.org/x/sys/unix"
)

// writable says whether files can be made in a directory.
func writable(dir string) error {
	err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	if err != nil {
		return &os.PathError{Op: "write to", Path: dir, Err: err}
	}
	return nil
}

// isLocked tells whether a process has the lock. It holds it for a moment itself
// if nobody does, shared: a server that starts then tries again for seconds.
func isLocked(name string) bool {
	file, err := os.Open(name)
	if err != nil {
		return false
	}
	defer file.Close() // which unlocks
	return unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil
}
