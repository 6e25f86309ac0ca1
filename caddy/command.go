package kindly

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "kindly",
		Usage: "demo|send|sign|render|presets|doctor|status|deliveries|page",
		Short: "Shows, sends and signs webhooks of Kindly's chatbots, and manages their deliveries",
		Long: `
Commands around the kindly_webhook directive:

  caddy kindly demo        runs the whole way with a simulated Kindly and help desk
  caddy kindly send        sends a signed webhook to a URL, as Kindly would
  caddy kindly sign        prints the headers that sign a webhook
  caddy kindly render      prints the request that a ticket would become, and sends nothing
  caddy kindly presets     lists the ticket systems that an upstream can name
  caddy kindly doctor      checks a configuration against the world
  caddy kindly status      shows upstreams, and how many deliveries there are
  caddy kindly deliveries  lists, shows, retries, drops and moves deliveries
  caddy kindly page        shows all that in a browser on this machine`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Args = cobra.NoArgs
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			cmd.AddCommand(demoCommand(), sendCommand(), signCommand(), renderCommand(), presetsCommand(), doctorCommand(), statusCommand(), deliveriesCommand(), pageCommand())
		},
	})
}

// secretVariable is where commands look for the secret.
const secretVariable = "KINDLY_SECRET"

func secretFlag(cmd *cobra.Command) {
	cmd.Flags().String("secret", "", "The secret that signs (default: $"+secretVariable+", which keeps it out of the process list)")
}

func secretOf(cmd *cobra.Command) (string, error) {
	flag, err := cmd.Flags().GetString("secret")
	if err != nil {
		return "", err
	}
	secret := cmp.Or(flag, os.Getenv(secretVariable))
	if secret == "" {
		return "", errors.New("no secret: set " + secretVariable + ", or write --secret <secret>")
	}
	return secret, nil
}

func signCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sign [--secret <secret>] [<file>|-]",
		Short: "Prints the headers that sign a webhook",
		Long: `
Reads the body of a webhook from a file, or from standard input, and prints the
two headers that Kindly would send with it. The bytes are signed as they are:
send them with --data-binary.`,
		Example: "  caddy kindly sign webhook.json > headers\n" +
			"  curl -H @headers -H 'Content-Type: application/json' --data-binary @webhook.json https://support.example.com/kindly",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			secret, err := secretOf(cmd)
			if err != nil {
				return err
			}
			body, err := readBody(cmd, append(args, "-")[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n%s: %s\n",
				kindlyhandler.SignatureHeader, kindlyhandler.Sign(secret, body),
				kindlyhandler.AlgorithmHeader, kindlyhandler.Algorithm)
			return nil
		},
	}
	secretFlag(cmd)
	return cmd
}

func sendCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "send --url <url> [--secret <secret>] [--example dialogue|ticket] [--new-chat] [--token <file>|-] [--cacert <file>] [<file>|-]",
		Short: "Sends a signed webhook to a URL, as Kindly would",
		Long: `
Signs the body of a webhook, from a file, from standard input (-) or a built-in
example, POSTs it to a URL, and prints the answer. It fails unless the answer is
200.

The example is the same each time, so that it makes one ticket however often it
is sent; with --new-chat it comes from a chat of its own.

With --token, a file or standard input (-) has the token of the chat's user, to
try out chat_auth. Its claim chat.id must be the webhook's chat_id, which is
5a3a38dfd923ba4238c70ca0 in the example of a dialogue.`,
		Example: "  caddy kindly send --url https://support.example.com/kindly --new-chat",
		Args:    cobra.MaximumNArgs(1),
		RunE:    send,
	}
	secretFlag(cmd)
	cmd.Flags().String("url", "", "Where to send the webhook (required)")
	cmd.Flags().String("example", "dialogue", "The built-in webhook to send without a file: dialogue or ticket")
	cmd.Flags().Bool("new-chat", false, "Give the example a chat of its own")
	cmd.Flags().String("token", "", "A file with the user's token, forwarded as Kindly does; - for standard input")
	cmd.Flags().String("cacert", "", "A PEM file with the CA to trust, such as Caddy's internal one")
	cmd.Flags().Duration("timeout", 30*time.Second, "How long to wait for the answer")
	_ = cmd.MarkFlagRequired("url")
	return cmd
}

func send(cmd *cobra.Command, args []string) error {
	secret, err := secretOf(cmd)
	if err != nil {
		return err
	}
	body, err := webhookToSend(cmd, args)
	if err != nil {
		return err
	}
	url, _ := cmd.Flags().GetString("url")
	request, err := kindlytest.NewWebhookRequest(url, secret, body)
	if err != nil {
		return err
	}
	if err := forwardToken(cmd, args, request); err != nil {
		return err
	}
	client, err := clientFor(cmd)
	if err != nil {
		return err
	}
	started := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%d %s after %s\n", response.StatusCode, http.StatusText(response.StatusCode), time.Since(started).Round(time.Millisecond))
	if len(answer) > 0 {
		fmt.Fprintln(out, printable(answer))
	}
	if response.StatusCode != http.StatusOK {
		cmd.SilenceUsage = true
		return fmt.Errorf("the webhook was not accepted; the server's log says why")
	}
	return nil
}

// forwardToken puts the user's token, if there is to be one, into a webhook.
func forwardToken(cmd *cobra.Command, args []string, webhook *http.Request) error {
	name, _ := cmd.Flags().GetString("token")
	if name == "" {
		return nil
	}
	if name == "-" && slices.Contains(args, "-") {
		return errors.New("standard input cannot be both the webhook and the token: write a file for one of them")
	}
	content, err := readBody(cmd, name)
	if err != nil {
		return err
	}
	token := string(bytes.TrimSpace(content))
	if token == "" || !httpguts.ValidHeaderFieldValue(token) {
		return fmt.Errorf("--token %s: that is no token: write a file with a JWT in one line", name)
	}
	kindlytest.ForwardToken(webhook, token)
	return nil
}

func webhookToSend(cmd *cobra.Command, args []string) ([]byte, error) {
	if len(args) == 1 {
		if cmd.Flags().Changed("example") || cmd.Flags().Changed("new-chat") {
			return nil, errors.New("--example and --new-chat are about the built-in webhooks: leave them out with a file")
		}
		return readBody(cmd, args[0])
	}
	example, _ := cmd.Flags().GetString("example")
	newChat, _ := cmd.Flags().GetBool("new-chat")
	switch {
	case example == "dialogue" && newChat:
		return kindlytest.DialogueWebhookFor(uuid.NewString()), nil
	case example == "dialogue":
		return kindlytest.DialogueWebhook(), nil
	case example == "ticket" && newChat:
		return kindlytest.TicketWebhookFor("ticket.created", uuid.NewString()), nil
	case example == "ticket":
		return kindlytest.TicketWebhook(), nil
	default:
		return nil, fmt.Errorf("no example %q: write dialogue or ticket", example)
	}
}

// readBody reads a file, "-" being standard input.
func readBody(cmd *cobra.Command, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(cmd.InOrStdin())
	}
	return os.ReadFile(name)
}

func clientFor(cmd *cobra.Command) (*http.Client, error) {
	timeout, _ := cmd.Flags().GetDuration("timeout")
	name, _ := cmd.Flags().GetString("cacert")
	client := &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if name == "" {
		return client, nil
	}
	pem, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no PEM certificate", name)
	}
	client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	return client, nil
}

// printable returns an answer for the terminal: indented if it is JSON, which
// has no control characters, else quoted.
func printable(answer []byte) string {
	var indented bytes.Buffer
	if err := json.Indent(&indented, answer, "", "  "); err != nil {
		return fmt.Sprintf("%q", answer)
	}
	return indented.String()
}
