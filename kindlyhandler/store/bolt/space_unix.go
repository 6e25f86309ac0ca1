//go:build unix && !solaris && !illumos && !aix

package bolt

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// freeSpace returns how many bytes the path's disk has free, if that can be
// known.
func freeSpace(path string) (int64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true //nolint:unconvert // the types differ between systems
}
