package main

import (
	"cmp"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// A machine is what the numbers depend on.
type machine struct {
	Caddy    string `json:"caddy"`
	Module   string `json:"module"`
	CaddyGo  string `json:"caddy_go"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	CPU      string `json:"cpu"`
	Cores    int    `json:"cores"`
	InMemory bool   `json:"data_in_memory"`

	// Flush is how long Caddy's disk takes to make 4 KiB durable.
	Flush float64 `json:"flush_ms"`
}

// describe tells about the machine, the binary, and the directory of its data.
func describe(binary, dir string) (machine, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return machine{}, fmt.Errorf("-binary must be an executable that Go has built: %w", err)
	}
	m := machine{
		Caddy:    "(unknown)",
		Module:   "(unknown)",
		CaddyGo:  info.GoVersion,
		Go:       runtime.Version(),
		OS:       runtime.GOOS,
		Arch:     runtime.GOARCH,
		CPU:      cmp.Or(cpuModel(), "unknown CPU"),
		Cores:    runtime.NumCPU(),
		InMemory: inMemory(dir),
	}
	flush, err := measureFlush(filepath.Join(dir, "flush"))
	if err != nil {
		return machine{}, fmt.Errorf("cannot measure the disk: %w", err)
	}
	m.Flush = milliseconds(flush)
	for _, dep := range append(info.Deps, &info.Main) {
		switch dep.Path {
		case "github.com/caddyserver/caddy/v2":
			m.Caddy = dep.Version
		case "github.com/caddy-kindly/caddy-kindly":
			m.Module = cmp.Or(dep.Version, m.Module)
		}
	}
	return m, nil
}

// measureFlush returns the median of what a flush takes, of the same block of
// a file over and over.
func measureFlush(path string) (time.Duration, error) {
	file, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer os.Remove(path)
	defer file.Close()
	times := make([]time.Duration, 0, 100)
	for len(times) < cap(times) {
		begin := time.Now()
		if _, err := file.WriteAt(make([]byte, 4096), 0); err != nil {
			return 0, err
		}
		if err := flush(file); err != nil {
			return 0, err
		}
		times = append(times, time.Since(begin))
	}
	slices.Sort(times)
	return quantile(times, 0.5), nil
}
