package kindly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/spf13/cobra"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// example is the configuration of the demo.
var example string

// SetExample sets the Caddyfile that `caddy kindly demo` runs. The module's
// root package, which has the file, calls it.
func SetExample(caddyfile string) { example = caddyfile }

func demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo [--listen <address>]",
		Short: "Runs the whole way with a simulated Kindly and help desk",
		Long: `
Starts a simulated Kindly and a simulated help desk on loopback, Caddy with the
example configuration between them, sends a webhook, and shows what becomes of
it. It needs no account and no network, and stays up until interrupted.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage = true
			return demo(cmd)
		},
	}
	cmd.Flags().String("listen", "127.0.0.1:0", "The loopback address for Caddy to listen on; port 0 is a free one")
	return cmd
}

// demoSecret signs the demo's webhooks.
const demoSecret = "demo-secret"

// stage is what the demo plays on.
type stage struct {
	out     io.Writer
	kindly  *kindlytest.Kindly
	desk    *kindlytest.HelpDesk
	address string // of the webhook
}

func demo(cmd *cobra.Command) error {
	// Not by caddy.TrapSignals, which returns before it is ready: an interrupt
	// that comes until then is lost where the shell has SIGINT ignored, as it
	// has for what a script runs in the background.
	ctx, restore := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, restore) // a second interrupt does not wait for the end
	defer restore()

	listen, _ := cmd.Flags().GetString("listen")
	listen, err := freeAddress(listen)
	if err != nil {
		return err
	}
	s := &stage{
		out:     cmd.OutOrStdout(),
		kindly:  kindlytest.NewKindly(),
		desk:    kindlytest.NewHelpDesk(),
		address: "http://" + listen + "/kindly",
	}
	defer s.kindly.Close()
	defer s.desk.Close()
	s.desk.FirstID = 4711

	err = s.perform(ctx, listen)
	if ctx.Err() != nil {
		return nil // an interrupt is how a demo ends
	}
	return err
}

// perform runs Caddy, plays, and goes on until ctx ends.
func (s *stage) perform(ctx context.Context, listen string) error {
	if err := s.runCaddy(listen); err != nil {
		return err
	}
	defer func() { _ = caddy.Stop() }()
	play, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := s.play(play); err != nil {
		return err
	}
	return s.follow(ctx)
}

// freeAddress returns a loopback address with a port that is free.
func freeAddress(listen string) (string, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return "", fmt.Errorf("cannot listen: %w", err)
	}
	defer l.Close()
	if address, ok := l.Addr().(*net.TCPAddr); !ok || !address.IP.IsLoopback() {
		return "", fmt.Errorf("%s is not a loopback address: the demo's secret is no secret; write 127.0.0.1:<port>", listen)
	}
	return l.Addr().String(), nil
}

// runCaddy runs the example configuration, by the variables that it has for
// everything that differs from one user to the next.
func (s *stage) runCaddy(listen string) error {
	if example == "" {
		return errors.New("this binary was built without the example configuration: build it from the module's root package")
	}
	for name, value := range map[string]string{
		"KINDLY_SITE":     "http://" + listen,
		"KINDLY_SECRET":   demoSecret,
		"KINDLY_API":      s.kindly.URL,
		"KINDLY_API_KEY":  s.kindly.APIKey,
		"KINDLY_UPSTREAM": s.desk.URL + "/tickets",
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	// A site's address says whom it answers, not where Caddy listens.
	caddyfile := "{\n\tdefault_bind " + host + "\n}\n" + example
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile.example"})
	if err != nil {
		return fmt.Errorf("adapting the example: %w", err)
	}
	var config caddy.Config
	if err := json.Unmarshal(adapted, &config); err != nil {
		return fmt.Errorf("decoding the example: %w", err)
	}
	// The demo leaves nothing on the disk.
	config.AppsRaw["kindly"] = json.RawMessage(`{"store": {"engine": "memory"}}`)
	no := false
	config.Admin = &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &no}}
	config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		"default": {BaseLog: caddy.BaseLog{Level: zapcore.ErrorLevel.CapitalString()}},
	}}
	return caddy.Run(&config)
}

// play sends a webhook, then a forged one, then the first one again, and
// tells what happens.
func (s *stage) play(ctx context.Context) error {
	webhook := kindlytest.DialogueWebhook()
	started := time.Now()
	response, err := s.kindly.Send(ctx, s.address, demoSecret, webhook)
	if err != nil {
		return fmt.Errorf("sending the webhook: %w", err)
	}
	took := time.Since(started)
	if err := s.desk.Wait(ctx, 1); err != nil {
		return fmt.Errorf("waiting for the ticket: %w", err)
	}
	delivered := s.desk.Tickets()[0]
	var ticket kindlyhandler.Ticket
	if err := json.Unmarshal(delivered.Body, &ticket); err != nil {
		return fmt.Errorf("reading the ticket: %w", err)
	}
	s.say("A chat becomes a ticket\n=======================\n\n"+
		"Somebody in a chat writes %q. Kindly sends a signed webhook:\n\n"+
		"  POST %s\n  Kindly-HMAC: %s\n  %s\n\n",
		ticket.Message, s.address, kindlyhandler.Sign(demoSecret, webhook), shorten(string(webhook), 100))
	s.say("1. Caddy verifies the signature.\n"+
		"2. It fetches the chat's transcript from Kindly's API: %d messages.\n"+
		"3. It delivers a ticket to the help desk, which calls it number %s:\n\n", len(ticket.Messages), delivered.ID)
	s.show(&ticket)
	s.say("4. It answers the chat, %s after the webhook came in:\n\n  %s\n\n", took.Round(time.Millisecond), response.Body)

	forged, err := s.kindly.Send(ctx, s.address, "a guess", webhook)
	if err != nil {
		return fmt.Errorf("sending a forged webhook: %w", err)
	}
	repeated, err := s.kindly.Send(ctx, s.address, demoSecret, webhook)
	if err != nil {
		return fmt.Errorf("sending the webhook again: %w", err)
	}
	s.say("A forged webhook is answered %d. The same webhook once more is answered %d, with\n"+
		"the same words, and the help desk still has %d ticket.\n\n", forged.Status, repeated.Status, s.desk.Count())
	s.say("Try next, in another terminal:\n\n"+
		"  KINDLY_SECRET=%s %s kindly send --url %s --new-chat\n"+
		"  curl %s/tickets/%s     # the whole ticket\n"+
		"  curl -i -d '{}' %s     # a webhook that nobody signed\n\n"+
		"Then put Caddyfile.example to work with your own values. Ctrl+C ends the demo.\n",
		demoSecret, program(), s.address, s.desk.URL, delivered.ID, s.address)
	return nil
}

func (s *stage) show(ticket *kindlyhandler.Ticket) {
	email, chat := "unknown", ""
	if ticket.Customer.Email != nil {
		email = *ticket.Customer.Email
	}
	if ticket.Chat.URL != nil {
		chat = *ticket.Chat.URL
	}
	s.say("  Subject:    %s\n  Customer:   %s\n  Chat:       %s\n  Transcript:\n", ticket.Subject, email, chat)
	if ticket.Transcript == nil {
		s.say("    missing: %s\n\n", *ticket.TranscriptError)
		return
	}
	for line := range strings.Lines(ticket.Transcript.Text) {
		s.say("    %s", line)
	}
	s.say("\n")
}

// follow tells of every ticket that arrives later.
func (s *stage) follow(ctx context.Context) error {
	for n := s.desk.Count() + 1; ; n++ {
		if err := s.desk.Wait(ctx, n); err != nil {
			return err
		}
		ticket := s.desk.Tickets()[n-1]
		s.say("Ticket %s has arrived.\n", ticket.ID)
	}
}

func (s *stage) say(format string, args ...any) {
	fmt.Fprintf(s.out, format, args...)
}

// program is how this binary was called.
func program() string {
	if strings.Contains(os.Args[0], "go-build") {
		return "go run ./caddy/kindly-caddy"
	}
	return os.Args[0]
}

func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
