package main

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQuantile(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for _, test := range []struct {
		name   string
		values []int
		share  float64
		want   int
	}{
		{"single", []int{7}, 0.99, 7},
		{"lower of two", []int{1, 2}, 0.5, 1},
		{"upper of two", []int{1, 2}, 0.51, 2},
		{"middle of three", []int{1, 2, 3}, 0.5, 2},
		{"p50 of a hundred", hundred, 0.50, 50},
		{"p99 of a hundred", hundred, 0.99, 99},
		{"all of them", hundred, 1, 100},
		{"none of them", hundred, 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, quantile(test.values, test.share))
		})
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		name   string
		values []float64
		want   float64
	}{
		{"single", []float64{3}, 3},
		{"odd", []float64{9, 1, 5}, 5},
		{"even", []float64{9, 1, 5, 6}, 5.5},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := slices.Clone(test.values)
			require.InDelta(t, test.want, median(test.values), 0)
			require.Equal(t, before, test.values, "the values are not reordered")
		})
	}
}

func TestRatiosArePairedByRound(t *testing.T) {
	windows := []window{
		{Round: 1, Connections: 16, Scenario: "a", PerSecond: 50},
		{Round: 1, Connections: 16, Scenario: "b", PerSecond: 100},
		{Round: 2, Connections: 16, Scenario: "b", PerSecond: 10}, // a slow round for both
		{Round: 2, Connections: 16, Scenario: "a", PerSecond: 6},
		{Round: 3, Connections: 16, Scenario: "a", PerSecond: 77}, // without a partner
		{Round: 1, Connections: 64, Scenario: "a", PerSecond: 90},
		{Round: 1, Connections: 64, Scenario: "b", PerSecond: 100},
		{Round: 1, Connections: 64, Scenario: "c", PerSecond: 1},
	}
	rand.Shuffle(len(windows), func(i, j int) { windows[i], windows[j] = windows[j], windows[i] })
	c := comparison{of: "a", to: "b", value: func(w window) float64 { return w.PerSecond }}
	require.ElementsMatch(t, []float64{0.5, 0.6}, c.ratios(windows, 16))
	require.Equal(t, []float64{0.9}, c.ratios(windows, 64))
	require.Empty(t, c.ratios(windows, 1))
}

func TestRatiosWithoutMeasurement(t *testing.T) {
	// CPU times are 0 where they cannot be measured.
	windows := []window{{Round: 1, Connections: 16, Scenario: "a"}, {Round: 1, Connections: 16, Scenario: "b"}}
	c := comparison{of: "a", to: "b", value: func(w window) float64 { return w.CaddyCPU }}
	require.Empty(t, c.ratios(windows, 16))
}
