package kindly

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// adminFlags adds the flags by which a command finds the admin API, and --json.
func adminFlags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().Bool("json", false, "Print the JSON of the admin API")
	return adminAddressFlags(cmd)
}

// adminAddressFlags adds the flags by which a command finds the admin API, as
// Caddy's own commands have them.
func adminAddressFlags(cmd *cobra.Command) *cobra.Command {
	flags := cmd.Flags()
	flags.String("address", "", "The address of Caddy's admin API, such as localhost:2019 or unix//run/caddy.sock, if it is not the default")
	flags.StringP("config", "c", "", "A configuration to read that address from, if --address is not given")
	flags.StringP("adapter", "a", "", "The adapter for that configuration")
	return cmd
}

// adminClient asks the admin API on behalf of a command.
type adminClient struct {
	address string
	json    bool
	out     io.Writer
}

func newAdminClient(cmd *cobra.Command) (*adminClient, error) {
	flags := cmd.Flags()
	address, _ := flags.GetString("address")
	config, _ := flags.GetString("config")
	adapter, _ := flags.GetString("adapter")
	found, err := caddycmd.DetermineAdminAPIAddress(address, nil, config, adapter)
	if err != nil {
		return nil, fmt.Errorf("finding the address of the admin API: %w", err)
	}
	cmd.SilenceUsage = true // from here on it was used as it should be
	printJSON, _ := flags.GetBool("json")
	return &adminClient{found, printJSON, cmd.OutOrStdout()}, nil
}

// onceOnly closes the connection after the answer: AdminAPIRequest makes a new
// client, and with it a connection, for each request.
var onceOnly = http.Header{"Connection": {"close"}}

// adminError is an answer of the admin API that tells of an error.
type adminError struct {
	status int // of HTTP
	text   string
}

func (e *adminError) Error() string { return fmt.Sprintf("%s (HTTP %d)", e.text, e.status) }

// call makes a request, with a body unless it is nil, and returns the answer,
// which is read into a document unless that is nil.
func (c *adminClient) call(method, path string, body, document any) ([]byte, error) {
	var encoded io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		encoded = bytes.NewReader(b)
	}
	response, err := caddycmd.AdminAPIRequest(c.address, method, adminPrefix+path, onceOnly, encoded)
	if err != nil {
		return nil, c.explain(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the admin API's answer: %w", err)
	}
	if document != nil {
		if err := json.Unmarshal(answer, document); err != nil {
			return nil, fmt.Errorf("the admin API's answer cannot be read: %w", err)
		}
	}
	return answer, nil
}

// explain says in our words what AdminAPIRequest says in its own: what the
// API's error is, or that there is no API.
func (c *adminClient) explain(err error) error {
	answered, isAnswer := strings.CutPrefix(err.Error(), "caddy responded with error: HTTP ")
	if !isAnswer {
		return fmt.Errorf("no admin API answers at %s: is Caddy running, and is that its address? Say --address <address> if not (%w)", printed(c.address), err)
	}
	status, body, _ := strings.Cut(answered, ": ")
	var document struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(body), &document) == nil && document.Error != "" {
		number, err := strconv.Atoi(status)
		if err != nil {
			number = http.StatusBadGateway
		}
		return &adminError{number, printed(document.Error)}
	}
	if strings.HasPrefix(status, fmt.Sprint(http.StatusNotFound)) {
		return fmt.Errorf("the Caddy at %s has no kindly module", printed(c.address))
	}
	return fmt.Errorf("the admin API at %s answered HTTP %s", printed(c.address), printed(status))
}
