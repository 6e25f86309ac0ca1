package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// pause is one after each measurement: what Caddy does after its answers
	// belongs to that measurement, not to the next one.
	pause = 100 * time.Millisecond

	// look is how often to look whether what is waited for has happened.
	look = 10 * time.Millisecond

	// maxWaiting bounds the webhooks that wait for a help desk that is down,
	// so that their delivery takes a minute or two: each of its measurements
	// may send an equal part of that.
	maxWaiting = 200_000

	// breakerOpen is the condition of an upstream that is known to be down.
	breakerOpen = "open"
)

// results are what is reported.
type results struct {
	windows []window
	drain   *drain // nil without an outage
	paced   []pacedRun
}

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

// An instance is one Caddy, with a store of its own.
type instance struct {
	name    string // one of stores
	caddy   *caddy
	targets []*target
}

// durable reports whether deliveries survive the process.
func (i *instance) durable() bool { return stores[i.name] != "memory" }

// delivers reports whether there are deliveries.
func (i *instance) delivers() bool {
	return slices.ContainsFunc(i.targets, func(t *target) bool { return t.deliveries })
}

// A target is a scenario that can be measured.
type target struct {
	scenario
	addr     string
	instance *instance
	kindly   *kindly
	desk     *helpDesk
	answered int      // so far
	samples  []sample // of what was answered; of the latest only, if the store is not durable

	drained time.Duration // from the restart of Caddy to the last ticket, if down
}

// count takes note of answers.
func (t *target) count(answered int, samples []sample) {
	t.answered += answered
	if t.instance.durable() {
		samples = append(t.samples, samples...)
	}
	t.samples = samples
}

// A benchmark is everything that runs.
type benchmark struct {
	*options
	dir         string
	progress    io.Writer
	instances   []*instance
	connections uint32 // opened so far
}

// run measures what the options ask for.
func (b *benchmark) run(ctx context.Context) (r results, err error) {
	if b.fleet {
		r.windows, r.drain, err = b.runFleet(ctx)
		return r, err
	}
	if b.rounds > 0 {
		targets, err := b.launch(b.scenarios)
		if err != nil {
			return r, err
		}
		if r.windows, err = b.measureAll(ctx, targets); err != nil {
			return r, err
		}
		if err := b.proveAll(ctx); err != nil {
			return r, err
		}
		r.drain = drainOf(targets)
	}
	if b.paced > 0 {
		var scenarios []scenario
		for _, p := range paces {
			scenarios = append(scenarios, p.scenario)
		}
		targets, err := b.launch(scenarios)
		if err != nil {
			return r, err
		}
		if r.paced, err = b.paceAll(ctx, targets); err != nil {
			return r, err
		}
		if err := b.proveAll(ctx); err != nil {
			return r, err
		}
	}
	return r, nil
}

// launch starts a Caddy for each store that the scenarios need, with a site
// and two neighbours for each of them. Help desks that are to be down are.
func (b *benchmark) launch(scenarios []scenario) ([]*target, error) {
	var targets []*target
	for _, s := range scenarios {
		at := slices.IndexFunc(b.instances, func(i *instance) bool { return i.name == s.caddy })
		if at < 0 {
			at = len(b.instances)
			b.instances = append(b.instances, &instance{name: s.caddy})
		}
		t := &target{scenario: s, instance: b.instances[at]}
		t.instance.targets = append(t.instance.targets, t)
		targets = append(targets, t)
		var err error
		if t.kindly, err = newKindly(); err != nil {
			return nil, err
		}
		if t.desk, err = newHelpDesk(b.keys && s.deliveries); err != nil {
			return nil, err
		}
	}
	addrs, err := freeAddrs(len(targets) + len(b.instances))
	if err != nil {
		return nil, err
	}
	for n, t := range targets {
		t.addr = addrs[n]
		if t.down {
			t.desk.close()
		}
	}
	for n, i := range b.instances {
		var sites []site
		for _, t := range i.targets {
			sites = append(sites, site{addr: t.addr, directives: t.site(t.kindly.url, t.desk.url)})
		}
		dir := filepath.Join(b.dir, i.name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
		if i.caddy, err = startCaddy(b.binary, dir, addrs[len(targets)+n], stores[i.name], sites); err != nil {
			return nil, err
		}
	}
	return targets, nil
}

// proveAll checks and stops all instances.
func (b *benchmark) proveAll(ctx context.Context) error {
	fmt.Fprintln(b.progress, "checking that everything is delivered, and known after a restart …")
	for _, i := range b.instances {
		if err := i.prove(ctx); err != nil {
			return err
		}
	}
	return b.close()
}

// close ends what launch has started.
func (b *benchmark) close() error {
	var errs []error
	for _, i := range b.instances {
		if i.caddy != nil {
			errs = append(errs, i.caddy.stop())
		}
		for _, t := range i.targets {
			if t.kindly != nil {
				t.kindly.close()
			}
			if t.desk != nil {
				t.desk.close()
			}
		}
	}
	b.instances = nil
	return errors.Join(errs...)
}

// logs returns the ends of the logs of what launch has started.
func (b *benchmark) logs() string {
	var logs strings.Builder
	for _, i := range b.instances {
		if i.caddy != nil {
			fmt.Fprintf(&logs, "\nthe end of the log of Caddy %q:\n%s", i.name, i.caddy.logTail())
		}
	}
	return logs.String()
}

// measureAll warms up and measures every round.
func (b *benchmark) measureAll(ctx context.Context, targets []*target) ([]window, error) {
	fmt.Fprintln(b.progress, "warming up …")
	for _, t := range targets {
		if _, err := b.measure(ctx, t, slices.Max(b.options.connections)); err != nil {
			return nil, err
		}
		if t.down {
			if err := t.awaitBreaker(ctx); err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	var windows []window
	for round := range b.rounds {
		fmt.Fprintf(b.progress, "round %d of %d …\n", round+1, b.rounds)
		for _, connections := range b.options.connections {
			for i := range targets {
				t := targets[(i+round)%len(targets)]
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
		return windows, b.profileAll(ctx, targets)
	}
	return windows, nil
}

// measure runs one scenario for a while.
func (b *benchmark) measure(ctx context.Context, t *target, connections int) (window, error) {
	fail := func(err error) (window, error) {
		return window{}, fmt.Errorf("%s with %d connections: %w", t.name, connections, err)
	}
	caddyBefore, ownBefore, err := t.cpu()
	if err != nil {
		return fail(err)
	}
	most := int64(unlimited)
	if t.down {
		most = maxWaiting / b.measurements()
	}
	load, err := drive(ctx, &t.scenario, t.addr, connections, b.duration, most, b.nextConnection)
	if err != nil {
		return fail(err)
	}
	t.count(load.answered, load.samples)
	if err := sleep(ctx, pause); err != nil {
		return fail(err)
	}
	caddyAfter, ownAfter, err := t.cpu()
	if err != nil {
		return fail(err)
	}
	if load.answered == 0 {
		return fail(fmt.Errorf("not a single answer in %s, choose a longer -duration", b.duration))
	}
	return window{
		Scenario:    t.name,
		Connections: connections,
		Requests:    load.answered,
		PerSecond:   float64(load.inTime) / load.took.Seconds(),
		P50:         milliseconds(quantile(load.latencies, 0.50)),
		P99:         milliseconds(quantile(load.latencies, 0.99)),
		CaddyCPU:    perRequest(caddyAfter-caddyBefore, load.answered),
		OwnCPU:      perRequest(ownAfter-ownBefore, load.answered),
	}, nil
}

// measurements is how many there are of each scenario.
func (b *benchmark) measurements() int64 {
	n := 1 + b.rounds*len(b.options.connections) // with the one to warm up
	if b.profiles != "" {
		n += len(b.options.connections)
	}
	return int64(n)
}

// cpu returns the CPU times used so far by the target's Caddy and by this
// process.
func (t *target) cpu() (caddy, own time.Duration, err error) {
	if caddy, err = t.instance.caddy.cpu(); err != nil {
		return 0, 0, fmt.Errorf("cannot measure Caddy's CPU time: %w", err)
	}
	if own, err = cpuTime(os.Getpid()); err != nil {
		return 0, 0, fmt.Errorf("cannot measure the benchmark's own CPU time: %w", err)
	}
	return caddy, own, nil
}

// awaitBreaker waits until the target's upstream is known to be down, which
// takes a few failed attempts.
func (t *target) awaitBreaker(ctx context.Context) error {
	for deadline := time.Now().Add(stalled); ; {
		upstreams, err := t.instance.caddy.upstreams(ctx)
		if err != nil {
			return err
		}
		condition := upstreams[t.name].Condition
		if condition == breakerOpen {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the help desk has been down for %s, but is known as %s", stalled, condition)
		}
		if err := sleep(ctx, look); err != nil {
			return err
		}
	}
}

func (b *benchmark) nextConnection() uint32 {
	b.connections++
	return b.connections
}

// profileAll measures every scenario once more, under Caddy's profiler.
func (b *benchmark) profileAll(ctx context.Context, targets []*target) error {
	fmt.Fprintln(b.progress, "profiling …")
	if err := os.MkdirAll(b.profiles, 0o700); err != nil {
		return err
	}
	for _, t := range targets {
		for _, connections := range b.options.connections {
			file := filepath.Join(b.profiles, fmt.Sprintf("%s-%d.pprof", t.name, connections))
			done := make(chan error, 1)
			go func() { done <- t.instance.caddy.profile(ctx, b.duration, file) }()
			_, err := b.measure(ctx, t, connections)
			if err = errors.Join(err, <-done); err != nil {
				return err
			}
		}
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

// perRequest returns a part of a CPU time in microseconds.
func perRequest(d time.Duration, requests int) float64 {
	return float64(d.Microseconds()) / float64(requests)
}

func milliseconds(d time.Duration) float64 {
	return float64(d) / float64(time.Millisecond)
}
