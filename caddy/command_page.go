package kindly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-kindly/caddy-kindly/caddy/page"
)

func pageCommand() *cobra.Command {
	cmd := adminAddressFlags(&cobra.Command{
		Use:   "page [--listen <address>] [--address <address>]",
		Short: "Serves a page about deliveries, for a browser on this machine",
		Long: `
Serves a page on loopback that shows upstreams, what waits and why, what died,
and each delivery with its attempts, its chat and its ticket, and from which
deliveries are retried and dropped and upstreams paused and resumed. It asks a
running Caddy by its admin API, and stays up until interrupted.

It prints the page's address, which works once, and then in that browser only.
The page shows what people wrote in chats.

To see a server's from elsewhere, forward the same port by SSH:

  ssh -t -L 8019:127.0.0.1:8019 <server> caddy kindly page --listen 127.0.0.1:8019`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, restore := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer restore()
			return servePage(ctx, cmd)
		},
	})
	cmd.Flags().String("listen", "127.0.0.1:0", "The loopback address to listen on; port 0 is a free one")
	return cmd
}

// servePage serves the page until ctx ends.
func servePage(ctx context.Context, cmd *cobra.Command) error {
	client, err := newAdminClient(cmd)
	if err != nil {
		return err
	}
	if _, err := client.call(http.MethodGet, "status", nil, nil); err != nil {
		return err
	}
	listen, _ := cmd.Flags().GetString("listen")
	listener, err := listenOnLoopback(listen)
	if err != nil {
		return err
	}
	// Browsers leave out the default port.
	p := page.New(strings.TrimSuffix(listener.Addr().String(), ":80"), client.ask)
	server := &http.Server{
		Handler:        p,
		ReadTimeout:    10 * time.Second,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 32 << 10,
		ErrorLog:       log.New(io.Discard, "", 0), // of what browsers break off
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	fmt.Fprintf(cmd.OutOrStdout(), "Open this address in a browser. It works once, and then in that browser only:\n\n  %s\n\nCtrl+C ends it.\n", p.URL())
	select {
	case err = <-ended:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}

// listenOnLoopback refuses an address that others can reach.
func listenOnLoopback(listen string) (net.Listener, error) {
	address, err := net.ResolveTCPAddr("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("--listen is %q: %w; write 127.0.0.1:<port>", listen, err)
	}
	if !address.IP.IsLoopback() {
		return nil, fmt.Errorf("--listen is %q, which is not a loopback address: others could read along; write 127.0.0.1:<port>", listen)
	}
	listener, err := net.ListenTCP("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	return listener, nil
}

// ask is call for the page.
func (c *adminClient) ask(method, path string) (int, []byte) {
	answer, err := c.call(method, path, nil, nil)
	if err == nil {
		return http.StatusOK, answer
	}
	status, message := http.StatusBadGateway, err.Error()
	if answered, ok := errors.AsType[*adminError](err); ok {
		status, message = answered.status, answered.text
	}
	answer, _ = json.Marshal(map[string]string{"error": message})
	return status, answer
}
