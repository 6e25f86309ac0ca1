//go:build unix && !solaris && !illumos && !aix

package bolt

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// diskSpace returns how many bytes the path's disk has free for us, and how
// many in all, if that can be known.
func diskSpace(path string) (free, size int64, ok bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &s); err != nil {
		return 0, 0, false
	}
	block := int64(s.Bsize)                                       //nolint:unconvert // the types differ between systems
	return int64(s.Bavail) * block, int64(s.Blocks) * block, true //nolint:unconvert // the same
}
