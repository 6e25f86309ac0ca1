//go:build !linux

package main

// cpuModel would return the name of the CPU. It is known on Linux only.
func cpuModel() string { return "" }

// inMemory would report whether a directory is on a file system without a
// disk. It is known on Linux only.
func inMemory(string) bool { return false }
