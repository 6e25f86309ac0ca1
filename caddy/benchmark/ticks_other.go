//go:build !linux

package main

import "time"

// ticks tell when intervals are over, as exactly as the system's timers do.
type ticks struct {
	start    time.Time
	interval time.Duration
	seen     int
}

func newTicks(interval time.Duration) (*ticks, error) {
	return &ticks{start: time.Now(), interval: interval}, nil
}

// wait returns how many intervals are over since the last call, at least one.
func (t *ticks) wait() (int, error) {
	time.Sleep(time.Until(t.start.Add(time.Duration(t.seen+1) * t.interval)))
	n := int(time.Since(t.start)/t.interval) - t.seen
	t.seen += n
	return n, nil
}

func (t *ticks) close() {}
