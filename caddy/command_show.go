package kindly

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

func showCommand() *cobra.Command {
	return adminFlags(&cobra.Command{
		Use:   "show <id> [--address <address>] [--json]",
		Short: "Shows a delivery with its attempts",
		Long: `
Shows one delivery with its latest attempts and, unless it is delivered, the
ticket document from which the next attempt makes its request. That has what the
people in the chat wrote.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			client, err := newAdminClient(cmd)
			if err != nil {
				return err
			}
			var document detailsDocument
			answer, err := client.call(http.MethodGet, "deliveries/"+id.String(), nil, &document)
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

func (d *detailsDocument) print(out io.Writer) error {
	t := newTable(out)
	t.line("id", d.ID.String())
	t.line("webhook", d.Name)
	t.line("upstream", d.Upstream)
	t.line("event", d.Event)
	t.line("chat", string(d.ChatID))
	t.line("received", stamp(d.ReceivedAt))
	t.line("state", d.State)
	if !d.NextAttemptAt.IsZero() {
		t.line("next attempt", stamp(d.NextAttemptAt))
	}
	if d.Ticket != nil {
		t.line("ticket", string(d.Ticket.ID))
		t.line("link", string(d.Ticket.URL))
	}
	if d.TraceID != "" {
		t.line("trace", string(d.TraceID))
	}
	t.line("attempts", strconv.Itoa(d.AttemptsTotal))
	if err := t.Flush(); err != nil {
		return err
	}
	if len(d.Attempts) > 0 {
		fmt.Fprintln(out)
		if err := printAttempts(out, d.Attempts); err != nil {
			return err
		}
	}
	return printDocument(out, d.Document)
}

func printAttempts(out io.Writer, attempts []attemptDocument) error {
	t := newTable(out)
	t.line("TIME", "TOOK", "STAGE", "STATUS", "ERROR")
	for _, a := range attempts {
		status, failure := "", string(a.Error)
		if a.Status != nil {
			status = strconv.Itoa(*a.Status)
		}
		if a.Unknown {
			failure += " (the ticket may have arrived all the same)"
		}
		took := time.Duration(a.Duration * float64(time.Second)).Round(time.Millisecond)
		t.line(stamp(a.Time), took.String(), a.Stage, status, failure)
	}
	return t.Flush()
}

// printDocument writes the ticket document. As JSON it has no ASCII control
// characters; others are replaced line by line.
func printDocument(out io.Writer, document json.RawMessage) error {
	if len(document) == 0 || string(document) == "null" {
		return nil
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, document, "", "  "); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for line := range bytes.Lines(indented.Bytes()) {
		text := bytes.TrimLeft(line, " ")
		fmt.Fprintf(out, "%s%s\n", line[:len(line)-len(text)], printed(string(text)))
	}
	return nil
}
