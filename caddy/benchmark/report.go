package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// What a judgement needs.
const (
	enoughRounds = 8
	enoughPaced  = 30 * time.Second
)

// writeReport prints the medians and the ratios, the end of the outage, and
// the paced runs.
func writeReport(w io.Writer, opts *options, m machine, r results) error {
	fmt.Fprintf(w, "Caddy %s, caddy-kindly %s, built with %s; benchmark built with %s\n", m.Caddy, m.Module, m.CaddyGo, m.Go)
	fmt.Fprintf(w, "%s, %d cores, %s/%s; a flush of the disk takes %.2f ms\n", m.CPU, m.Cores, m.OS, m.Arch, m.Flush)
	fmt.Fprintln(w, "every accepted webhook was delivered once; what is durable was known after a restart")
	if m.InMemory {
		fmt.Fprintln(w, "CAUTION: Caddy's data was in memory, so nothing was durable; set TMPDIR to a directory on a disk")
	}
	if len(r.windows) > 0 {
		fmt.Fprintf(w, "\nmedians; rounds: %d, of %s each\n", opts.rounds, opts.duration)
		if opts.rounds < enoughRounds {
			fmt.Fprintf(w, "CAUTION: too few rounds to judge on, take %d\n", enoughRounds)
		}
		if err := writeWindows(w, opts, r.windows); err != nil {
			return err
		}
	}
	if d := r.drain; d != nil {
		fmt.Fprintf(w, "\ndown: the %d webhooks that waited were all delivered %.1f s after Caddy and the help desk were started again (%.0f/s)\n",
			d.Webhooks, d.Seconds, float64(d.Webhooks)/d.Seconds)
	}
	if len(r.paced) > 0 {
		fmt.Fprintf(w, "\npaced for %s each; latencies from the moment at which each webhook was to be sent\n", opts.paced)
		if opts.paced < enoughPaced {
			fmt.Fprintf(w, "CAUTION: too short to judge on, take %s\n", enoughPaced)
		}
		return errors.Join(writePaced(w, r.paced), writeGoals(w, r.paced))
	}
	return nil
}

func writeWindows(w io.Writer, opts *options, windows []window) error {
	if opts.fleet {
		return writeFleet(w, opts, windows)
	}
	return errors.Join(writeMedians(w, opts, windows), writeRatios(w, opts, windows))
}

func newTable(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
}

func writeMedians(w io.Writer, opts *options, windows []window) error {
	table := newTable(w)
	fmt.Fprintln(table, "\nscenario\tconnections\trequests/s\tp50 ms\tp99 ms\tCaddy CPU µs\town CPU µs\t")
	for _, connections := range opts.connections {
		for _, s := range opts.scenarios {
			column := func(value func(window) float64) float64 {
				return median(valuesOf(windows, s.name, connections, value))
			}
			fmt.Fprintf(table, "%s\t%d\t%.0f\t%.2f\t%.2f\t%s\t%s\t\n", s.name, connections,
				column(perSecond),
				column(func(w window) float64 { return w.P50 }),
				column(func(w window) float64 { return w.P99 }),
				orDash("%.1f", column(func(w window) float64 { return w.CaddyCPU })),
				orDash("%.1f", column(func(w window) float64 { return w.OwnCPU })))
		}
	}
	return table.Flush()
}

func writeRatios(w io.Writer, opts *options, windows []window) error {
	table := newTable(w)
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

func writePaced(w io.Writer, runs []pacedRun) error {
	table := newTable(w)
	fmt.Fprintln(table, "\npaced\tper s\trequests\tsent late p99 ms\tp50 ms\tp99 ms\tmax ms\tdelivered after s\tCaddy CPU µs\t")
	for _, r := range runs {
		fmt.Fprintf(table, "%s\t%d\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%s\t\n", r.Name, r.PerSecond, r.Requests,
			r.Late, r.P50, r.P99, r.Max, r.DeliveredAfter, orDash("%.1f", r.CaddyCPU))
	}
	return table.Flush()
}

func writeGoals(w io.Writer, runs []pacedRun) error {
	table := newTable(w)
	fmt.Fprintln(table, "\npaced\tmeasured\ttarget\t")
	for _, p := range paces {
		for _, r := range runs {
			if r.Name != p.name {
				continue
			}
			for _, g := range p.goals {
				fmt.Fprintf(table, "%s, %s\t%.2f\t%s\t\n", p.name, g.what, g.value(r), verdict("≤", g.most, g.value(r) <= g.most))
			}
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
	if c.atMost {
		return verdict("≤", target, ratio <= target)
	}
	return verdict("≥", target, ratio >= target)
}

func verdict(sign string, target float64, met bool) string {
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
func writeJSON(file string, opts *options, m machine, r results) error {
	data, err := json.MarshalIndent(struct {
		Machine  machine    `json:"machine"`
		Duration float64    `json:"duration_s"`
		Windows  []window   `json:"windows"`
		Drain    *drain     `json:"drain,omitempty"`
		Length   float64    `json:"paced_s,omitempty"`
		Paced    []pacedRun `json:"paced,omitempty"`
	}{m, opts.duration.Seconds(), r.windows, r.drain, opts.paced.Seconds(), r.paced}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}
