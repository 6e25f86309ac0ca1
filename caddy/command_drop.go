package kindly

import (
	"net/http"

	"github.com/spf13/cobra"
)

func dropCommand() *cobra.Command {
	return adminFlags(&cobra.Command{
		Use:   "drop <id>... [--address <address>] [--json]",
		Short: "Removes deliveries, whatever their state",
		Long: `
Removes deliveries for good. One that is pending makes no ticket then, unless an
attempt is under way: that is not called back.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return eachDelivery(cmd, args, http.MethodDelete, "", "is dropped")
		},
	})
}
