package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// TestValidateBesideServer proves that `caddy validate` says what is wrong,
// and does nothing to a server that runs.
func TestValidateBesideServer(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	s.desk.FailNext(1, kindlytest.Status(http.StatusServiceUnavailable))
	address := freeAddress(t)
	good := site("http://"+address, s.webhook("/kindly"))
	c := start(t, "", good)
	s.accepted("http://"+address+"/kindly", kindlytest.DialogueWebhookFor("pending"))

	validate := func(sites string) (int, string) {
		env := []string{"KINDLY_SECRET=" + secret, "KINDLY_API_KEY=" + apiKey}
		return call(t, env, nil, "kindly-caddy", "validate", "--adapter", "caddyfile", "--config", file(t, "Caddyfile", c.caddyfile("", sites)))
	}
	status, printed := validate(good)
	require.Zero(t, status, printed)
	require.Contains(t, printed, "Valid configuration")

	status, printed = validate(site("http://"+address, s.webhook("/kindly", "secret")))
	require.Equal(t, 1, status)
	require.Regexp(t, "secret has no value: write `secret <secret...>`, at .*Caddyfile:15", printed)

	status, printed = validate(site("http://"+address, s.webhook("/kindly shop", "verify_token {env.KINDLY_UNSET}")))
	require.Equal(t, 1, status)
	require.Contains(t, printed, `kindly_webhook \"shop\": verify_token: placeholder {env.KINDLY_UNSET} has no value: set it before Caddy starts`)
	require.NotContains(t, printed, secret)

	s.accepted("http://"+address+"/kindly", kindlytest.DialogueWebhookFor("after"))
	s.waitTickets(2)
	c.running()
}

// TestWarnsOfWholeSite proves that the operator is told of a missing matcher,
// where it is one.
func TestWarnsOfWholeSite(t *testing.T) {
	t.Parallel()
	webhook := directive("", "secret s", "transcript off", "upstream https://helpdesk.example.com")
	const warning = "kindly_webhook has no matcher and takes the whole site: give it a path, such as `kindly_webhook /kindly`"
	for caddyfile, warns := range map[string]bool{
		site("http://localhost", webhook):                                                   true,
		site("http://localhost", directive("* shop", "secret s")):                           true,
		site("http://localhost", strings.Replace(webhook, "webhook", "webhook /kindly", 1)): false,
		site("http://localhost", "handle /kindly {", webhook, "}"):                          false,
		site("http://localhost", "@a path /a\nroute @a {", webhook, "}"):                    false,
	} {
		status, printed := call(t, nil, nil, "kindly-caddy", "adapt", "--adapter", "caddyfile", "--config", file(t, "Caddyfile", caddyfile))
		require.Zero(t, status, printed)
		require.Equal(t, warns, strings.Contains(printed, warning), caddyfile)
	}
}
