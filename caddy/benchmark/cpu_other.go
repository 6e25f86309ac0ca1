//go:build !linux

package main

import "time"

// cpuTime would return the CPU time of a process. It is measured on Linux
// only.
func cpuTime(int) (time.Duration, error) { return 0, nil }
