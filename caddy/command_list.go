package kindly

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

func listCommand() *cobra.Command {
	cmd := adminFlags(&cobra.Command{
		Use:   "list [--state pending|delivered|dead] [--name <webhook>] [--chat <id>] [--limit <n>] [--address <address>] [--json]",
		Short: "Lists deliveries, the newest first",
		Long: `
Lists what a running Caddy has of deliveries, the newest first. Times are in
UTC. Characters that a terminal would obey are shown as ` + "\uFFFD" + `; --json prints
all as it is, the "after" in it being where the list goes on.`,
		Example: "  caddy kindly deliveries list --state dead --json | jq -r '.deliveries[].id'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			limit, _ := cmd.Flags().GetInt("limit")
			if limit < 1 {
				return fmt.Errorf("--limit %d: write a number from 1", limit)
			}
			parameters := url.Values{}
			for flag, parameter := range map[string]string{"state": "state", "name": "name", "chat": "chat_id"} {
				if value, _ := cmd.Flags().GetString(flag); value != "" {
					parameters.Set(parameter, value)
				}
			}
			client, err := newAdminClient(cmd)
			if err != nil {
				return err
			}
			list, err := client.list(parameters, limit)
			if err != nil {
				return err
			}
			if client.json {
				encoder := json.NewEncoder(client.out)
				encoder.SetEscapeHTML(false)
				return encoder.Encode(list)
			}
			if err := list.print(client.out); err != nil {
				return err
			}
			if list.After != nil {
				cmd.PrintErrf("There are more: --limit %d shows these, and as many again.\n", 2*limit)
			}
			return nil
		},
	})
	cmd.Flags().String("state", "", "Only those in this state: pending, delivered or dead")
	cmd.Flags().String("name", "", "Only those of this webhook")
	cmd.Flags().String("chat", "", "Only those of the chat with this id")
	cmd.Flags().Int("limit", defaultLimit, "How many at the most")
	return cmd
}

// list asks for as many pages as it takes.
func (c *adminClient) list(parameters url.Values, limit int) (*pageDocument, error) {
	list := &pageDocument{Deliveries: []deliveryDocument{}}
	for {
		parameters.Set("limit", strconv.Itoa(min(limit-len(list.Deliveries), maxLimit)))
		var page pageDocument
		if _, err := c.call(http.MethodGet, "deliveries?"+parameters.Encode(), nil, &page); err != nil {
			return nil, err
		}
		list.Deliveries = append(list.Deliveries, page.Deliveries...)
		list.After = page.After
		if page.After == nil || len(list.Deliveries) >= limit {
			return list, nil
		}
		parameters.Set("after", page.After.String())
	}
}

func (p *pageDocument) print(out io.Writer) error {
	t := newTable(out)
	t.line("ID", "RECEIVED", "NAME", "UPSTREAM", "EVENT", "CHAT", "STATE", "ATTEMPTS", "NEXT ATTEMPT", "TICKET", "ERROR")
	for _, d := range p.Deliveries {
		var ticket text
		if d.Ticket != nil {
			ticket = d.Ticket.ID
		}
		t.line(d.ID.String(), stamp(d.ReceivedAt), d.Name, d.Upstream, short(d.Event), short(string(d.ChatID)), d.State,
			strconv.Itoa(d.Attempts), stamp(d.NextAttemptAt), short(string(ticket)), short(string(d.Error)))
	}
	return t.Flush()
}
