package kindly

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

func retryCommand() *cobra.Command {
	cmd := adminFlags(&cobra.Command{
		Use:   "retry (<id>... | --state dead|pending [--name <webhook>]) [--address <address>] [--json]",
		Short: "Attempts deliveries again, now",
		Long: `
Attempts dead letters and pending deliveries again, in the background; "show"
tells what comes of it.

Those named by their ids are attempted at once, whatever the upstream asked for
and whether it is known to work; if no configuration names it, when one does
again. With --state, all dead letters or all pending deliveries become due, and
go out as the upstream takes them.`,
		Example: "  caddy kindly deliveries retry --state dead --name support",
		RunE: func(cmd *cobra.Command, args []string) error {
			state, _ := cmd.Flags().GetString("state")
			name, _ := cmd.Flags().GetString("name")
			switch {
			case len(args) == 0 && state == "":
				return errors.New("nothing to retry: write ids, or --state dead")
			case len(args) > 0 && (state != "" || name != ""):
				return errors.New("--state and --name are for retrying many: leave them out with ids")
			case len(args) > 0:
				return eachDelivery(cmd, args, http.MethodPost, "/retry", "is due now")
			default:
				return retryMany(cmd, state, name)
			}
		},
	})
	cmd.Flags().String("state", "", "Retry all in this state: dead or pending")
	cmd.Flags().String("name", "", "With --state: only those of this webhook")
	return cmd
}

func retryMany(cmd *cobra.Command, state, name string) error {
	client, err := newAdminClient(cmd)
	if err != nil {
		return err
	}
	body := map[string]string{"state": state}
	if name != "" {
		body["name"] = name
	}
	var retried retriedDocument
	answer, err := client.call(http.MethodPost, "deliveries/retry", body, &retried)
	if err != nil {
		return err
	}
	if client.json {
		_, err = client.out.Write(answer)
		return err
	}
	fmt.Fprintf(client.out, "%d deliveries are due now.\n", retried.Retried)
	return nil
}

// eachDelivery makes a request for each id, and goes on after those that fail.
func eachDelivery(cmd *cobra.Command, args []string, method, below, done string) error {
	ids := make([]uuid.UUID, len(args))
	for i, arg := range args {
		id, err := parseID(arg)
		if err != nil {
			return err
		}
		ids[i] = id
	}
	client, err := newAdminClient(cmd)
	if err != nil {
		return err
	}
	var failed []error
	for _, id := range ids {
		answer, err := client.call(method, "deliveries/"+id.String()+below, nil, nil)
		switch {
		case err != nil:
			failed = append(failed, fmt.Errorf("%s: %w", id, err))
		case client.json:
			if _, err := client.out.Write(answer); err != nil {
				return err
			}
		default:
			fmt.Fprintf(client.out, "%s %s.\n", id, done)
		}
	}
	return errors.Join(failed...)
}
