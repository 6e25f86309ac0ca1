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

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func statusCommand() *cobra.Command {
	return adminFlags(&cobra.Command{
		Use:   "status [--address <address>] [--json]",
		Short: "Shows upstreams, and how many deliveries there are",
		Long: `
Asks a running Caddy, by its admin API, for the state of each upstream and how
many deliveries it has:

  healthy         it takes tickets
  held            it asked to be left alone for a while (Retry-After)
  open            it seems to be down: a probe now and then finds out whether it
                  is back
  paused          it refuses our requests, because of the configuration: a probe
                  now and then finds out whether that was mended
  paused by hand  until it is resumed by hand
  gone            no configuration names it: its deliveries wait

What is without a ticket of its own is counted when that comes about, and stays
counted: a dead letter that was retried, or what was left behind in a store that
is configured again, may have its ticket by now.

Of its file, "store bolt" tells the size, how much of it is free, the same of the
disk that it is on, how many webhooks are recognised as duplicates by memory
(duplicate keys), and how many results of attempts are not on the disk yet
(unsaved). With encryption_key, it tells the ids of the keys in their order, which
one encrypts, and which are needed: one that is not can be left out. That is
looked for once in a minute, by "store postgres" every ten seconds; one that is
missing there was given to another Caddy only, which what it encrypts waits for.

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
	t.line("NAME", "UPSTREAM", "CONDITION", "DELIVERED", "DEAD", "PENDING", "OLDEST PENDING")
	for _, u := range s.Upstreams {
		pending, delivered, dead := u.Deliveries.cells()
		t.line(u.Name, u.Upstream, u.shown(), delivered, dead, pending, stamp(u.OldestPendingAt))
	}
	pending, delivered, dead := s.Deliveries.cells()
	t.line("all", "", "", delivered, dead, pending, stamp(s.OldestPendingAt))
	if err := t.Flush(); err != nil {
		return err
	}
	for _, u := range s.Upstreams {
		if err := u.printTrouble(out); err != nil {
			return err
		}
	}
	if s.Deliveries == nil {
		fmt.Fprintln(out, "\nThe store is not ready: deliveries are not counted, and webhooks wait for it.")
	}
	if err := s.printLosses(out); err != nil {
		return err
	}
	return s.printStore(out)
}

// shown returns the condition in a word or two.
func (u *upstreamDocument) shown() string {
	switch {
	case !u.Configured:
		return "gone"
	case u.Condition == text(delivery.Healthy.String()) && !u.HeldUntil.IsZero():
		return "held"
	default:
		return strings.ReplaceAll(string(u.Condition), "_", " ")
	}
}

// printTrouble writes since when an upstream takes no tickets, when it is asked
// again, and the latest error, whole: its end says what to do.
func (u *upstreamDocument) printTrouble(out io.Writer) error {
	var facts [][2]string
	healthy := u.Condition == text(delivery.Healthy.String())
	if u.Configured && !healthy {
		facts = append(facts, [2]string{u.shown() + " since", stamp(u.Since)})
	}
	if !u.HeldUntil.IsZero() {
		facts = append(facts, [2]string{"held until", stamp(u.HeldUntil)})
	}
	if u.Configured && !u.NextProbeAt.IsZero() {
		facts = append(facts, [2]string{"next probe", stamp(u.NextProbeAt)})
	}
	if u.LastError != nil {
		facts = append(facts, [2]string{"last error", stamp(u.LastError.Time) + "  " + u.LastError.Error})
	}
	if len(facts) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\n%s, %s:\n", printed(u.Name), printed(u.Upstream))
	t := newTable(out)
	for _, fact := range facts {
		t.line(fact[:]...)
	}
	return t.Flush()
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
		values := []any{fields[name]}
		if list, isList := fields[name].([]any); isList {
			values = list
		}
		for _, value := range values {
			words, err := inWords(value)
			if err != nil {
				return err
			}
			t.line("store "+strings.ReplaceAll(name, "_", " "), words)
		}
	}
	return t.Flush()
}

// inWords returns a value as one line: of an object its texts, then its numbers
// with their names, and the names of what is true of it.
func inWords(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case map[string]any:
		var texts, others []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			words, err := inWords(v[name])
			if err != nil {
				return "", err
			}
			label := strings.ReplaceAll(name, "_", " ")
			switch value := v[name].(type) {
			case string:
				texts = append(texts, words)
			case bool:
				if value {
					others = append(others, label)
				}
			default:
				others = append(others, label+" "+words)
			}
		}
		return strings.Join(append(texts, others...), ", "), nil
	default:
		encoded, err := json.Marshal(v)
		return string(encoded), err
	}
}
