package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// TestDialogue follows one webhook the whole way.
func TestDialogue(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	start(t, "debug", site("http://"+address, "log", s.webhook("/kindly",
		`reply "Ticket {kindly.ticket.id} created. Check your inbox ({kindly.customer.email})."`,
		"new_context ticket {kindly.ticket.url}", "exchange_slug created-{kindly.ticket.id}")))

	response := s.accepted("http://"+address+"/kindly", kindlytest.DialogueWebhook())
	require.Equal(t, "application/json", response.Header.Get("Content-Type"))
	require.JSONEq(t, `{
		"reply": "Ticket 4711 created. Check your inbox (me@example.com).",
		"new_context": {"ticket": "`+s.desk.URL+`/tickets/4711"},
		"exchange_slug": "created-4711"
	}`, string(response.Body))

	tickets := s.waitTickets(1)
	require.Equal(t, http.MethodPost, tickets[0].Method)
	require.Equal(t, "/tickets", tickets[0].URI)
	require.True(t, strings.HasPrefix(tickets[0].Header.Get("User-Agent"), "caddy-kindly"))
	var ticket kindlyhandler.Ticket
	require.NoError(t, json.Unmarshal(tickets[0].Body, &ticket))
	require.Equal(t, "dialogue", ticket.Event)
	require.Equal(t, "create ticket", ticket.Subject)
	require.NotNil(t, ticket.Customer.Email)
	require.Equal(t, "me@example.com", *ticket.Customer.Email)
	require.NotEmpty(t, ticket.Messages)
	require.NotNil(t, ticket.Transcript)
	require.Equal(t, tickets[0].IdempotencyKey, ticket.ID.String())
	require.Equal(t, "Bearer "+apiKey, s.kindly.Requests()[0].Header.Get("Authorization"))

	again := s.accepted("http://"+address+"/kindly", kindlytest.DialogueWebhook())
	require.Equal(t, string(response.Body), string(again.Body))
	require.Equal(t, 1, s.desk.Attempts())
}

func TestTicketEvent(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	start(t, "debug", site("http://"+address, "log", s.webhook("/kindly", "events ticket.created")))

	response := s.accepted("http://"+address+"/kindly", kindlytest.TicketWebhookFor("ticket.created", "chat-1"))
	require.JSONEq(t, "{}", string(response.Body))
	var ticket kindlyhandler.Ticket
	require.NoError(t, json.Unmarshal(s.waitTickets(1)[0].Body, &ticket))
	require.Equal(t, "ticket.created", ticket.Event)
	require.NotNil(t, ticket.Transcript, "the event carries the chat")
	require.Zero(t, s.kindly.Count())

	ignored := s.accepted("http://"+address+"/kindly", kindlytest.TicketWebhookFor("ticket.updated", "chat-1"))
	require.JSONEq(t, "{}", string(ignored.Body))
	require.Equal(t, 1, s.desk.Attempts())
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	start(t, "", site("http://"+address, "log", s.webhook("/kindly", "verify_token {env.KINDLY_VERIFY_TOKEN}")))

	response, err := s.kindly.Handshake(within(t), "http://"+address+"/kindly", verifyToken, "a <b> challenge")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.Status)
	require.Equal(t, "a <b> challenge", string(response.Body))
	require.Equal(t, "text/plain; charset=utf-8", response.Header.Get("Content-Type"))
	require.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"))

	response, err = s.kindly.Handshake(within(t), "http://"+address+"/kindly", "a guess", "a challenge")
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, response.Status)
	require.Empty(t, response.Body)
}

// TestBracesInSecrets proves that a secret may have them.
func TestBracesInSecrets(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	start(t, "", site("http://"+address,
		directive("/kindly", `secret "a\{b}c"`, "transcript off", "upstream "+s.desk.URL)))
	response, err := s.kindly.Send(within(t), "http://"+address+"/kindly", "a{b}c", kindlytest.DialogueWebhook())
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.Status)
}

// TestExampleCaddyfile runs the example of the repository's root.
func TestExampleCaddyfile(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	p := run(t, []string{
		"KINDLY_SITE=http://" + address,
		"KINDLY_SECRET=" + secret,
		"KINDLY_API=" + s.kindly.URL,
		"KINDLY_API_KEY=" + apiKey,
		"KINDLY_UPSTREAM=" + s.desk.URL + "/tickets",
		"CADDY_ADMIN=" + freeAddress(t),
	}, "kindly-caddy", "run", "--adapter", "caddyfile", "--config", repositoryFile(t, "Caddyfile.example"))
	p.waitFor("serving initial configuration")
	response := s.accepted("http://"+address+"/kindly", kindlytest.DialogueWebhook())
	require.JSONEq(t, `{"reply": "Ticket 4711 created. Check your inbox (me@example.com) for updates."}`, string(response.Body))
}
