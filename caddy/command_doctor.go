package kindly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
)

// doctorTimeout is how long all checks may take together.
const doctorTimeout = 30 * time.Second

func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [--config <path>] [--adapter <name>] [--envfile <path>] [--json]",
		Short: "Checks a configuration against the world, before it goes live",
		Long: `
Loads a configuration as "caddy validate" does, starts nothing, and checks what
it says: secrets and placeholders; the API key, by asking Kindly's API for a chat
that there is not; each upstream, by a request that does no harm where its
system documents one, else by a connection on which nothing is sent; oauth2, by
getting a token; the files of chat_auth; the store, without opening it; the
certificates of the sites, if they are served on this machine at the moment; and
the clock, by the answers to all that. No ticket is made, and no secret printed.

  ok       it was seen to work
  unknown  it cannot be known without doing harm, or not now
  warning  it works, or may work, but somebody should know
  problem  tickets would be missing, late or unverified

The exit status is 1 if there is a problem. Run it as the user that the server
runs as, and with its environment. It takes at most half a minute.`,
		Example: "  caddy kindly doctor --config /etc/caddy/Caddyfile --envfile /etc/caddy/kindly.env",
		Args:    cobra.NoArgs,
		RunE:    diagnose,
	}
	cmd.Flags().StringP("config", "c", "", "The configuration file (default: Caddyfile in the current directory)")
	cmd.Flags().StringP("adapter", "a", "", "The configuration's adapter, if its name does not tell")
	cmd.Flags().StringSlice("envfile", nil, "A file with environment variables; again for several")
	cmd.Flags().Bool("json", false, "Print JSON")
	return cmd
}

func diagnose(cmd *cobra.Command, _ []string) error {
	config, err := configToCheck(cmd)
	if err != nil {
		return err
	}
	cmd.SilenceUsage = true
	ctx, cancel := context.WithTimeout(cmd.Context(), doctorTimeout)
	defer cancel()
	d, err := examine(ctx, config)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(d)
	} else {
		err = d.print(out)
	}
	if err == nil && d.Problems > 0 {
		err = errors.New("the configuration has problems")
		cmd.SilenceErrors = true // they are printed
	}
	return err
}

// configToCheck returns the configuration as JSON.
func configToCheck(cmd *cobra.Command) ([]byte, error) {
	envFiles, err := cmd.Flags().GetStringSlice("envfile")
	if err != nil {
		return nil, err
	}
	if err := loadEnvFiles(envFiles); err != nil {
		return nil, err
	}
	name, _ := cmd.Flags().GetString("config")
	adapter, _ := cmd.Flags().GetString("adapter")
	if name == "" {
		if _, err := os.Stat("Caddyfile"); err != nil {
			return nil, errors.New("no configuration: write --config <path>, or run this where the Caddyfile is")
		}
		name = "Caddyfile"
	}
	config, _, _, err := caddycmd.LoadConfig(name, adapter)
	if err != nil {
		return nil, err
	}
	return caddy.RemoveMetaFields(config), nil
}

func (d *diagnosis) print(out io.Writer) error {
	var failed error
	line := func(format string, args ...any) {
		if failed == nil {
			_, failed = fmt.Fprintf(out, format, args...)
		}
	}
	section := func(title string, findings []doctor.Finding) {
		line("%s\n", title)
		width := 0
		for _, f := range findings {
			width = max(width, len(f.Check))
		}
		for _, f := range findings {
			line("  %-8s %-*s  %s\n", f.Status, width, f.Check, f.Message)
			if f.Fix != "" {
				line("  %8s %-*s  → %s\n", "", width, "", f.Fix)
			}
		}
		line("\n")
	}
	for _, w := range d.Webhooks {
		section(w.title(), w.Findings)
	}
	section("the server", d.Server)
	switch {
	case d.Problems == 0 && d.Warnings == 0:
		line("no problems\n")
	default:
		line("%s, %s\n", plural(d.Problems, "problem"), plural(d.Warnings, "warning"))
	}
	return failed
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
