package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// pacedConnections is how many webhooks can be under way at once. Further
	// ones wait here, and that counts as their latency.
	pacedConnections = 128

	// pacedWarmUp is the length of the run before the one that counts, if that
	// is not shorter.
	pacedWarmUp = time.Second
)

// A pace is a number of webhooks per second that come whether or not earlier
// ones are answered, and what is aimed at.
type pace struct {
	scenario
	rate  int
	goals []goal
}

// A goal is an upper limit of a paced run's value.
type goal struct {
	what  string
	value func(pacedRun) float64
	most  float64
}

func p50(r pacedRun) float64            { return r.P50 }
func p99(r pacedRun) float64            { return r.P99 }
func deliveredAfter(r pacedRun) float64 { return r.DeliveredAfter }

var paces = []pace{
	{
		scenario: proxyScenario("paced_proxy", "paced"),
		rate:     400,
	},
	{
		scenario: webhookScenario("paced_job", "paced", "5s", isReply),
		rate:     400,
		goals:    []goal{{"p50 ms", p50, 1.6}, {"p99 ms", p99, 5}},
	},
	{
		scenario: webhookScenario("paced_accept", "paced", "0", isPending),
		rate:     1500,
		goals:    []goal{{"p99 ms", p99, 10}, {"delivered after s", deliveredAfter, 2}},
	},
}

// A pacedRun is what was measured at a pace. Latencies count from the moment
// at which a webhook was to be sent.
type pacedRun struct {
	Name           string  `json:"name"`
	PerSecond      int     `json:"per_second"`
	Requests       int     `json:"requests"`
	Late           float64 `json:"sent_late_p99_ms"`
	P50            float64 `json:"p50_ms"`
	P99            float64 `json:"p99_ms"`
	Max            float64 `json:"max_ms"`
	DeliveredAfter float64 `json:"delivered_after_s"`      // the end of the run
	CaddyCPU       float64 `json:"caddy_cpu_us,omitempty"` // per request
}

// A pacedLoad is what the connections of a paced run saw.
type pacedLoad struct {
	answered  int
	end       time.Time       // when the next webhook would have been sent
	late      []time.Duration // how much later each was sent than it should be
	latencies []time.Duration
	samples   []sample // the last webhook of each connection
}

// drivePaced sends webhooks at a rate per second, for a while, and reads all
// their answers. It fails at the first answer that is not the expected one.
func drivePaced(ctx context.Context, s *scenario, addr string, rate int, length time.Duration, nextConnection func() uint32) (pacedLoad, error) {
	clients, err := dialAll(s, addr, pacedConnections, nextConnection)
	if err != nil {
		return pacedLoad{}, err
	}
	defer closeAll(clients)

	interval := time.Second / time.Duration(rate)
	total := max(1, int(length/interval))
	due := make(chan time.Time, total)
	late := make([][]time.Duration, len(clients))
	group, ctx := errgroup.WithContext(ctx)
	for i, c := range clients {
		group.Go(func() (err error) {
			late[i], err = c.runPaced(ctx, due)
			return err
		})
	}
	start := time.Now()
	group.Go(func() error {
		defer close(due)
		ticks, err := newTicks(interval)
		if err != nil {
			return fmt.Errorf("cannot pace: %w", err)
		}
		defer ticks.close()
		for sent := 0; sent < total && ctx.Err() == nil; {
			n, err := ticks.wait()
			if err != nil {
				return fmt.Errorf("cannot pace: %w", err)
			}
			for range min(n, total-sent) {
				sent++
				due <- start.Add(time.Duration(sent) * interval)
			}
		}
		return context.Cause(ctx)
	})
	if err := group.Wait(); err != nil {
		return pacedLoad{}, err
	}

	sum := pacedLoad{end: start.Add(time.Duration(total+1) * interval), late: slices.Concat(late...), samples: samplesOf(clients)}
	for _, c := range clients {
		sum.latencies = append(sum.latencies, c.latencies...)
	}
	sum.answered = len(sum.latencies)
	slices.Sort(sum.late)
	slices.Sort(sum.latencies)
	return sum, nil
}

// runPaced sends a webhook at each of the times, which come when they are
// there, and returns how late it was each time.
func (c *client) runPaced(ctx context.Context, due <-chan time.Time) (late []time.Duration, err error) {
	for at := range due {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		request := c.webhooks.next()
		now := time.Now()
		late = append(late, now.Sub(at))
		if err := c.expire(now.Add(patience)); err != nil {
			return nil, err
		}
		if err := c.send(request); err != nil {
			return nil, err
		}
		c.latencies = append(c.latencies, time.Since(at))
	}
	return late, nil
}

// paceAll makes all paced runs.
func (b *benchmark) paceAll(ctx context.Context, targets []*target) ([]pacedRun, error) {
	var runs []pacedRun
	for i, t := range targets {
		rate := paces[i].rate
		fmt.Fprintf(b.progress, "%s at %d/s for %s …\n", t.name, rate, b.paced)
		_, err := b.pace(ctx, t, rate, min(b.paced, pacedWarmUp))
		if err == nil {
			var run pacedRun
			run, err = b.pace(ctx, t, rate, b.paced)
			runs = append(runs, run)
		}
		if err != nil {
			return nil, fmt.Errorf("%s at %d/s: %w", t.name, rate, err)
		}
	}
	return runs, nil
}

// pace makes one paced run, and waits until everything is delivered.
func (b *benchmark) pace(ctx context.Context, t *target, rate int, length time.Duration) (pacedRun, error) {
	before, _, err := t.cpu()
	if err != nil {
		return pacedRun{}, err
	}
	load, err := drivePaced(ctx, &t.scenario, t.addr, rate, length, b.nextConnection)
	if err != nil {
		return pacedRun{}, err
	}
	t.count(load.answered, load.samples)
	if err := t.awaitTickets(ctx); err != nil {
		return pacedRun{}, err
	}
	delivered := time.Now()
	if err := sleep(ctx, pause); err != nil {
		return pacedRun{}, err
	}
	after, _, err := t.cpu()
	if err != nil {
		return pacedRun{}, err
	}
	return pacedRun{
		Name:           t.name,
		PerSecond:      rate,
		Requests:       load.answered,
		Late:           milliseconds(quantile(load.late, 0.99)),
		P50:            milliseconds(quantile(load.latencies, 0.50)),
		P99:            milliseconds(quantile(load.latencies, 0.99)),
		Max:            milliseconds(quantile(load.latencies, 1)),
		DeliveredAfter: max(0, delivered.Sub(load.end).Seconds()),
		CaddyCPU:       perRequest(after-before, load.answered),
	}, nil
}
