package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
)

// enoughRounds is how many rounds a judgement needs.
const enoughRounds = 8

// writeReport prints the medians and the ratios.
func writeReport(w io.Writer, opts *options, m machine, windows []window) error {
	fmt.Fprintf(w, "Caddy %s, caddy-kindly %s, built with %s; benchmark built with %s\n", m.Caddy, m.Module, m.CaddyGo, m.Go)
	fmt.Fprintf(w, "%s, %d cores, %s/%s\n", m.CPU, m.Cores, m.OS, m.Arch)
	fmt.Fprintf(w, "medians; rounds: %d, of %s each; every accepted webhook is delivered\n", opts.rounds, opts.duration)
	if opts.rounds < enoughRounds {
		fmt.Fprintf(w, "CAUTION: too few rounds to judge on, take %d\n", enoughRounds)
	}
	if m.InMemory {
		fmt.Fprintln(w, "CAUTION: Caddy's data was in memory, so nothing was durable; set TMPDIR to a directory on a disk")
	}

	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "scenario\tconnections\trequests/s\tp50 ms\tp99 ms\tCaddy CPU µs\town CPU µs\t")
	for _, connections := range opts.connections {
		for _, s := range opts.scenarios {
			column := func(value func(window) float64) float64 {
				return median(valuesOf(windows, s.name, connections, value))
			}
			fmt.Fprintf(table, "%s\t%d\t%.0f\t%.2f\t%.2f\t%s\t%s\t\n", s.name, connections,
				column(func(w window) float64 { return w.PerSecond }),
				column(func(w window) float64 { return w.P50 }),
				column(func(w window) float64 { return w.P99 }),
				orDash("%.1f", column(func(w window) float64 { return w.CaddyCPU })),
				orDash("%.1f", column(func(w window) float64 { return w.OwnCPU })))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}

	table = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	heading := "\nratio\tconnections\tmedian\tmin–max\ttarget\t\n"
	for _, c := range comparisons {
		for _, connections := range opts.connections {
			ratios := c.ratios(windows, connections)
			if len(ratios) == 0 {
				continue
			}
			fmt.Fprint(table, heading)
			heading = ""
			fmt.Fprintf(table, "%s / %s, %s\t%d\t%.2f\t%.2f–%.2f\t%s\t\n", c.of, c.to, c.metric, connections,
				median(ratios), slices.Min(ratios), slices.Max(ratios), c.verdict(connections, median(ratios)))
		}
	}
	return table.Flush()
}

// verdict returns a comparison's target and whether a ratio meets it.
func (c *comparison) verdict(connections int, ratio float64) string {
	target, ok := c.targets[connections]
	if !ok {
		return "–"
	}
	sign, met := "≥", ratio >= target
	if c.atMost {
		sign, met = "≤", ratio <= target
	}
	if met {
		return fmt.Sprintf("%s %.2f met", sign, target)
	}
	return fmt.Sprintf("%s %.2f missed", sign, target)
}

// valuesOf returns one value of each measurement of a scenario at a number of
// connections.
func valuesOf(windows []window, scenario string, connections int, value func(window) float64) []float64 {
	var values []float64
	for _, w := range windows {
		if w.Scenario == scenario && w.Connections == connections {
			values = append(values, value(w))
		}
	}
	return values
}

// orDash formats a number, and what was not measured as a dash.
func orDash(format string, value float64) string {
	if value == 0 {
		return "–"
	}
	return fmt.Sprintf(format, value)
}

// writeJSON writes every measurement to file.
func writeJSON(file string, opts *options, m machine, windows []window) error {
	data, err := json.MarshalIndent(struct {
		Machine  machine  `json:"machine"`
		Duration float64  `json:"duration_s"`
		Windows  []window `json:"windows"`
	}{m, opts.duration.Seconds(), windows}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}
