package kindly

import (
	"math"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// Retry says when a delivery that failed for the moment is attempted again:
// after a random time between nothing and an interval that grows with each
// attempt (exponential backoff with full jitter).
type Retry struct {
	// The longest wait after the first attempt. Default: 1 second.
	InitialInterval caddy.Duration `json:"initial_interval,omitempty"`

	// By how much the longest wait grows with each attempt, at least 1.
	// Default: 2.
	Multiplier float64 `json:"multiplier,omitempty"`

	// The longest wait between two attempts, at least `initial_interval`. An
	// upstream that asks by `Retry-After` is left alone for longer. Default: 1
	// hour.
	MaxInterval caddy.Duration `json:"max_interval,omitempty"`

	// How long a delivery is attempted: the first attempt that fails after this
	// time makes a dead letter. Time in which the upstream is paused, has no
	// configuration or asks to be left alone, in which an earlier delivery of
	// the same chat is pending, or in which Caddy does not run, does not count.
	// Default: 72 hours.
	MaxElapsed caddy.Duration `json:"max_elapsed,omitempty"`
}

func (r *Retry) policy() delivery.RetryPolicy {
	if r == nil {
		return delivery.RetryPolicy{}
	}
	return delivery.RetryPolicy{
		InitialInterval: time.Duration(r.InitialInterval),
		Multiplier:      r.Multiplier,
		MaxInterval:     time.Duration(r.MaxInterval),
		MaxElapsed:      time.Duration(r.MaxElapsed),
	}
}

func (h *Handler) unmarshalRetry(d *caddyfile.Dispenser) error {
	if h.Retry != nil {
		return twice(d)
	}
	if d.NextArg() {
		return d.Errf("unexpected argument %q: write `retry { … }`", d.Val())
	}
	h.Retry = new(Retry)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := h.Retry.unmarshalSubdirective(d); err != nil {
			return err
		}
	}
	return nil
}

func (r *Retry) unmarshalSubdirective(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "initial_interval":
		return timeoutArg(d, &r.InitialInterval)
	case "multiplier":
		return multiplierArg(d, &r.Multiplier)
	case "max_interval":
		return timeoutArg(d, &r.MaxInterval)
	case "max_elapsed":
		return timeoutArg(d, &r.MaxElapsed)
	default:
		return unknown(d, "retry", "initial_interval, multiplier, max_interval, max_elapsed")
	}
}

func multiplierArg(d *caddyfile.Dispenser, to *float64) (err error) {
	if *to != 0 {
		return twice(d)
	}
	var s string
	if !d.AllArgs(&s) {
		return wrongArgs(d, "multiplier", "<number>")
	}
	if *to, err = strconv.ParseFloat(s, 64); err != nil || !(*to >= 1) || math.IsInf(*to, 1) {
		return d.Errf("multiplier %q is not a number from 1: write one such as 2 or 1.5", s)
	}
	return nil
}
