package kindly

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream/preset"
)

func renderCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "render [--preset <name>] [--option <name>=<value>]... [--body <expression>] [--method <method>] [--url <url>] [--example dialogue|ticket] [<file>|-]",
		Short: "Prints the request that a ticket would become, and sends nothing",
		Long: `
Makes the request of an upstream from a ticket document: a file's, standard
input's (-), or a built-in example's. Use it to write expressions for body and method.

What a preset demands and no option gives is made up. Secrets are not printed.
The document of a delivery is what "caddy kindly deliveries show <id> --json"
prints, and can be piped in as it is.`,
		Example: "  caddy kindly render --preset jira --option project=SUP\n" +
			"  caddy kindly render --body '{title: .subject, text: .transcript.text}' ticket.json\n" +
			"  caddy kindly deliveries show <id> --json | caddy kindly render --preset zendesk -",
		Args: cobra.MaximumNArgs(1),
		RunE: render,
	}
	cmd.Flags().String("preset", "", "The ticket system (see caddy kindly presets)")
	cmd.Flags().StringArray("option", nil, "An option of the preset; again for a list")
	cmd.Flags().String("body", "", "A jq expression for the request's body")
	cmd.Flags().String("method", "", "POST, PUT, PATCH, or a jq expression for it")
	cmd.Flags().String("url", "", "Where the system is")
	cmd.Flags().String("example", "dialogue", "The built-in ticket without a file: of a dialogue or a ticket webhook")
	return cmd
}

func render(cmd *cobra.Command, args []string) error {
	ticket, err := ticketToRender(cmd, args)
	if err != nil {
		return err
	}
	o := upstream.Options{UserAgent: "caddy-kindly"}
	o.URL, _ = cmd.Flags().GetString("url")
	o.Preset, _ = cmd.Flags().GetString("preset")
	o.Mapping.Body, _ = cmd.Flags().GetString("body")
	o.Method, _ = cmd.Flags().GetString("method")
	options, _ := cmd.Flags().GetStringArray("option")
	if o.PresetOptions, err = presetOptions(o.Preset, options); err != nil {
		return err
	}
	if o.Preset == "" && o.URL == "" {
		o.URL = "https://helpdesk.example.com/tickets"
	}
	up, err := upstream.New(upstream.Rehearsal(o))
	if err != nil {
		return err
	}
	defer up.Close()
	var document struct{ ID uuid.UUID }
	_ = json.Unmarshal(ticket, &document) // a ticket of one's own may have none
	request, secret, err := up.Rehearse(cmd.Context(), document.ID, ticket)
	if err != nil {
		cmd.SilenceUsage = true
		return err
	}
	return printRequest(cmd.OutOrStdout(), request, secret)
}

// presetOptions reads name=value, of which lists have several.
func presetOptions(name string, options []string) (map[string]any, error) {
	p := preset.Find(name)
	values := make(map[string]any, len(options))
	for _, option := range options {
		name, value, ok := strings.Cut(option, "=")
		switch {
		case !ok || name == "":
			return nil, fmt.Errorf("--option is %q: write --option <name>=<value>", option)
		case p != nil && p.Option(name) != nil && p.Option(name).Kind == preset.Strings:
			list, _ := values[name].([]any)
			values[name] = append(list, value)
		default:
			values[name] = value
		}
	}
	return values, nil
}

// ticketToRender returns a ticket document.
func ticketToRender(cmd *cobra.Command, args []string) ([]byte, error) {
	if len(args) == 0 {
		return exampleTicket(cmd)
	}
	if cmd.Flags().Changed("example") {
		return nil, errors.New("--example is about the built-in tickets: leave it out with a file")
	}
	content, err := readBody(cmd, args[0])
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(content, &fields); err != nil {
		return nil, errors.New("that is no ticket document: it is not a JSON object")
	}
	if document, ok := fields["document"]; ok && fields["attempts"] != nil { // a delivery
		if string(document) == "null" {
			return nil, errors.New("the delivery has no document: it is delivered, or its transcript is not there yet")
		}
		return document, nil
	}
	return content, nil
}

func exampleTicket(cmd *cobra.Command) ([]byte, error) {
	id := uuid.MustParse("0198f3c2-0000-7000-8000-000000000000")
	received := time.Date(2026, 11, 22, 14, 28, 0, 0, time.UTC)
	switch example, _ := cmd.Flags().GetString("example"); example {
	case "dialogue":
		return kindlyhandler.TicketJSON(id, received, kindlytest.DialogueWebhook(), kindlytest.TranscriptFor("5a3a38dfd923ba4238c70ca0"))
	case "ticket":
		return kindlyhandler.TicketJSON(id, received, kindlytest.TicketWebhook(), nil)
	default:
		return nil, fmt.Errorf("no example %q: write dialogue or ticket", example)
	}
}

// printRequest prints a request as it would be sent, but for what is secret.
func printRequest(out io.Writer, r *http.Request, secret []string) error {
	fmt.Fprintf(out, "%s %s\n", r.Method, r.URL.Redacted())
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		value := printed(strings.Join(r.Header[name], ", "))
		if slices.Contains(secret, name) {
			scheme, _, found := strings.Cut(value, " ")
			value = "(secret)"
			if found && name == "Authorization" { // else all of it is
				value = scheme + " " + value
			}
		}
		fmt.Fprintf(out, "%s: %s\n", name, value)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s\n", printable(body))
	return nil
}
