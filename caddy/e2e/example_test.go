package e2e

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// runExample runs the Caddyfile of an example and its receiver.
func (s *sides) runExample(name string) (url string, receiver *process) {
	s.t.Helper()
	address, desk := freeAddress(s.t), freeAddress(s.t)
	const token = "the-token-of-the-help-desk"
	const signature = "HELPDESK_SIGNATURE=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	verifies := []string{"HELPDESK_TOKEN=" + token}
	if name == "own-api" {
		verifies = append(verifies, signature)
	}
	receiver = run(s.t, verifies, "receiver", "-listen", desk)
	receiver.waitFor("taking tickets at http://" + desk + "/tickets")
	caddy := run(s.t, []string{
		"KINDLY_SITE=http://" + address,
		"KINDLY_SECRET=" + secret,
		"KINDLY_VERIFY_TOKEN=" + verifyToken,
		"KINDLY_API=" + s.kindly.URL,
		"KINDLY_API_KEY=" + apiKey,
		"HELPDESK_URL=http://" + desk + "/tickets",
		"HELPDESK_ADDRESS=" + desk,
		"HELPDESK_TOKEN=" + token,
		signature,
		"CADDY_ADMIN=" + freeAddress(s.t),
	}, "kindly-caddy", "run", "--adapter", "caddyfile", "--config", repositoryFile(s.t, "examples/"+name+"/Caddyfile"))
	caddy.waitFor("serving initial configuration")
	return "http://" + address, receiver
}

func TestExampleOwnAPI(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	url, receiver := s.runExample("own-api")

	response := s.accepted(url+"/kindly", kindlytest.DialogueWebhook())
	ticket := regexp.MustCompile(`http://\S+/tickets`).FindString(receiver.out.String()) + "/1"
	require.JSONEq(t, `{
		"reply": "Ticket 1 created. We answer by e-mail.",
		"buttons": [{"type": "link", "label": "See the ticket", "value": "`+ticket+`"}],
		"new_context": {"ticket_id": "1"}
	}`, string(response.Body))
	receiver.waitFor("Ticket 1: create ticket\nFrom: unknown <me@example.com>\n")
	again := s.accepted(url+"/kindly", kindlytest.DialogueWebhook())
	require.Equal(t, string(response.Body), string(again.Body))
	s.accepted(url+"/kindly", kindlytest.TicketWebhook())
	receiver.waitFor("Ticket 2: ")

	handshake, err := s.kindly.Handshake(within(t), url+"/kindly", verifyToken, "a challenge")
	require.NoError(t, err)
	require.Equal(t, "a challenge", string(handshake.Body))
	elsewhere, err := http.Get(url)
	require.NoError(t, err)
	require.NoError(t, elsewhere.Body.Close())
	require.Equal(t, http.StatusNotFound, elsewhere.StatusCode)
}

func TestExampleMiddleware(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	url, receiver := s.runExample("middleware")

	response := s.accepted(url+"/kindly", kindlytest.DialogueWebhook())
	require.Contains(t, string(response.Body), `"reply":"Ticket 1 created."`)
	receiver.waitFor("Ticket 1: create ticket\nFrom: unknown <me@example.com>\n")
	refused, err := s.kindly.Send(within(t), url+"/kindly", "a guess", kindlytest.DialogueWebhook())
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, refused.Status)
}
