package kindly

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery/transfer"
)

func exportCommand() *cobra.Command {
	cmd := adminAddressFlags(&cobra.Command{
		Use:   "export [--output <file>] [--offline] [--config <path>] [--address <address>]",
		Short: "Writes all deliveries to a file, for another store",
		Long: `
Writes all deliveries, whatever their state, as JSON Lines to standard output or
to a new file, for "import". The file has what people wrote in chats: keep it as
you keep the store, and remove it when it has been imported.

Of a running Caddy it is a copy: that Caddy goes on delivering what is pending.
To move to another store, stop Caddy and write --offline, which reads the store
that --config names, as the user that Caddy runs as. If both stores deliver, each
pending delivery makes its ticket twice.`,
		Example: "  caddy kindly deliveries export --offline --config /etc/caddy/Caddyfile --output deliveries.jsonl",
		Args:    cobra.NoArgs,
		RunE:    export,
	})
	offlineFlags(cmd)
	cmd.Flags().StringP("output", "o", "", "The file to make, readable for its owner alone (default: standard output)")
	return cmd
}

func export(cmd *cobra.Command, _ []string) (err error) {
	offline, err := isOffline(cmd)
	if err != nil {
		return err
	}
	write := exportOffline
	if !offline {
		client, err := newAdminClient(cmd)
		if err != nil {
			return err
		}
		write = func(_ *cobra.Command, out io.Writer) error { return client.export(out) }
	}
	name, _ := cmd.Flags().GetString("output")
	if name == "" {
		return write(cmd, cmd.OutOrStdout())
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	lines := &lineCounter{Writer: file}
	if err := errors.Join(write(cmd, lines), file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(name)) // half of it is of no use
	}
	cmd.PrintErrf("%s exported to %s.\n", deliveriesOf(lines.n-2), name)
	return nil
}

// deliveriesOf counts deliveries in words.
func deliveriesOf(n int) string {
	if n == 1 {
		return "1 delivery"
	}
	return fmt.Sprintf("%d deliveries", n)
}

// lineCounter counts the lines that are written, of which the first and the
// last are not deliveries.
type lineCounter struct {
	io.Writer
	n int
}

func (c *lineCounter) Write(p []byte) (int, error) {
	c.n += bytes.Count(p, []byte("\n"))
	return c.Writer.Write(p)
}

func exportOffline(cmd *cobra.Command, out io.Writer) error {
	store, key, err := openOffline(cmd, true)
	if err != nil {
		return err
	}
	_, err = transfer.Export(context.Background(), store, out)
	if err := errors.Join(err, store.Close()); err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	return nil
}

// export writes what a running Caddy has.
func (c *adminClient) export(out io.Writer) error {
	response, err := caddycmd.AdminAPIRequest(c.address, http.MethodGet, adminPrefix+"deliveries/export", onceOnly, nil)
	if err != nil {
		return c.explain(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(out, response.Body); err != nil {
		return fmt.Errorf("the export is cut off, the server's log may say why: %w", err)
	}
	return nil
}
