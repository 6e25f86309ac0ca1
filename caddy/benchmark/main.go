/*
Benchmark measures how much work the kindly_webhook directive adds to Caddy.

Start it from the root of the repository:

	go run ./caddy/benchmark

It builds Caddy with the module, starts it on loopback ports with one
Caddyfile, and plays both of its neighbours: Kindly's Chat Transcript API and a
help desk. Then it sends signed dialogue webhooks of 1 KiB, each of a chat of
its own, over keep-alive connections, to one site per scenario:

	respond        Caddy's respond directive: the least that an answer costs
	reverse_proxy  Caddy's reverse_proxy in front of the help desk
	whole_job      kindly_webhook: verified, stored, transcript fetched, ticket
	               created, chat answered with the ticket's number
	rejected       kindly_webhook, signed with a wrong secret: 401

All scenarios get the same requests from the same generator. In each round
every scenario runs once for each number of connections, in an order that
moves on from round to round. What is compared is compared within a round, and
the median over the rounds is what counts: on a busy machine single rounds
differ by a factor of two. Judge on 8 rounds or more.

# Flags

	-rounds N            rounds to run (8)
	-duration D          length of one measurement (2s)
	-connections N,...   numbers of connections (16,64)
	-scenarios NAME,...  scenarios to run (all)
	-binary FILE         a Caddy with the module, instead of building one
	-json FILE           write every single measurement to FILE
	-cpuprofile DIR      afterwards run each scenario once more, uncounted, and
	                     write Caddy's CPU profiles to DIR
	-keys                also check that every ticket has an Idempotency-Key of
	                     its own; costs the help desk some memory and time

Caddy's data lies in a temporary directory. Set TMPDIR to have it on another
disk: what is durable costs what the disk takes to flush, and nothing on tmpfs.

# Result

For each scenario the table shows requests per second, the latencies that half
and 99 % of the answers kept within, Caddy's CPU time per request, and that of
the benchmark itself, which is the generator and the two neighbours. CPU times
are measured on Linux only. Below it are the ratios, their spread over the
rounds, and what is aimed at.

The benchmark never fails because something is slow. It fails, without a
table, if any answer has another status or body than expected, or if in the
end the help desk does not have exactly one ticket for each webhook that was
accepted.
*/
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	// The servers beside Caddy allocate a little for each request. Collect
	// seldom, so that this does not take CPU time from Caddy.
	debug.SetGCPercent(400)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "benchmark:", err)
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	rounds      int
	duration    time.Duration
	connections []int
	scenarios   []scenario
	binary      string
	json        string
	profiles    string
	keys        bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "kindly-benchmark-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	if opts.binary == "" {
		fmt.Fprintln(stderr, "building Caddy …")
		if opts.binary, err = build(ctx, dir); err != nil {
			return err
		}
	}
	machine, err := describe(opts.binary, dir)
	if err != nil {
		return err
	}
	b, err := start(opts, dir, stderr)
	if err != nil {
		return err
	}
	windows, err := b.run(ctx)
	if err = errors.Join(err, b.stop()); err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		return fmt.Errorf("%w\n\nthe end of Caddy's log:\n%s", err, b.caddy.logTail())
	}
	if opts.json != "" {
		if err := writeJSON(opts.json, opts, machine, windows); err != nil {
			return err
		}
	}
	return writeReport(stdout, opts, machine, windows)
}

func parseFlags(args []string, stderr io.Writer) (*options, error) {
	var opts options
	flags := flag.NewFlagSet("benchmark", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&opts.rounds, "rounds", 8, "rounds to run")
	flags.DurationVar(&opts.duration, "duration", 2*time.Second, "length of one measurement")
	connections := flags.String("connections", "16,64", "numbers of connections")
	names := flags.String("scenarios", strings.Join(scenarioNames(), ","), "scenarios to run")
	flags.StringVar(&opts.binary, "binary", "", "a Caddy with the module, instead of building one")
	flags.StringVar(&opts.json, "json", "", "write every single measurement to this file")
	flags.StringVar(&opts.profiles, "cpuprofile", "", "write Caddy's CPU profiles to this directory")
	flags.BoolVar(&opts.keys, "keys", false, "check that every ticket has an Idempotency-Key of its own")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: everything is set by flags, see -help", flags.Arg(0))
	}
	if opts.rounds < 1 {
		return nil, fmt.Errorf("-rounds %d: at least 1 is needed", opts.rounds)
	}
	if opts.duration < 10*time.Millisecond || opts.duration > time.Minute {
		return nil, fmt.Errorf("-duration %s: choose from 10ms to 1m", opts.duration)
	}
	for field := range strings.SplitSeq(*connections, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 || n > 1000 {
			return nil, fmt.Errorf("-connections %s: write numbers from 1 to 1000, separated by commas", *connections)
		}
		opts.connections = append(opts.connections, n)
	}
	var err error
	opts.scenarios, err = chooseScenarios(*names)
	return &opts, err
}
