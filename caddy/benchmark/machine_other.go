//go:build !linux

package main

import "os"

// cpuModel would return the name of the CPU. It is known on Linux only.
func cpuModel() string { return "" }

// inMemory would report whether a directory is on a file system without a
// disk. It is known on Linux only.
func inMemory(string) bool { return false }

// flush makes what was written durable.
func flush(file *os.File) error { return file.Sync() }
