package e2e

import (
	"bufio"
	"bytes"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

func TestListModules(t *testing.T) {
	t.Parallel()
	status, printed := call(t, nil, nil, "kindly-caddy", "list-modules")
	require.Zero(t, status)
	modules := strings.Fields(printed)
	require.Contains(t, modules, "http.handlers.kindly_webhook")
	require.Contains(t, modules, "kindly")
	require.Contains(t, modules, "kindly.stores.bolt")
	require.Contains(t, modules, "kindly.stores.postgres")
	require.Contains(t, modules, "kindly.stores.memory")
	require.Contains(t, modules, "admin.api.kindly")
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"help", "kindly"}, {"kindly"}, {"kindly", "--help"}} {
		status, printed := call(t, nil, nil, "kindly-caddy", args...)
		require.Zero(t, status, printed)
		for _, command := range []string{"caddy kindly demo", "caddy kindly send", "caddy kindly sign", "caddy kindly doctor", "caddy kindly status", "caddy kindly deliveries", "caddy kindly page"} {
			require.Contains(t, printed, command)
		}
	}
	status, printed := call(t, nil, nil, "kindly-caddy", "kindly", "sent")
	require.Equal(t, 1, status)
	require.Contains(t, printed, `unknown command "sent"`)
}

// TestSign posts a body with the headers that the command prints.
func TestSign(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	start(t, "", site("http://"+address, s.webhook("/kindly")))
	body := kindlytest.DialogueWebhook()
	env := []string{"KINDLY_SECRET=" + secret}

	status, headers := call(t, env, bytes.NewReader(body), "kindly-caddy", "kindly", "sign")
	require.Zero(t, status, headers)
	status, fromFile := call(t, nil, nil, "kindly-caddy", "kindly", "sign", "--secret", secret, file(t, "webhook.json", string(body)))
	require.Zero(t, status, fromFile)
	require.Equal(t, headers, fromFile)

	request, err := http.NewRequest(http.MethodPost, "http://"+address+"/kindly", bytes.NewReader(body))
	require.NoError(t, err)
	for line := range strings.Lines(headers) {
		name, value, found := strings.Cut(strings.TrimSpace(line), ": ")
		require.True(t, found, line)
		request.Header.Set(name, value)
	}
	require.Len(t, request.Header, 2)
	response, err := s.kindly.Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.Status)

	status, printed := call(t, []string{"KINDLY_SECRET="}, bytes.NewReader(body), "kindly-caddy", "kindly", "sign")
	require.Equal(t, 1, status)
	require.Contains(t, printed, "no secret: set KINDLY_SECRET, or write --secret <secret>")
}

func TestSend(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	https := strings.Replace(freeAddress(t), "127.0.0.1", "localhost", 1)
	c := start(t, "default_bind 127.0.0.1", site("http://"+address, s.webhook("/kindly http"))+site("https://"+https, "tls internal", s.webhook("/kindly https")))
	url := "http://" + address + "/kindly"
	env := []string{"KINDLY_SECRET=" + secret}
	send := func(args ...string) (int, string) {
		return call(t, env, strings.NewReader(string(kindlytest.DialogueWebhookFor("from-stdin"))), "kindly-caddy", append([]string{"kindly", "send", "--url"}, args...)...)
	}

	status, printed := send(url)
	require.Zero(t, status, printed)
	require.Regexp(t, `^200 OK after \d+ms\n\{\n  "reply": "Thank you`, printed)
	s.waitTickets(1)
	status, printed = send(url)
	require.Zero(t, status, printed)
	require.Equal(t, 1, s.desk.Attempts(), "the example is the same each time")
	for i, args := range [][]string{
		{url, "--new-chat"},
		{url, "--new-chat"},
		{url, "--example", "ticket"},
		{url, "--example", "ticket", "--new-chat"},
		{url, "-"},
		{url, file(t, "webhook.json", string(kindlytest.DialogueWebhookFor("from-file")))},
	} {
		status, printed := send(args...)
		require.Zero(t, status, printed)
		s.waitTickets(i + 2)
	}

	n := s.desk.Count()
	trust(t, c, strings.Replace(https, "localhost", "127.0.0.1", 1))
	root := filepath.Join(c.data, "caddy", "pki", "authorities", "local", "root.crt")
	status, printed = send("https://"+https+"/kindly", "--cacert", root)
	require.Zero(t, status, printed)
	s.waitTickets(n + 1)
	status, printed = send("https://" + https + "/kindly")
	require.Equal(t, 1, status)
	require.Contains(t, printed, "certificate")

	status, printed = call(t, []string{"KINDLY_SECRET=a guess"}, nil, "kindly-caddy", "kindly", "send", "--url", url)
	require.Equal(t, 1, status)
	require.Contains(t, printed, "401 Unauthorized after")
	require.Contains(t, printed, "the webhook was not accepted; the server's log says why")
	require.NotContains(t, printed, "Usage:")

	status, printed = send(url, "--example", "nothing")
	require.Equal(t, 1, status)
	require.Contains(t, printed, `no example "nothing": write dialogue or ticket`)
}

// TestDemo reads what a newcomer reads, and does what it proposes.
func TestDemo(t *testing.T) {
	t.Parallel()
	p := run(t, nil, "kindly-caddy", "kindly", "demo")
	p.waitFor("Ctrl+C ends the demo.")
	shown := p.out.String()
	for _, words := range []string{
		"which calls it number 4711", "me@example.com", "Ticket 4711 created. Check your inbox (me@example.com) for updates.",
		"A forged webhook is answered 401.", "the help desk still has 1 ticket.",
	} {
		require.Contains(t, shown, words)
	}
	require.NotContains(t, shown, `"level"`, "no log lines")

	proposal := regexp.MustCompile(`KINDLY_SECRET=(\S+) \S+ (kindly send --url \S+ --new-chat)`).FindStringSubmatch(shown)
	require.NotNil(t, proposal)
	status, printed := call(t, []string{"KINDLY_SECRET=" + proposal[1]}, nil, "kindly-caddy", strings.Fields(proposal[2])...)
	require.Zero(t, status, printed)
	require.Contains(t, printed, "Ticket 4712 created.")
	p.waitFor("Ticket 4712 has arrived.")

	page := regexp.MustCompile(`http://\S+/tickets/4711`).FindString(shown)
	response, err := http.Get(page)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)

	require.Zero(t, p.stop(syscall.SIGINT))
	require.NoDirExists(t, filepath.Join(p.dir(), "data", "caddy", "kindly"), "it leaves no deliveries")
	lines := bufio.NewScanner(strings.NewReader(shown))
	for lines.Scan() {
		require.NotContains(t, lines.Text(), "\t", "tabs look different everywhere")
	}
	require.Contains(t, shown, kindlyhandler.SignatureHeader)
}

// TestDemoListens proves that the demo's secret, which is none, works nowhere
// else.
func TestDemoListens(t *testing.T) {
	t.Parallel()
	status, printed := call(t, nil, nil, "kindly-caddy", "kindly", "demo", "--listen", "0.0.0.0:0")
	require.Equal(t, 1, status)
	require.Contains(t, printed, "0.0.0.0:0 is not a loopback address: the demo's secret is no secret; write 127.0.0.1:<port>")

	address := freeAddress(t)
	p := run(t, nil, "kindly-caddy", "kindly", "demo", "--listen", address)
	p.waitFor("Ctrl+C ends the demo.")
	require.Contains(t, p.out.String(), "POST http://"+address+"/kindly")
	require.Zero(t, p.stop(syscall.SIGTERM))
}
