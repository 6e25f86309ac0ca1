package kindly

import "github.com/spf13/cobra"

func deliveriesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deliveries list|show|retry|drop|export|import",
		Short: "Lists, shows, retries, drops and moves deliveries",
		Long: `
What became of the webhooks that a running Caddy has accepted, by its admin API:

  caddy kindly deliveries list    lists them, the newest first
  caddy kindly deliveries show    shows one with its attempts
  caddy kindly deliveries retry   attempts some again, now
  caddy kindly deliveries drop    removes some, whatever their state
  caddy kindly deliveries export  writes them all to a file, for another store
  caddy kindly deliveries import  takes over those of another store`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(listCommand(), showCommand(), retryCommand(), dropCommand(), exportCommand(), importCommand())
	return cmd
}
