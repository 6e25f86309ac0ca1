//go:build !unix || solaris || illumos || aix

package bolt

// diskSpace is not known here.
func diskSpace(string) (free, size int64, ok bool) { return 0, 0, false }
