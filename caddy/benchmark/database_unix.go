//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
)

// A database is a PostgreSQL with its own defaults, started for one run.
type database struct {
	server *pgtest.Server
	dsn    string
	script string // of pgbench
}

// pgbench's table has what a queue cannot do without: a key, a time, and a
// webhook of 1 KiB.
const (
	benchTable  = "CREATE TABLE pgbench_webhooks (id uuid PRIMARY KEY, received timestamptz NOT NULL, body bytea NOT NULL)"
	benchInsert = "INSERT INTO pgbench_webhooks VALUES (gen_random_uuid(), now(), decode(repeat('4b', 1024), 'hex'));\n"
)

func openDatabase(dir string, connections int) (*database, error) {
	server, err := pgtest.New(pgtest.Options{Settings: []string{
		fmt.Sprintf("max_connections = %d", connections+50), "shared_buffers = 128MB", "max_wal_size = 1GB",
	}})
	if err != nil {
		return nil, err
	}
	d := &database{server: server, dsn: server.DSN(), script: filepath.Join(dir, "pgbench.sql")}
	err = pgtest.Do(d.dsn, benchTable)
	if err == nil {
		err = os.WriteFile(d.script, []byte(benchInsert), 0o600)
	}
	if err != nil {
		_ = d.close()
		return nil, err
	}
	return d, nil
}

func (d *database) close() error { return d.server.Close() }

// crash ends it at once, and starts it again.
func (d *database) crash() error {
	if err := d.server.Stop(true); err != nil {
		return err
	}
	return d.server.Start()
}

var (
	pgbenchRate    = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)
	pgbenchLatency = regexp.MustCompile(`(?m)^latency average = ([0-9.]+) ms`)
)

// bench has pgbench insert rows, each committed by itself, for a while, in full
// seconds. The latency is the mean.
func (d *database) bench(ctx context.Context, connections int, duration time.Duration) (perSecond, latency float64, err error) {
	program, err := pgtest.Program("pgbench")
	if err != nil {
		return 0, 0, err
	}
	seconds := max(1, int(duration.Round(time.Second).Seconds()))
	cmd := exec.CommandContext(ctx, program, "-n", "-M", "prepared", "-c", strconv.Itoa(connections),
		"-j", strconv.Itoa(min(connections, runtime.NumCPU())), "-T", strconv.Itoa(seconds), "-f", d.script, d.dsn)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("pgbench: %w\n%s", err, output)
	}
	for value, pattern := range map[*float64]*regexp.Regexp{&perSecond: pgbenchRate, &latency: pgbenchLatency} {
		found := pattern.FindSubmatch(output)
		if found == nil {
			return 0, 0, fmt.Errorf("pgbench says nothing that matches %s:\n%s", pattern, output)
		}
		if *value, err = strconv.ParseFloat(string(found[1]), 64); err != nil {
			return 0, 0, err
		}
	}
	return perSecond, latency, nil
}
