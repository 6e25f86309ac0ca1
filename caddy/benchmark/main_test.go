package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseFlags(t *testing.T) {
	opts, err := parseFlags(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, 8, opts.rounds)
	require.Equal(t, 2*time.Second, opts.duration)
	require.Equal(t, []int{16, 64}, opts.connections)
	require.Len(t, opts.scenarios, len(scenarios))

	require.Zero(t, opts.paced)

	opts, err = parseFlags([]string{"-rounds", "0", "-paced", "30s"}, io.Discard)
	require.NoError(t, err)
	require.Zero(t, opts.rounds)
	require.Equal(t, 30*time.Second, opts.paced)

	opts, err = parseFlags([]string{"-connections", "1, 2", "-scenarios", "respond", "-keys"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, opts.connections)
	require.Len(t, opts.scenarios, 1)
	require.True(t, opts.keys)

	for args, want := range map[string]string{
		"-rounds 0":                         "at least 1",
		"-rounds -1 -paced 1s":              "at least 1",
		"-rounds 0 -paced 1s -cpuprofile .": "at least 1",
		"-paced 1ms":                        "choose from",
		"-paced 1h":                         "choose from",
		"-duration 1h":                      "choose from",
		"-duration 1ms":                     "choose from",
		"-connections 0":                    "separated by commas",
		"-connections 16;64":                "separated by commas",
		"-connections 1,,2":                 "separated by commas",
		"-scenarios respond,all":            "choose from respond",
		"respond":                           "unexpected argument",
		"-other":                            "not defined",
		"-fleet -paced 1s":                  "-fleet measures a fleet only",
		"-fleet -rounds 0":                  "-fleet measures a fleet only",
		"-fleet -scenarios respond":         "-fleet measures a fleet only",
		"-fleet -cpuprofile .":              "-fleet measures a fleet only",
	} {
		_, err := parseFlags(strings.Fields(args), io.Discard)
		require.ErrorContains(t, err, want, args)
	}
}

// TestRun measures everything once, in very little time, and gets it proven.
func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.json")
	var report, progress strings.Builder
	args := strings.Fields("-rounds 1 -duration 100ms -connections 2 -paced 100ms -keys -json")
	require.NoError(t, run(t.Context(), append(args, file), &report, &progress), progress.String())
	for _, c := range comparisons {
		require.Contains(t, report.String(), c.of+" / "+c.to)
	}
	for _, p := range paces {
		require.Contains(t, report.String(), p.name)
	}
	require.Contains(t, report.String(), "webhooks that waited were all delivered")

	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var results struct {
		Windows []window
		Drain   drain
		Paced   []pacedRun
	}
	require.NoError(t, json.Unmarshal(data, &results))
	require.Len(t, results.Windows, len(scenarios))
	require.Positive(t, results.Drain.Webhooks)
	require.Len(t, results.Paced, len(paces))
}
