package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// settle is a pause after each measurement. What Caddy does after its
	// answers belongs to that measurement, not to the next one.
	settle = 100 * time.Millisecond

	// drainTime is how long the last tickets may take to reach the help desk.
	drainTime = 30 * time.Second
)

// A window is one measurement: one scenario, for a while.
type window struct {
	Round       int     `json:"round"`
	Scenario    string  `json:"scenario"`
	Connections int     `json:"connections"`
	Requests    int     `json:"requests"`
	PerSecond   float64 `json:"per_second"`
	P50         float64 `json:"p50_ms"`
	P99         float64 `json:"p99_ms"`
	CaddyCPU    float64 `json:"caddy_cpu_us,omitempty"` // per request
	OwnCPU      float64 `json:"own_cpu_us,omitempty"`   // per request
}

// A target is a scenario that can be measured.
type target struct {
	scenario
	addr     string
	desk     *helpDesk
	answered int // so far
}

// A benchmark is everything that runs.
type benchmark struct {
	*options
	progress    io.Writer
	kindly      *kindly
	targets     []*target
	admin       string // "off", or an address
	caddy       *caddy
	connections uint32 // opened so far
}

// start starts the neighbours and Caddy.
func start(opts *options, dir string, progress io.Writer) (_ *benchmark, err error) {
	b := &benchmark{options: opts, progress: progress, admin: "off"}
	defer func() {
		if err != nil {
			b.closeNeighbours()
		}
	}()
	if b.kindly, err = newKindly(); err != nil {
		return nil, err
	}
	addrs, err := freeAddrs(len(opts.scenarios) + 1)
	if err != nil {
		return nil, err
	}
	if opts.profiles != "" {
		b.admin = addrs[len(addrs)-1]
	}
	addrs = addrs[:len(opts.scenarios)]
	var sites []site
	for i, s := range opts.scenarios {
		desk, err := newHelpDesk(opts.keys && s.keys)
		if err != nil {
			return nil, err
		}
		b.targets = append(b.targets, &target{scenario: s, addr: addrs[i], desk: desk})
		sites = append(sites, site{addr: addrs[i], directives: s.site(b.kindly.url, desk.url)})
	}
	b.caddy, err = startCaddy(opts.binary, dir, caddyfile(b.admin, sites), addrs)
	return b, err
}

// stop ends what start has started.
func (b *benchmark) stop() error {
	err := b.caddy.stop()
	b.closeNeighbours()
	return err
}

func (b *benchmark) closeNeighbours() {
	if b.kindly != nil {
		b.kindly.close()
	}
	for _, t := range b.targets {
		t.desk.close()
	}
}

// run warms up, measures every round, and checks that what was accepted is
// delivered.
func (b *benchmark) run(ctx context.Context) ([]window, error) {
	fmt.Fprintln(b.progress, "warming up …")
	for _, t := range b.targets {
		if _, err := b.measure(ctx, t, slices.Max(b.options.connections)); err != nil {
			return nil, err
		}
	}
	var windows []window
	for round := range b.rounds {
		fmt.Fprintf(b.progress, "round %d of %d …\n", round+1, b.rounds)
		for _, connections := range b.options.connections {
			for i := range b.targets {
				t := b.targets[(i+round)%len(b.targets)]
				w, err := b.measure(ctx, t, connections)
				if err != nil {
					return nil, err
				}
				w.Round = round + 1
				windows = append(windows, w)
			}
		}
	}
	if b.profiles != "" {
		if err := b.profileAll(ctx); err != nil {
			return nil, err
		}
	}
	return windows, b.checkDelivered(ctx)
}

// measure runs one scenario for a while.
func (b *benchmark) measure(ctx context.Context, t *target, connections int) (window, error) {
	fail := func(err error) (window, error) {
		return window{}, fmt.Errorf("%s with %d connections: %w", t.name, connections, err)
	}
	caddyBefore, ownBefore, err := b.cpu()
	if err != nil {
		return fail(err)
	}
	load, err := drive(ctx, &t.scenario, t.addr, connections, b.duration, b.nextConnection)
	if err != nil {
		return fail(err)
	}
	t.answered += load.answered
	if err := sleep(ctx, settle); err != nil {
		return fail(err)
	}
	caddyAfter, ownAfter, err := b.cpu()
	if err != nil {
		return fail(err)
	}
	if load.answered == 0 {
		return fail(fmt.Errorf("not a single answer in %s, choose a longer -duration", b.duration))
	}
	perRequest := func(d time.Duration) float64 {
		return float64(d.Microseconds()) / float64(load.answered)
	}
	return window{
		Scenario:    t.name,
		Connections: connections,
		Requests:    load.answered,
		PerSecond:   float64(load.inTime) / b.duration.Seconds(),
		P50:         milliseconds(quantile(load.latencies, 0.50)),
		P99:         milliseconds(quantile(load.latencies, 0.99)),
		CaddyCPU:    perRequest(caddyAfter - caddyBefore),
		OwnCPU:      perRequest(ownAfter - ownBefore),
	}, nil
}

// cpu returns the CPU times used so far by Caddy and by this process.
func (b *benchmark) cpu() (caddy, own time.Duration, err error) {
	if caddy, err = b.caddy.cpu(); err != nil {
		return 0, 0, fmt.Errorf("cannot measure Caddy's CPU time: %w", err)
	}
	if own, err = cpuTime(os.Getpid()); err != nil {
		return 0, 0, fmt.Errorf("cannot measure the benchmark's own CPU time: %w", err)
	}
	return caddy, own, nil
}

func (b *benchmark) nextConnection() uint32 {
	b.connections++
	return b.connections
}

// profileAll measures every scenario once more, under Caddy's profiler.
func (b *benchmark) profileAll(ctx context.Context) error {
	fmt.Fprintln(b.progress, "profiling …")
	if err := os.MkdirAll(b.profiles, 0o700); err != nil {
		return err
	}
	for _, t := range b.targets {
		for _, connections := range b.options.connections {
			file := filepath.Join(b.profiles, fmt.Sprintf("%s-%d.pprof", t.name, connections))
			done := make(chan error, 1)
			go func() { done <- profile(ctx, b.admin, b.duration, file) }()
			_, err := b.measure(ctx, t, connections)
			if err = errors.Join(err, <-done); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkDelivered waits until every answered webhook has its ticket, and fails
// if there are less in the end, or more.
func (b *benchmark) checkDelivered(ctx context.Context) error {
	var transcripts int64
	deadline := time.Now().Add(drainTime)
	for _, t := range b.targets {
		var want int64
		if t.tickets {
			want = int64(t.answered)
		}
		if t.transcripts {
			transcripts += int64(t.answered)
		}
		for t.desk.tickets.Load() < want && time.Now().Before(deadline) {
			if err := sleep(ctx, settle); err != nil {
				return err
			}
		}
		if got := t.desk.tickets.Load(); got != want {
			return fmt.Errorf("%s: %d webhooks were answered, so there must be %d tickets at the help desk, but there are %d",
				t.name, t.answered, want, got)
		}
		if t.desk.keys != nil {
			if err := t.desk.keys.check(); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	if got := b.kindly.served.Load(); got < transcripts {
		return fmt.Errorf("%d tickets need a transcript, but only %d were fetched", transcripts, got)
	}
	return nil
}

// sleep waits for d, or returns the error of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func milliseconds(d time.Duration) float64 {
	return float64(d) / float64(time.Millisecond)
}
