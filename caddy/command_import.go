package kindly

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery/transfer"
)

func importCommand() *cobra.Command {
	cmd := adminFlags(&cobra.Command{
		Use:   "import [<file>|-] [--offline] [--config <path>] [--address <address>] [--json]",
		Short: "Takes over the deliveries of another store",
		Long: `
Reads what "export" has written, from a file or from standard input, and takes
the deliveries over as they are. What is pending is delivered; the same webhook
again is a duplicate, as in the old store. Those that are there already are left
alone: a file can be imported again, also after a failure.

With --offline, they go to the store that --config names, without a server: before
Caddy starts with it, so that no webhook comes in between. Do so as the user that
Caddy runs as.

It fails if a line cannot be read, having imported the others, and if the file is
cut off.`,
		Example: "  caddy kindly deliveries import --offline --config /etc/caddy/Caddyfile deliveries.jsonl",
		Args:    cobra.MaximumNArgs(1),
		RunE:    importAll,
	})
	offlineFlags(cmd)
	return cmd
}

func importAll(cmd *cobra.Command, args []string) error {
	offline, err := isOffline(cmd)
	if err != nil {
		return err
	}
	in := cmd.InOrStdin()
	if name := append(args, "-")[0]; name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	var report transfer.Report
	if offline {
		report, err = importOffline(cmd, in)
	} else {
		var client *adminClient
		if client, err = newAdminClient(cmd); err != nil {
			return err
		}
		report, err = transfer.Import(context.Background(), in, client.send)
	}
	if err != nil && report.Imported+report.ThereAlready+len(report.Refused) == 0 {
		return err
	}
	return errors.Join(printReport(cmd, report), err)
}

func importOffline(cmd *cobra.Command, in io.Reader) (transfer.Report, error) {
	store, key, err := openOffline(cmd, false)
	if err != nil {
		return transfer.Report{}, err
	}
	report, err := transfer.Import(context.Background(), in, store.Import)
	err = errors.Join(err, store.Close())
	var wrong *transfer.FormatError
	if err != nil && !errors.As(err, &wrong) {
		err = fmt.Errorf("store %s: %w", key, err)
	}
	return report, err
}

// printReport says what has become of the lines. It fails if some are refused.
func printReport(cmd *cobra.Command, report transfer.Report) error {
	out := cmd.OutOrStdout()
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		if err := json.NewEncoder(out).Encode(report); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(out, "%s imported, %d there already.\n", deliveriesOf(report.Imported), report.ThereAlready)
		for _, refused := range report.Refused {
			cmd.PrintErrln(refused.Error())
		}
	}
	if n := len(report.Refused); n > 0 {
		return fmt.Errorf("%s could not be read: these deliveries are not imported", plural(n, "line"))
	}
	return nil
}

// send imports some deliveries into a running Caddy.
func (c *adminClient) send(_ context.Context, deliveries []*delivery.Delivery) (int, error) {
	var body bytes.Buffer
	w := transfer.NewWriter(&body)
	for _, d := range deliveries {
		if err := w.Write(d); err != nil {
			return 0, err
		}
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	headers := onceOnly.Clone()
	headers.Set("Content-Type", transferType)
	response, err := caddycmd.AdminAPIRequest(c.address, http.MethodPost, adminPrefix+"deliveries/import", headers, &body)
	if err != nil {
		return 0, c.explain(err)
	}
	defer response.Body.Close()
	var report transfer.Report
	if err := json.NewDecoder(response.Body).Decode(&report); err != nil {
		return 0, fmt.Errorf("the admin API's answer cannot be read: %w", err)
	}
	if len(report.Refused) > 0 { // it is of another version
		return 0, fmt.Errorf("the server cannot read what this command can: use the same version (%s)", printed(report.Refused[0].Why))
	}
	return report.Imported, nil
}
