package main

import (
	"math"
	"slices"
)

// quantile returns the smallest of the ascending values that at least the
// given share of all of them does not exceed. There must be one value.
func quantile[T any](ascending []T, share float64) T {
	rank := int(math.Ceil(share * float64(len(ascending))))
	return ascending[min(max(rank, 1), len(ascending))-1]
}

// median returns the middle of values, or what lies halfway between the two in
// the middle. There must be one value.
func median(values []float64) float64 {
	ascending := slices.Sorted(slices.Values(values))
	middle := len(ascending) / 2
	if len(ascending)%2 == 1 {
		return ascending[middle]
	}
	return (ascending[middle-1] + ascending[middle]) / 2
}

// ratios returns a comparison's ratio in every round that has both of its
// scenarios at this number of connections.
func (c *comparison) ratios(windows []window, connections int) []float64 {
	type pair struct{ of, to float64 }
	rounds := make(map[int]pair)
	for _, w := range windows {
		if w.Connections != connections {
			continue
		}
		p := rounds[w.Round]
		switch w.Scenario {
		case c.of:
			p.of = c.value(w)
		case c.to:
			p.to = c.value(w)
		}
		rounds[w.Round] = p
	}
	var ratios []float64
	for _, p := range rounds {
		if p.of > 0 && p.to > 0 {
			ratios = append(ratios, p.of/p.to)
		}
	}
	return ratios
}
