//go:build !unix || solaris || illumos || aix

package bolt

// writable is not known here.
func writable(string) error { return nil }

// isLocked is not known here.
func isLocked(string) bool { return false }
