// Package caddykindly is what xcaddy builds into Caddy: it registers the
// kindly app, the kindly_webhook handler and the kindly command, which are in
// package caddy.
package caddykindly

import (
	_ "embed"

	kindly "github.com/caddy-kindly/caddy-kindly/caddy"
)

// example is the configuration that `caddy kindly demo` runs.
//
//go:embed Caddyfile.example
var example string

func init() {
	kindly.SetExample(example)
}
