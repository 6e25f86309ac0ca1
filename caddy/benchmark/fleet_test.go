//go:build unix

package main

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRunFleet measures a fleet once, in very little time, and gets it proven.
func TestRunFleet(t *testing.T) {
	var report, progress strings.Builder
	args := strings.Fields("-fleet -rounds 1 -duration 100ms -connections 4 -keys")
	require.NoError(t, run(t.Context(), args, &report, &progress), progress.String())
	for _, name := range fleetScenarios() {
		require.Regexp(t, `(?m)^ *`+name+` +4 +[1-9]\d* `, report.String())
	}
	for _, c := range fleetComparisons() {
		require.Contains(t, report.String(), c.of+" / "+c.to)
	}
	require.Contains(t, report.String(), "webhooks that waited were all delivered")
}

func TestWriteFleet(t *testing.T) {
	opts, err := parseFlags([]string{"-fleet", "-connections", "16"}, io.Discard)
	require.NoError(t, err)
	var report strings.Builder
	require.NoError(t, writeFleet(&report, opts, []window{
		{Round: 1, Connections: 16, Scenario: pgbench, PerSecond: 4000, P50: 4},
		{Round: 1, Connections: 16, Scenario: "fleet_1", PerSecond: 5000, P50: 3.5, P99: 10, CaddyCPU: 100, OwnCPU: 20},
		{Round: 1, Connections: 16, Scenario: "fleet_2", PerSecond: 6000, P50: 3, P99: 9, CaddyCPU: 110, OwnCPU: 20},
		{Round: 1, Connections: 16, Scenario: "fleet_3", PerSecond: 5500, P50: 3.2, P99: 9, CaddyCPU: 120, OwnCPU: 20},
	}))
	require.Equal(t, `
  scenario  connections  durable/s  p50 ms  p99 ms  Caddy CPU µs  own CPU µs
   pgbench           16       4000    4.00       –             –           –
   fleet_1           16       5000    3.50   10.00         100.0        20.0
   fleet_2           16       6000    3.00    9.00         110.0        20.0
   fleet_3           16       5500    3.20    9.00         120.0        20.0

  ratio of durable/s  connections  median    min–max
   fleet_1 / pgbench           16    1.25  1.25–1.25
   fleet_2 / pgbench           16    1.50  1.50–1.50
   fleet_3 / pgbench           16    1.38  1.38–1.38
   fleet_2 / fleet_1           16    1.20  1.20–1.20
   fleet_3 / fleet_1           16    1.10  1.10–1.10
`, report.String())
}
