package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// What the tests' webhooks are signed with, and other things that no log may
// have.
const (
	secret      = "the-secret-that-signs"
	verifyToken = "the-token-that-verifies"
	apiKey      = "the-key-that-reads-chats"

	encryptionKey    = "dGhlLWtleS10aGF0LWVuY3J5cHRzLXdlYmhvb2tzLi4="
	newEncryptionKey = "dGhlLWtleS10aGF0LWVuY3J5cHRzLWZyb20tbm93LW8="
)

// caddy is a running Caddy with its configuration.
type caddy struct {
	*process
	admin string
	data  string   // its data directory
	more  []string // of its environment
}

// start runs Caddy with a Caddyfile, whose global options are given apart.
func start(t *testing.T, options, sites string) *caddy {
	t.Helper()
	return startIn(t, t.TempDir(), options, sites)
}

// startIn runs Caddy with a data directory, which another one may have left.
func startIn(t *testing.T, data, options, sites string) *caddy {
	t.Helper()
	return startWith(t, nil, data, options, sites)
}

// startWith runs Caddy with more variables in its environment.
func startWith(t *testing.T, env []string, data, options, sites string) *caddy {
	t.Helper()
	c := &caddy{admin: freeAddress(t), data: data, more: env}
	c.process = runWithFile(t, c.env(), c.caddyfile(options, sites))
	c.eventually("the admin API answers", c.answers)
	t.Cleanup(func() {
		for _, wrong := range []string{secret, verifyToken, apiKey, encryptionKey, newEncryptionKey} {
			if strings.Contains(c.out.String(), wrong) {
				t.Errorf("Caddy's output has %q", wrong)
			}
		}
	})
	return c
}

func (c *caddy) env() []string {
	return append([]string{
		"KINDLY_SECRET=" + secret, "KINDLY_API_KEY=" + apiKey, "KINDLY_VERIFY_TOKEN=" + verifyToken, "KINDLY_ENCRYPTION_KEY=" + encryptionKey,
		"XDG_DATA_HOME=" + c.data, "TZ=Europe/Oslo",
	}, c.more...)
}

// deliveries is the file that has them, by default.
func (c *caddy) deliveries() string { return filepath.Join(c.data, "caddy", "kindly", "deliveries.db") }

func runWithFile(t *testing.T, env []string, caddyfile string) *process {
	t.Helper()
	return run(t, env, "kindly-caddy", "run", "--adapter", "caddyfile", "--config", file(t, "Caddyfile", caddyfile))
}

// file writes a file and returns its name.
func file(t *testing.T, name, content string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

func (c *caddy) caddyfile(options, sites string) string {
	return fmt.Sprintf("{\n\tadmin %s\n\tskip_install_trust\n\tauto_https disable_redirects\n%s\n}\n%s", c.admin, options, sites)
}

// answers tells whether the admin API answers, which it does as soon as the
// configuration runs.
func (c *caddy) answers() bool {
	response, err := http.Get("http://" + c.admin + "/config/apps")
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// reload loads another Caddyfile by the admin API.
func (c *caddy) reload(options, sites string) error {
	response, err := http.Post("http://"+c.admin+"/load", "text/caddyfile", strings.NewReader(c.caddyfile(options, sites)))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the admin API answered %d: %s", response.StatusCode, bytes.TrimSpace(body))
	}
	return nil
}

// sides are what stands on both sides of Caddy.
type sides struct {
	t      *testing.T
	kindly *kindlytest.Kindly
	desk   *kindlytest.HelpDesk
}

func newSides(t *testing.T) *sides {
	t.Helper()
	s := &sides{t: t, kindly: kindlytest.NewKindly(), desk: kindlytest.NewHelpDesk()}
	t.Cleanup(s.kindly.Close)
	t.Cleanup(s.desk.Close)
	s.kindly.APIKey = apiKey
	s.desk.FirstID = 4711
	return s
}

// webhook returns a kindly_webhook directive with everything that it needs,
// and more subdirectives.
func (s *sides) webhook(head string, more ...string) string {
	return directive(head, append([]string{
		"secret {env.KINDLY_SECRET}",
		"api_key {env.KINDLY_API_KEY}",
		"transcript {\n\t\t\tapi " + s.kindly.URL + "\n\t\t}",
		"upstream " + s.desk.URL + "/tickets",
	}, more...)...)
}

// directive returns a kindly_webhook directive.
func directive(head string, subdirectives ...string) string {
	return "\tkindly_webhook " + head + " {\n\t\t" + strings.Join(subdirectives, "\n\t\t") + "\n\t}\n"
}

// site returns a site of some directives.
func site(address string, directives ...string) string {
	return address + " {\n" + strings.Join(directives, "\n") + "\n}\n"
}

// send sends a signed webhook, which must be answered. After a reload Caddy
// resets some connections; then it tries again.
func (s *sides) send(url string, webhook []byte) kindlytest.Response {
	s.t.Helper()
	ctx := within(s.t)
	for {
		response, err := s.kindly.Send(ctx, url, secret, webhook)
		if err == nil || ctx.Err() != nil {
			require.NoError(s.t, err)
			return response
		}
	}
}

// accepted sends a signed webhook, which must be accepted.
func (s *sides) accepted(url string, webhook []byte) kindlytest.Response {
	s.t.Helper()
	response := s.send(url, webhook)
	require.Equal(s.t, http.StatusOK, response.Status)
	return response
}

// waitTickets waits until the help desk has n tickets.
func (s *sides) waitTickets(n int) []kindlytest.Ticket {
	s.t.Helper()
	require.NoError(s.t, s.desk.Wait(within(s.t), n))
	return s.desk.Tickets()
}

// nextPort is below the ports that the kernel gives to those who want any, so
// that nobody takes one between its choice and its use.
var nextPort atomic.Int32

func init() { nextPort.Store(10_000 + int32(time.Now().UnixNano()/1000%18_000)) }

// freeAddress returns a loopback address with a port that is free.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", nextPort.Add(1))
		if listener, err := net.Listen("tcp", address); err == nil {
			require.NoError(t, listener.Close())
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// repositoryFile returns the absolute name of one of the repository's files.
func repositoryFile(t *testing.T, name string) string {
	t.Helper()
	absolute, err := filepath.Abs(filepath.Join("..", "..", filepath.FromSlash(name)))
	require.NoError(t, err)
	return absolute
}
