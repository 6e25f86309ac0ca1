package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// oauth2Sides are sides whose help desk wants a token.
type oauth2Sides struct {
	*sides
	tokens *kindlytest.TokenEndpoint
	caddy  *caddy
	url    string // of the webhook
}

// newOAuth2Sides starts Caddy with a client secret, once it is known what tokens
// are like.
func newOAuth2Sides(t *testing.T, lifetime time.Duration, clientSecret string) *oauth2Sides {
	t.Helper()
	s := &oauth2Sides{sides: newSides(t), tokens: kindlytest.NewTokenEndpoint()}
	t.Cleanup(s.tokens.Close)
	s.tokens.Lifetime, s.desk.Tokens = lifetime, s.tokens
	address := freeAddress(t)
	s.url = "http://" + address + "/kindly"
	s.caddy = start(t, "debug", site("http://"+address, directive("/kindly",
		"secret {env.KINDLY_SECRET}", "transcript off", "reply {kindly.ticket.id}", "reply_pending later", "upstream "+s.desk.URL+" {",
		"oauth2 "+s.tokens.URL+" "+s.tokens.ClientID+" {file."+file(t, "secret", clientSecret)+"} tickets", "}")))
	t.Cleanup(func() {
		for _, wrong := range []string{s.tokens.ClientSecret, clientSecret, "kindlytest-token-"} {
			if strings.Contains(s.caddy.out.String(), wrong) {
				t.Errorf("Caddy's output has %q", wrong)
			}
		}
	})
	return s
}

func (s *oauth2Sides) told(chat string) string {
	s.t.Helper()
	var answer struct{ Reply string }
	require.NoError(s.t, json.Unmarshal(s.accepted(s.url, kindlytest.DialogueWebhookFor(chat)).Body, &answer))
	return answer.Reply
}

// TestOAuth2_expiry proves that a token which has expired is never used.
func TestOAuth2_expiry(t *testing.T) {
	t.Parallel()
	s := newOAuth2Sides(t, time.Second, "kindlytest-secret")
	require.Equal(t, "4711", s.told("a"))
	s.caddy.eventually("the token has expired", func() bool { return !s.tokens.Accepts("Bearer kindlytest-token-1") })
	require.Equal(t, "4712", s.told("b"))
	require.Equal(t, 2, s.tokens.Issued())
	require.Equal(t, 2, s.desk.Attempts())
	require.Equal(t, "tickets", s.tokens.Requests()[0].Form.Get("scope"))
}

// TestOAuth2_revoked proves that one which is refused is replaced at once, and
// the ticket sent again under the same key.
func TestOAuth2_revoked(t *testing.T) {
	t.Parallel()
	s := newOAuth2Sides(t, 0, "kindlytest-secret")
	require.Equal(t, "4711", s.told("a"))
	s.tokens.Revoke()
	require.Equal(t, "4712", s.told("b"))
	require.Equal(t, "4713", s.told("c"))
	require.Equal(t, 2, s.tokens.Issued())
	requests := s.desk.Requests()
	require.Len(t, requests, 4)
	require.Equal(t, requests[1].Header.Get("Idempotency-Key"), requests[2].Header.Get("Idempotency-Key"))

	response, err := http.Get("http://" + s.caddy.admin + "/config/")
	require.NoError(t, err)
	defer response.Body.Close()
	config, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(config), `"client_secret":"{file.`)
	require.NotContains(t, string(config), s.tokens.ClientSecret)
}

// TestOAuth2_endpointDown proves that a ticket waits for a token, and is then
// delivered once.
func TestOAuth2_endpointDown(t *testing.T) {
	t.Parallel()
	s := newOAuth2Sides(t, time.Hour, "kindlytest-secret")
	s.tokens.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	require.Equal(t, "later", s.told("a"))
	require.Zero(t, s.desk.Attempts())
	s.tokens.Recover()
	s.waitTickets(1)
	s.caddy.eventually("it is known to be delivered", func() bool { return len(s.caddy.list("--state", "delivered")) == 1 })
	require.Equal(t, 1, s.desk.Attempts())
	require.Equal(t, 1, s.tokens.Issued())
}

// TestOAuth2_wrongSecret proves that the operator is told, and nothing is lost.
func TestOAuth2_wrongSecret(t *testing.T) {
	t.Parallel()
	s := newOAuth2Sides(t, time.Hour, "not-the-s3cr3t")
	require.Equal(t, "later", s.told("a"))
	s.caddy.waitFor("upstream paused")
	s.caddy.waitFor("the token endpoint answered 401 Unauthorized, invalid_client: check client id and client secret")
	require.Equal(t, "later", s.told("b"))
	require.Len(t, s.caddy.list("--state", "pending"), 2)
	require.Zero(t, s.desk.Attempts())
	require.Len(t, s.tokens.Requests(), 2, "both ways to log in, and no more while paused")
}
