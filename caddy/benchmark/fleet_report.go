package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// writeFleet prints the medians of a fleet and of PostgreSQL alone, and their
// ratios within a round.
func writeFleet(w io.Writer, opts *options, windows []window) error {
	return errors.Join(writeFleetMedians(w, opts, windows), writeFleetRatios(w, opts, windows))
}

func writeFleetMedians(w io.Writer, opts *options, windows []window) error {
	table := newTable(w)
	fmt.Fprintln(table, "\nscenario\tconnections\tdurable/s\tp50 ms\tp99 ms\tCaddy CPU µs\town CPU µs\t")
	for _, connections := range opts.connections {
		for _, name := range fleetScenarios() {
			column := func(value func(window) float64) float64 {
				return median(valuesOf(windows, name, connections, value))
			}
			fmt.Fprintf(table, "%s\t%d\t%.0f\t%.2f\t%s\t%s\t%s\t\n", name, connections,
				column(perSecond),
				column(func(w window) float64 { return w.P50 }),
				orDash("%.2f", column(func(w window) float64 { return w.P99 })),
				orDash("%.1f", column(func(w window) float64 { return w.CaddyCPU })),
				orDash("%.1f", column(func(w window) float64 { return w.OwnCPU })))
		}
	}
	return table.Flush()
}

func writeFleetRatios(w io.Writer, opts *options, windows []window) error {
	table := newTable(w)
	fmt.Fprintln(table, "\nratio of durable/s\tconnections\tmedian\tmin–max\t")
	for _, connections := range opts.connections {
		for _, c := range fleetComparisons() {
			ratios := c.ratios(windows, connections)
			fmt.Fprintf(table, "%s / %s\t%d\t%.2f\t%.2f–%.2f\t\n", c.of, c.to, connections, median(ratios), slices.Min(ratios), slices.Max(ratios))
		}
	}
	return table.Flush()
}

// fleetComparisons compare each size of the fleet with PostgreSQL alone, and
// with one Caddy.
func fleetComparisons() (all []comparison) {
	for n := range members {
		all = append(all, comparison{of: fleetOf(n + 1), to: pgbench, value: perSecond})
	}
	for n := 1; n < members; n++ {
		all = append(all, comparison{of: fleetOf(n + 1), to: fleetOf(1), value: perSecond})
	}
	return all
}
