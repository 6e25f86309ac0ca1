package main

import (
	"cmp"
	"debug/buildinfo"
	"fmt"
	"runtime"
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
