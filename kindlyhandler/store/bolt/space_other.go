//go:build !unix || solaris || illumos || aix

package bolt

// freeSpace is not known here.
func freeSpace(string) (int64, bool) { return 0, false }
