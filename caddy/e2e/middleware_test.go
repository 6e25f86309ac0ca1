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

// TestMiddleware has kindly_webhook in front of reverse_proxy.
func TestMiddleware(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	start(t, "debug", site("http://"+address, "log", onError,
		"handle /kindly* {",
		directive("", "secret {env.KINDLY_SECRET}", "verify_token {env.KINDLY_VERIFY_TOKEN}", "api_key {env.KINDLY_API_KEY}", "events dialogue",
			"transcript {\n\t\t\tapi "+s.kindly.URL+"\n\t\t}"),
		"\treverse_proxy "+strings.TrimPrefix(s.desk.URL, "http://")+" {",
		"\t\theader_up X-Chat {kindly.chat.id}",
		"\t\theader_up X-Message {kindly.message}",
		"\t\theader_up X-Email {kindly.customer.email}",
		"\t}",
		"}",
		`respond "not for Kindly"`))
	url := "http://" + address + "/kindly"

	response := s.send(url, kindlytest.DialogueWebhookFor("chat-1"))
	require.Equal(t, http.StatusCreated, response.Status, "as the next handler has it")
	require.JSONEq(t, `{"id": 4711, "url": "`+s.desk.URL+`/tickets/4711"}`, string(response.Body))
	passed := s.waitTickets(1)[0]
	var ticket kindlyhandler.Ticket
	require.NoError(t, json.Unmarshal(passed.Body, &ticket))
	require.Equal(t, "chat-1", ticket.Chat.ID)
	require.NotNil(t, ticket.Transcript)
	require.Equal(t, "chat-1", passed.Header.Get("X-Chat"))
	require.Equal(t, "create ticket", passed.Header.Get("X-Message"))
	require.Equal(t, "me@example.com", passed.Header.Get("X-Email"))
	require.Equal(t, "application/json", passed.Header.Get("Content-Type"))
	require.Empty(t, passed.Header.Get(kindlyhandler.SignatureHeader), "it signs another body")
	require.Empty(t, passed.Header.Get(kindlyhandler.AlgorithmHeader))

	// What a visitor wrote is put in as it is, and is no header of its own.
	for _, hostile := range []string{"{env.KINDLY_SECRET}", "../../admin?x=1#%2f", "{kindly.customer.email}", `"quoted"`} {
		n := s.desk.Count()
		require.Equal(t, http.StatusCreated, s.send(url, kindlytest.DialogueWebhookFor(hostile)).Status)
		passed := s.waitTickets(n + 1)[n]
		require.Equal(t, hostile, passed.Header.Get("X-Chat"))
		require.Equal(t, "/kindly", passed.URI)
	}
	n := s.desk.Count()
	lines := strings.Replace(string(kindlytest.DialogueWebhookFor("chat\r\nX-Admin: yes")), "create ticket", `help\nme\u0000\u0007`, 1)
	require.Equal(t, http.StatusCreated, s.send(url, []byte(lines)).Status)
	passed = s.waitTickets(n + 1)[n]
	require.Equal(t, "chat  X-Admin: yes", passed.Header.Get("X-Chat"))
	require.Empty(t, passed.Header.Get("X-Admin"))

	// Nothing of it is for the next handler.
	n = s.desk.Attempts()
	refused, err := s.kindly.Send(within(t), url, "a guess", kindlytest.DialogueWebhook())
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, refused.Status)
	require.Equal(t, "sorry: 401 Unauthorized", string(refused.Body))
	require.JSONEq(t, "{}", string(s.accepted(url, kindlytest.TicketWebhook()).Body), "an event that is left out")
	handshake, err := s.kindly.Handshake(within(t), url, verifyToken, "a challenge")
	require.NoError(t, err)
	require.Equal(t, "a challenge", string(handshake.Body))
	require.Equal(t, n, s.desk.Attempts())

	// Without the transcript the ticket goes on, and says why.
	s.kindly.Fail(kindlytest.Status(http.StatusInternalServerError))
	require.Equal(t, http.StatusCreated, s.send(url, kindlytest.DialogueWebhookFor("chat-2")).Status)
	require.NoError(t, json.Unmarshal(s.waitTickets(s.desk.Count())[s.desk.Count()-1].Body, &ticket))
	require.NotNil(t, ticket.TranscriptError)

	// The next handler's failure is Kindly's to see.
	s.desk.Fail(kindlytest.Status(http.StatusTeapot))
	require.Equal(t, http.StatusTeapot, s.send(url, kindlytest.DialogueWebhook()).Status)
}
