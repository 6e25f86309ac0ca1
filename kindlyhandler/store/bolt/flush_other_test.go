//go:build !linux

package bolt_test

import "os"

func flush(f *os.File) error { return f.Sync() }
