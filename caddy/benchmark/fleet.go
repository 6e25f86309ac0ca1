package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// members is how many Caddys of a fleet run, of which some or all are measured.
const members = 3

// pgbench is the scenario of PostgreSQL alone.
const pgbench = "pgbench"

// fleetOf names the scenario of so many Caddys.
func fleetOf(n int) string { return fmt.Sprintf("fleet_%d", n) }

// fleetScenarios has the names of all, in the order of the table.
func fleetScenarios() []string {
	names := []string{pgbench}
	for n := range members {
		names = append(names, fleetOf(n+1))
	}
	return names
}

// A fleet is the Caddys that share a database.
type fleet struct {
	*benchmark
	database *database
	targets  []*target // one of each Caddy
}

// runFleet measures a fleet whose help desk is down, and checks that what it
// has accepted is delivered.
func (b *benchmark) runFleet(ctx context.Context) (windows []window, d *drain, err error) {
	db, err := openDatabase(b.dir, slices.Max(b.options.connections))
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, db.close()) }()
	f := &fleet{benchmark: b, database: db}
	if err := f.launch(); err != nil {
		return nil, nil, err
	}
	if windows, err = f.measureAll(ctx); err != nil {
		return nil, nil, err
	}
	fmt.Fprintln(b.progress, "checking that everything is delivered, after a crash of all …")
	if d, err = f.prove(ctx); err != nil {
		return nil, nil, err
	}
	return windows, d, b.close()
}

func (f *fleet) launch() error {
	kindly, err := newKindly()
	if err != nil {
		return err
	}
	desk, err := newHelpDesk(f.keys)
	if err != nil {
		return err
	}
	desk.close()
	addrs, err := freeAddrs(2 * members)
	if err != nil {
		return err
	}
	for n := range members {
		t := &target{
			scenario: outageScenario("fleet", "fleet"), addr: addrs[n], kindly: kindly, desk: desk,
			instance: &instance{name: fmt.Sprintf("fleet-%d", n+1)},
		}
		t.instance.targets = []*target{t}
		f.instances = append(f.instances, t.instance)
		f.targets = append(f.targets, t)
		dir := filepath.Join(f.dir, t.instance.name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		t.instance.caddy, err = startCaddy(f.binary, dir, addrs[members+n], "postgres `"+f.database.dsn+"`",
			[]site{{addr: t.addr, directives: t.site(kindly.url, desk.url)}})
		if err != nil {
			return err
		}
	}
	return nil
}

// measureAll warms up and measures every round.
func (f *fleet) measureAll(ctx context.Context) ([]window, error) {
	fmt.Fprintln(f.progress, "warming up …")
	for n, t := range f.targets {
		if _, err := f.measure(ctx, f.targets[n:n+1], slices.Max(f.options.connections)); err != nil {
			return nil, err
		}
		if err := t.awaitBreaker(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", t.instance.name, err)
		}
	}
	var windows []window
	for round := range f.rounds {
		fmt.Fprintf(f.progress, "round %d of %d …\n", round+1, f.rounds)
		for _, connections := range f.options.connections {
			for i := range members + 1 {
				w, err := f.measureOne(ctx, (i+round)%(members+1), connections)
				if err != nil {
					return nil, err
				}
				w.Round = round + 1
				windows = append(windows, w)
			}
		}
	}
	return windows, nil
}

// measureOne measures so many Caddys, or PostgreSQL alone if that is none.
func (f *fleet) measureOne(ctx context.Context, n, connections int) (window, error) {
	if n > 0 {
		return f.measure(ctx, f.targets[:n], connections)
	}
	perSecond, latency, err := f.database.bench(ctx, connections, f.duration)
	return window{Scenario: pgbench, Connections: connections, PerSecond: perSecond, P50: latency}, err
}

// measure divides the connections among some Caddys.
func (f *fleet) measure(ctx context.Context, targets []*target, connections int) (window, error) {
	w := window{Scenario: fleetOf(len(targets)), Connections: connections}
	fail := func(err error) (window, error) {
		return window{}, fmt.Errorf("%s with %d connections: %w", w.Scenario, connections, err)
	}
	caddyBefore, ownBefore, err := f.cpu()
	if err != nil {
		return fail(err)
	}
	most := int64(maxWaiting / (members * (1 + f.rounds*len(f.options.connections)) * len(targets)))
	clients := make([][]*client, len(targets))
	for n, t := range targets {
		own := (connections + n) / len(targets)
		if clients[n], err = dialAll(&t.scenario, t.addr, own, f.nextConnection); err != nil {
			return fail(err)
		}
		defer closeAll(clients[n])
	}
	loads := make([]load, len(targets))
	group, driving := errgroup.WithContext(ctx)
	for n := range targets {
		group.Go(func() (err error) {
			loads[n], err = driveAll(driving, clients[n], f.duration, most)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fail(err)
	}
	var latencies []time.Duration
	for n, t := range targets {
		t.count(loads[n].answered, loads[n].samples)
		w.Requests += loads[n].answered
		w.PerSecond += float64(loads[n].inTime) / loads[n].took.Seconds()
		latencies = append(latencies, loads[n].latencies...)
	}
	if err := sleep(ctx, pause); err != nil {
		return fail(err)
	}
	caddyAfter, ownAfter, err := f.cpu()
	if err != nil {
		return fail(err)
	}
	if w.Requests == 0 {
		return fail(fmt.Errorf("not a single answer in %s, choose a longer -duration", f.duration))
	}
	slices.Sort(latencies)
	w.P50, w.P99 = milliseconds(quantile(latencies, 0.50)), milliseconds(quantile(latencies, 0.99))
	w.CaddyCPU, w.OwnCPU = perRequest(caddyAfter-caddyBefore, w.Requests), perRequest(ownAfter-ownBefore, w.Requests)
	return w, nil
}

// cpu returns the CPU times used so far by all Caddys and by this process.
func (f *fleet) cpu() (caddys, own time.Duration, err error) {
	for _, t := range f.targets {
		var caddy time.Duration
		if caddy, own, err = t.cpu(); err != nil {
			return 0, 0, err
		}
		caddys += caddy
	}
	return caddys, own, nil
}

// prove kills all Caddys and the database when everything accepted waits, and
// checks that all of it is delivered once after that, and is known to another
// Caddy than the one that accepted it.
func (f *fleet) prove(ctx context.Context) (*drain, error) {
	all := &target{scenario: f.targets[0].scenario, kindly: f.targets[0].kindly, desk: f.targets[0].desk}
	for _, t := range f.targets {
		all.answered += t.answered
	}
	for _, t := range f.targets {
		if err := f.requireCounts(ctx, t, counts{Pending: all.answered}); err != nil {
			return nil, err
		}
	}
	for _, t := range f.targets {
		if err := t.instance.caddy.kill(); err != nil {
			return nil, err
		}
	}
	if err := f.database.crash(); err != nil {
		return nil, err
	}
	if err := all.desk.open(); err != nil {
		return nil, fmt.Errorf("cannot let the help desk work: %w", err)
	}
	started := time.Now()
	for _, t := range f.targets {
		if err := t.instance.caddy.start(); err != nil {
			return nil, fmt.Errorf("for the second time: %w", err)
		}
	}
	if err := all.awaitTickets(ctx); err != nil {
		return nil, err
	}
	d := &drain{all.answered, time.Since(started).Seconds()}
	if _, err := f.instances[0].settled(ctx); err != nil {
		return nil, err
	}
	for n, t := range f.targets {
		if err := f.requireCounts(ctx, t, counts{Delivered: all.answered}); err != nil {
			return nil, err
		}
		other := &target{scenario: t.scenario, addr: f.targets[(n+1)%members].addr, samples: t.samples}
		err := other.repeat(func(_ sample, answer string) error {
			if !isReply([]byte(answer)) {
				return errors.New("it speaks of no ticket")
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("at another Caddy: %w", err)
		}
	}
	return d, all.check()
}

// requireCounts checks what a Caddy tells of the deliveries of the fleet.
func (f *fleet) requireCounts(ctx context.Context, t *target, want counts) error {
	upstreams, err := t.instance.caddy.upstreams(ctx)
	if err != nil {
		return err
	}
	if got := upstreams[t.name].counts(); got != want {
		return fmt.Errorf("%s counts %+v, where the whole fleet has %+v", t.instance.name, got, want)
	}
	return nil
}
