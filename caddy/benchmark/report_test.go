package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	testMachine = machine{
		Caddy: "v2.11.9", Module: "(devel)", CaddyGo: "go1.26.8", Go: "go1.26.8",
		OS: "linux", Arch: "amd64", CPU: "Some CPU", Cores: 2, Flush: 0.17,
	}
	testWindows = []window{
		{Round: 1, Connections: 16, Scenario: "reverse_proxy", PerSecond: 10000, P50: 1.25, P99: 5, CaddyCPU: 120, OwnCPU: 60},
		{Round: 1, Connections: 16, Scenario: "whole_job", PerSecond: 4000, P50: 2.5, P99: 10, CaddyCPU: 240, OwnCPU: 100},
		{Round: 2, Connections: 16, Scenario: "reverse_proxy", PerSecond: 8000, P50: 1.75, P99: 7, CaddyCPU: 122, OwnCPU: 62},
		{Round: 2, Connections: 16, Scenario: "whole_job", PerSecond: 4000, P50: 2.5, P99: 10, CaddyCPU: 240, OwnCPU: 100},
	}
)

func testOptions(t *testing.T) *options {
	opts, err := parseFlags([]string{"-rounds", "2", "-connections", "16", "-scenarios", "reverse_proxy,whole_job"}, os.Stderr)
	require.NoError(t, err)
	return opts
}

func TestWriteReport(t *testing.T) {
	var report strings.Builder
	require.NoError(t, writeReport(&report, testOptions(t), testMachine, results{windows: testWindows}))
	require.Equal(t, `
Caddy v2.11.9, caddy-kindly (devel), built with go1.26.8; benchmark built with go1.26.8
Some CPU, 2 cores, linux/amd64; a flush of the disk takes 0.17 ms
every accepted webhook was delivered once; what is durable was known after a restart

medians; rounds: 2, of 2s each
CAUTION: too few rounds to judge on, take 8

       scenario  connections  requests/s  p50 ms  p99 ms  Caddy CPU µs  own CPU µs
  reverse_proxy           16        9000    1.50    6.00         121.0        61.0
      whole_job           16        4000    2.50   10.00         240.0       100.0

                                  ratio  connections  median    min–max      target
  whole_job / reverse_proxy, requests/s           16    0.45  0.40–0.50  ≥ 0.36 met
`, "\n"+report.String())
}

func TestWriteReportOfOutageAndPacedRuns(t *testing.T) {
	opts, err := parseFlags([]string{"-rounds", "0", "-paced", "10s"}, os.Stderr)
	require.NoError(t, err)
	var report strings.Builder
	require.NoError(t, writeReport(&report, opts, testMachine, results{
		drain: &drain{Webhooks: 120000, Seconds: 30},
		paced: []pacedRun{
			{Name: "paced_proxy", PerSecond: 400, Requests: 4000, Late: 0.15, P50: 0.5, P99: 1, Max: 2, CaddyCPU: 100},
			{Name: "paced_accept", PerSecond: 1500, Requests: 15000, Late: 0.25, P50: 1, P99: 10, Max: 20, DeliveredAfter: 2.5},
		},
	}))
	require.Equal(t, `
Caddy v2.11.9, caddy-kindly (devel), built with go1.26.8; benchmark built with go1.26.8
Some CPU, 2 cores, linux/amd64; a flush of the disk takes 0.17 ms
every accepted webhook was delivered once; what is durable was known after a restart

down: the 120000 webhooks that waited were all delivered 30.0 s after Caddy and the help desk were started again (4000/s)

paced for 10s each; latencies from the moment at which each webhook was to be sent
CAUTION: too short to judge on, take 30s

         paced  per s  requests  sent late p99 ms  p50 ms  p99 ms  max ms  delivered after s  Caddy CPU µs
   paced_proxy    400      4000              0.15    0.50    1.00    2.00               0.00         100.0
  paced_accept   1500     15000              0.25    1.00   10.00   20.00               2.50             –

                            paced  measured         target
             paced_accept, p99 ms     10.00    ≤ 10.00 met
  paced_accept, delivered after s      2.50  ≤ 2.00 missed
`, "\n"+report.String())
}

func TestWriteReportWithoutCPU(t *testing.T) {
	opts, err := parseFlags([]string{"-connections", "16", "-scenarios", "respond,rejected"}, os.Stderr)
	require.NoError(t, err)
	windows := []window{
		{Round: 1, Connections: 16, Scenario: "respond", PerSecond: 1},
		{Round: 1, Connections: 16, Scenario: "rejected", PerSecond: 1},
	}
	var report strings.Builder
	require.NoError(t, writeReport(&report, opts, testMachine, results{windows: windows}))
	require.Contains(t, report.String(), "–           –")
	require.NotContains(t, report.String(), "ratio")
	require.NotContains(t, report.String(), "CAUTION")
}

func TestWriteReportOfDataInMemory(t *testing.T) {
	m := testMachine
	m.InMemory = true
	var report strings.Builder
	require.NoError(t, writeReport(&report, testOptions(t), m, results{windows: testWindows}))
	require.Contains(t, report.String(), "set TMPDIR")
}

func TestVerdict(t *testing.T) {
	least := comparison{targets: map[int]float64{16: 0.45}}
	most := comparison{targets: map[int]float64{16: 1.3}, atMost: true}
	require.Equal(t, "≥ 0.45 met", least.verdict(16, 0.45))
	require.Equal(t, "≥ 0.45 missed", least.verdict(16, 0.44))
	require.Equal(t, "≤ 1.30 met", most.verdict(16, 1.3))
	require.Equal(t, "≤ 1.30 missed", most.verdict(16, 1.31))
	require.Equal(t, "–", most.verdict(32, 1))
}

func TestWriteJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rounds.json")
	opts := &options{duration: 500 * time.Millisecond, paced: 10 * time.Second}
	want := results{
		windows: testWindows,
		drain:   &drain{Webhooks: 10, Seconds: 2},
		paced:   []pacedRun{{Name: "paced_job", PerSecond: 400, P50: 1.5, DeliveredAfter: 0.1}},
	}
	require.NoError(t, writeJSON(file, opts, testMachine, want))
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var got struct {
		Machine  machine    `json:"machine"`
		Duration float64    `json:"duration_s"`
		Windows  []window   `json:"windows"`
		Drain    *drain     `json:"drain"`
		Length   float64    `json:"paced_s"`
		Paced    []pacedRun `json:"paced"`
	}
	require.NoError(t, json.Unmarshal(data, &got))
	require.Equal(t, testMachine, got.Machine)
	require.InDelta(t, 0.5, got.Duration, 0)
	require.InDelta(t, 10, got.Length, 0)
	require.Equal(t, want, results{got.Windows, got.Drain, got.Paced})
}
