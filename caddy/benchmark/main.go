/*
Benchmark measures how much work the kindly_webhook directive adds to Caddy, and
what it costs that nothing accepted is lost.

Start it from the root of the repository, on a machine that does nothing else:

	go run ./caddy/benchmark -paced 30s

It builds Caddy with the module, starts it on loopback ports, and plays both of
its neighbours: Kindly's Chat Transcript API and a help desk. Then it sends
signed dialogue webhooks of 1 KiB, each of a chat of its own, over keep-alive
connections, to one site per scenario:

	respond           Caddy's respond directive: the least that an answer costs
	reverse_proxy     Caddy's reverse_proxy in front of the help desk
	whole_job         kindly_webhook: verified, stored on disk, transcript
	                  fetched, ticket created, chat answered with the ticket's
	                  number
	whole_job_memory  the same with deliveries in memory
	whole_job_jira    whole_job with the preset that has the most to do
	down              what kindly_webhook does of that while the help desk
	                  refuses connections and is known to be down: verified,
	                  stored on disk, chat answered that a ticket follows
	error             Caddy's error directive: the least that a refusal costs
	rejected          kindly_webhook, signed with a wrong secret: 401

All scenarios get the same requests from the same generator. In each round
every scenario runs once for each number of connections, in an order that
moves on from round to round. What is compared is compared within a round, and
the median over the rounds is what counts: on a busy machine single rounds
differ by a factor of two. Judge on 8 rounds or more.

A Caddy has one store, so there are three of them: whole_job_memory and down
have one each, the others share one. What waits for the help desk in down stays
until all rounds are over. That is at most 200,000 webhooks, so that it takes a
minute or two to deliver them: each measurement of down may send an equal part
of them, and ends early when it has.

# Paced runs

With -paced, a fourth Caddy, with a store of its own, gets webhooks at a rate,
whether or not earlier ones are answered:

	paced_proxy   reverse_proxy, at 400 per second, to compare with
	paced_job     the whole job, durable, at 400 per second
	paced_accept  the same with respond_within 0, which is answered as soon as
	              it is on disk, at 1500 per second

Latencies count from the moment at which a webhook was to be sent, so that a
stall is felt by all that come in it, and include what the generator itself was
late by. If that is more than some tenths of a millisecond, the machine was not
idle.

# A fleet

With -fleet something else is measured: how many webhooks a second some Caddys
that share a PostgreSQL accept, that is, verify and have flushed by the database,
while the help desk is known to be down. It starts a PostgreSQL with that
program's own defaults, whose data lie in TMPDIR, and three Caddys.

	pgbench   PostgreSQL alone: pgbench inserts rows of 1 KiB, each of them
	          committed by itself, over as many connections
	fleet_1   one of the Caddys gets all webhooks
	fleet_2   two of them do, each over half of the connections
	fleet_3   all three do

The database, the Caddys and the benchmark share the machine: what a second
Caddy brings is what the machine has left.

# Flags

	-fleet               measure a fleet, instead of all else
	-rounds N            rounds to run (8); 0 for paced runs only
	-duration D          length of one measurement (2s)
	-connections N,...   numbers of connections (16,64)
	-scenarios NAME,...  scenarios to run in rounds (all)
	-paced D             length of each paced run (0, which is none)
	-binary FILE         a Caddy with the module, instead of building one
	-json FILE           write every single measurement to FILE
	-cpuprofile DIR      after the rounds run each scenario once more, uncounted,
	                     and write Caddy's CPU profiles to DIR
	-keys                also check that every ticket has an Idempotency-Key of
	                     its own; costs the help desk some memory and time

Caddy's data lies in a temporary directory. Set TMPDIR to have it on another
disk: what is durable costs what the disk takes to flush, and nothing on tmpfs.

# Result

For each scenario the table shows requests per second, the latencies that half
and 99 % of the answers kept within, Caddy's CPU time per request, and that of
the benchmark itself, which is the generator and the neighbours. CPU times are
measured on Linux only; that of down does not include the delivery afterwards.
Below it are the ratios, their spread over the rounds, and what is aimed at.
Then comes how long it took to deliver what had waited in down, and what was
measured and is aimed at in the paced runs.

The benchmark never fails because something is slow. It fails, without a
table, if any answer has another status or body than expected, or if what was
answered turns out not to be true in the end:

  - While the help desk of down is down, all that was accepted is pending, and
    the upstream is known to be down. Then that Caddy is killed. When it and
    the help desk, at the same address, run again, everything is delivered.
  - The help desks have exactly one ticket for each webhook that was accepted.
    They wait for missing ones until none has come for 30 s.
  - After a restart the admin API counts and lists each of them as delivered.
  - The last webhook of each connection of each measurement, sent again after
    the restart, gets the same answer as before or, if that was that a ticket
    follows, the ticket's number, which is the one in the history. None of them
    makes a second ticket.

With -fleet all Caddys and the database are killed while everything accepted
waits. After that it is delivered, each webhook once, every Caddy counts all of
it, and another one than before knows a webhook that comes again.

Deliveries in memory do not survive a restart: there the last webhooks of the
last measurement are sent again without one.
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
	paced       time.Duration // 0 for none
	connections []int
	scenarios   []scenario
	binary      string
	json        string
	profiles    string
	keys        bool
	fleet       bool
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
	b := &benchmark{options: opts, dir: dir, progress: stderr}
	results, err := b.run(ctx)
	logs := b.logs()
	if err = errors.Join(err, b.close()); err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		return fmt.Errorf("%w\n%s", err, logs)
	}
	if opts.json != "" {
		if err := writeJSON(opts.json, opts, machine, results); err != nil {
			return err
		}
	}
	return writeReport(stdout, opts, machine, results)
}

func parseFlags(args []string, stderr io.Writer) (*options, error) {
	var opts options
	flags := flag.NewFlagSet("benchmark", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&opts.rounds, "rounds", 8, "rounds to run, 0 for paced runs only")
	flags.DurationVar(&opts.duration, "duration", 2*time.Second, "length of one measurement")
	flags.DurationVar(&opts.paced, "paced", 0, "length of each paced run, 0 for none")
	connections := flags.String("connections", "16,64", "numbers of connections")
	names := flags.String("scenarios", strings.Join(scenarioNames(), ","), "scenarios to run")
	flags.StringVar(&opts.binary, "binary", "", "a Caddy with the module, instead of building one")
	flags.StringVar(&opts.json, "json", "", "write every single measurement to this file")
	flags.StringVar(&opts.profiles, "cpuprofile", "", "write Caddy's CPU profiles to this directory")
	flags.BoolVar(&opts.keys, "keys", false, "check that every ticket has an Idempotency-Key of its own")
	flags.BoolVar(&opts.fleet, "fleet", false, "measure Caddys that share a PostgreSQL, instead of all else")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: everything is set by flags, see -help", flags.Arg(0))
	}
	if opts.fleet && (opts.rounds == 0 || opts.paced != 0 || opts.profiles != "" || *names != strings.Join(scenarioNames(), ",")) {
		return nil, errors.New("-fleet measures a fleet only: leave out -paced, -cpuprofile and -scenarios, and take at least 1 round")
	}
	if opts.rounds < 0 || opts.rounds == 0 && (opts.paced == 0 || opts.profiles != "") {
		return nil, fmt.Errorf("-rounds %d: at least 1 is needed, or 0 with -paced and without -cpuprofile", opts.rounds)
	}
	if opts.paced != 0 && (opts.paced < 10*time.Millisecond || opts.paced > 10*time.Minute) {
		return nil, fmt.Errorf("-paced %s: choose from 10ms to 10m, or 0 for none", opts.paced)
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
