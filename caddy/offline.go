package kindly

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
)

// offlineFlags adds the flags by which a command works on a store without a
// server.
func offlineFlags(cmd *cobra.Command) {
	cmd.Flags().Bool("offline", false, "Without a server: work on the store that the configuration names (--config, by default the Caddyfile in the current directory)")
	cmd.Flags().StringSlice("envfile", nil, "With --offline: a file with environment variables; again for several")
}

// isOffline tells whether a command works without a server.
func isOffline(cmd *cobra.Command) (bool, error) {
	offline, _ := cmd.Flags().GetBool("offline")
	switch {
	case offline && cmd.Flags().Changed("address"):
		return false, errors.New("--address is where a server is: leave it out, or --offline")
	case !offline && cmd.Flags().Changed("envfile"):
		return false, errors.New("--envfile is for --offline: leave it out, or add that")
	default:
		return offline, nil
	}
}

// openOffline opens the store that a command's configuration names, of which only
// the kindly app is loaded. If it is to be read, it must be there: an empty one
// would not be what somebody looks for. The caller closes the store.
func openOffline(cmd *cobra.Command, toRead bool) (store Store, key runtimeKey, err error) {
	config, err := configToCheck(cmd)
	if err != nil {
		return nil, key, err
	}
	cmd.SilenceUsage = true
	app, err := loadApp(config)
	if err != nil {
		return nil, key, err
	}
	if !app.engine.Durable() {
		return nil, key, errors.New("the configuration's store has nothing without a server: leave out --offline")
	}
	location, err := app.engine.Locate()
	if err != nil {
		return nil, key, err
	}
	if _, isFile := app.engine.(*BoltStore); isFile && toRead {
		if _, err := os.Stat(location); errors.Is(err, fs.ErrNotExist) {
			return nil, key, fmt.Errorf("store bolt %s: there is no such file: run this as the user that the server runs as, with its environment, and with the configuration that it ran with", location)
		}
	}
	key = runtimeKey{caddy.GetModuleID(app.engine), location}
	store, err = app.engine.Open(location, StoreOptions{Limits: app.limits(), Keys: app.keys, Log: app.log, Losses: losses})
	return store, key, err
}

// loadApp loads the kindly app of a configuration, given as JSON, or the one
// that there is without any.
func loadApp(config []byte) (*App, error) {
	var whole struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal(config, &whole); err != nil {
		return nil, fmt.Errorf("the configuration is not JSON as Caddy has it: %w", err)
	}
	part := &caddy.Config{AppsRaw: caddy.ModuleMap{}, Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		caddy.DefaultLoggerName: {BaseLog: caddy.BaseLog{Level: "WARN"}},
	}}}
	if raw, ok := whole.Apps["kindly"]; ok {
		part.AppsRaw["kindly"] = raw
	}
	ctx, err := caddy.ProvisionContext(part)
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be loaded: %w", err)
	}
	app, err := ctx.App("kindly")
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be loaded: %w", err)
	}
	return app.(*App), nil
}
