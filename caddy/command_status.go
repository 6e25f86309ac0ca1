package kindly

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func statusCommand() *cobra.Command {
	return adminFlags(&cobra.Command{
		Use:   "status [--address <address>] [--json]",
		Short: "Shows upstreams, and how many deliveries there are",
		Long: `
Asks a running Caddy, by its admin API, for the state of each upstream and how
many deliveries it has:

  healthy         it takes tickets
  open            it seems to be down: a probe now and then finds out whether it
                  is back
  paused          it refuses our requests, because of the configuration: a probe
                  now and then finds out whether that was mended
  paused by hand  until it is resumed by hand
  gone            no configuration names it: its deliveries wait

Times are in UTC.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := newAdminClient(cmd)
			if err != nil {
				return err
			}
			var document statusDocument
			answer, err := client.call(http.MethodGet, "status", nil, &document)
			if err != nil {
				return err
			}
			if client.json {
				_, err = client.out.Write(answer)
				return err
			}
			return document.print(client.out)
		},
	})
}

func (s *statusDocument) print(out io.Writer) error {
	t := newTable(out)
	t.line("NAME", "UPSTREAM", "CONDITION", "SINCE", "NEXT PROBE", "PENDING", "OLDEST", "DELIVERED", "DEAD", "LAST ERROR")
	for _, u := range s.Upstreams {
		condition := strings.ReplaceAll(string(u.Condition), "_", " ")
		if !u.Configured {
			condition = "gone"
		}
		probe, lastError := stamp(u.NextProbeAt), ""
		if !u.HeldUntil.IsZero() {
			probe = stamp(u.HeldUntil)
		}
		if u.LastError != nil {
			lastError = short(u.LastError.Error) + " at " + stamp(u.LastError.Time)
		}
		pending, delivered, dead := u.Deliveries.cells()
		t.line(u.Name, u.Upstream, condition, stamp(u.Since), probe, pending, stamp(u.OldestPendingAt), delivered, dead, lastError)
	}
	pending, delivered, dead := s.Deliveries.cells()
	t.line("all", "", "", "", "", pending, stamp(s.OldestPendingAt), delivered, dead, "")
	if err := t.Flush(); err != nil {
		return err
	}
	if s.Deliveries == nil {
		fmt.Fprintln(out, "\nThe store is not ready: deliveries are not counted, and webhooks wait for it.")
	}
	if err := s.printLosses(out); err != nil {
		return err
	}
	return s.printStore(out)
}

// cells returns the counts for a table, empty if they are not known.
func (c *countsDocument) cells() (pending, delivered, dead string) {
	if c == nil {
		return "", "", ""
	}
	return strconv.Itoa(c.Pending), strconv.Itoa(c.Delivered), strconv.Itoa(c.Dead)
}

// printLosses writes why accepted webhooks are no tickets of their own.
func (s *statusDocument) printLosses(out io.Writer) error {
	if len(s.Losses) == 0 {
		return nil
	}
	fmt.Fprintln(out, "\nWithout a ticket of its own, since Caddy started:")
	t := newTable(out)
	for _, why := range slices.Sorted(maps.Keys(s.Losses)) {
		t.line(strings.ReplaceAll(string(why), "_", " "), strconv.Itoa(s.Losses[why]))
	}
	return t.Flush()
}

// printStore writes what the store tells of itself, whatever that is.
func (s *statusDocument) printStore(out io.Writer) error {
	fields, ok := s.Store.(map[string]any)
	if !ok {
		return nil
	}
	fmt.Fprintln(out)
	t := newTable(out)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value, isText := fields[name].(string)
		if !isText {
			encoded, err := json.Marshal(fields[name])
			if err != nil {
				return err
			}
			value = string(encoded)
		}
		t.line("store "+strings.ReplaceAll(name, "_", " "), value)
	}
	return t.Flush()
}
