package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// signers are whose tokens are good.
type signers struct {
	rsa, ec           crypto.Signer
	pemFile, jwksFile string // with the public keys of rsa and ec
}

func newSigners(t *testing.T) *signers {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	require.NoError(t, err)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: ecKey.Public(), KeyID: "ec-1", Algorithm: "ES256", Use: "sig"}}})
	require.NoError(t, err)
	return &signers{
		rsa: rsaKey, ec: ecKey,
		pemFile:  file(t, "chat.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))),
		jwksFile: file(t, "chat.json", string(set)),
	}
}

// userToken returns the token of a user who is logged in, in a chat.
func userToken(t *testing.T, key crypto.Signer, keyID, chat string) string {
	t.Helper()
	token, err := kindlytest.SignToken(key, keyID, map[string]any{
		"iss": "shop", "sub": "user-4711", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
		"name": "Kari Nordmann", "email": markEmail, "email_verified": true,
		"chat": map[string]any{"id": chat, "webhook_domains": []string{"*.example.com"}},
	})
	require.NoError(t, err)
	return token
}

// sendAs sends a webhook with a user's token.
func (s *sides) sendAs(url, token string, webhook []byte) kindlytest.Response {
	s.t.Helper()
	response, err := s.kindly.SendAs(within(s.t), url, secret, token, webhook)
	require.NoError(s.t, err)
	return response
}

// customers returns the customers of the help desk's tickets, by their chats.
func (s *sides) customers(n int) map[string]kindlyhandler.Customer {
	s.t.Helper()
	customers := make(map[string]kindlyhandler.Customer)
	for _, ticket := range s.waitTickets(n) {
		var document kindlyhandler.Ticket
		require.NoError(s.t, json.Unmarshal(ticket.Body, &document))
		customers[document.Chat.ID] = document.Customer
	}
	return customers
}

// TestChatAuth has verified customers survive a crash while the help desk is
// down. Their tokens go no further than the check.
func TestChatAuth(t *testing.T) {
	t.Parallel()
	s, keys := newSides(t), newSigners(t)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	data, address := t.TempDir(), freeAddress(t)
	url := "http://" + address
	chatAuth := "chat_auth " + keys.pemFile + " " + keys.jwksFile
	sites := site(url, "log", s.webhook("/kindly", chatAuth, "reply_pending later"), s.webhook("/required strict", chatAuth+" {\n\t\t\trequired\n\t\t}", "reply_pending later"))
	s.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	c := startIn(t, data, "debug", sites)

	rs, es, forged := userToken(t, keys.rsa, "", "rs256"), userToken(t, keys.ec, "ec-1", "es256"), userToken(t, stranger, "", "forged")
	for chat, token := range map[string]string{"rs256": rs, "es256": es, "forged": forged, "other": rs} {
		response := s.sendAs(url+"/kindly", token, kindlytest.DialogueWebhookFor(chat))
		require.JSONEq(t, `{"reply": "later"}`, string(response.Body))
	}
	s.accepted(url+"/kindly", kindlytest.DialogueWebhookFor("nobody"))

	refused, err := s.kindly.Send(within(t), url+"/required", "a guess", kindlytest.DialogueWebhookFor("nobody"))
	require.NoError(t, err)
	for _, response := range []kindlytest.Response{
		s.send(url+"/required", kindlytest.DialogueWebhookFor("nobody")),
		s.sendAs(url+"/required", forged, kindlytest.DialogueWebhookFor("forged")),
		s.sendAs(url+"/required", rs, kindlytest.DialogueWebhookFor("other")),
	} {
		require.Equal(t, http.StatusUnauthorized, response.Status)
		require.Equal(t, string(refused.Body), string(response.Body), "as for a wrong signature")
	}
	require.Equal(t, http.StatusOK, s.sendAs(url+"/required", userToken(t, keys.ec, "", "strict"), kindlytest.DialogueWebhookFor("strict")).Status)
	s.accepted(url+"/required", kindlytest.TicketWebhookFor("ticket.created", "event"))

	metrics := c.metrics()
	for _, line := range []string{
		`{name="default",reason="",result="ok"} 2`,
		`{name="default",reason="",result="missing"} 1`,
		`{name="default",reason="signature",result="bad"} 1`,
		`{name="default",reason="chat",result="bad"} 1`,
		`{name="strict",reason="",result="missing"} 1`,
		`{name="strict",reason="",result="ok"} 1`,
	} {
		require.Contains(t, metrics, "caddy_kindly_chat_tokens_total"+line+"\n")
	}
	c.stop(syscall.SIGKILL)

	stored, err := os.ReadFile(c.deliveries())
	require.NoError(t, err)
	require.Contains(t, string(stored), "user-4711", "who was verified")
	s.desk.Recover()
	again := startIn(t, data, "debug", sites)
	customers := s.customers(7)
	for _, chat := range []string{"rs256", "es256", "strict"} {
		customer := customers[chat]
		require.True(t, customer.Verified, chat)
		require.Equal(t, "user-4711", *customer.ID)
		require.Equal(t, "Kari Nordmann", *customer.Name)
		require.Equal(t, markEmail, *customer.Email)
	}
	for _, chat := range []string{"forged", "other", "nobody", "event"} {
		require.Contains(t, customers, chat)
		require.False(t, customers[chat].Verified, chat)
	}
	require.Zero(t, again.stop(terminate))

	for _, line := range []string{"user token not accepted: the ticket goes out unverified", `"reason":"chat_auth"`} {
		require.Contains(t, c.out.String(), line)
	}
	for _, token := range []string{rs, es, forged} {
		signature := token[strings.LastIndex(token, ".")+1:]
		require.NotContains(t, string(stored), signature)
		for _, printed := range []string{c.out.String(), again.out.String()} {
			require.NotContains(t, printed, signature)
			require.NotContains(t, printed, markEmail)
		}
		for _, request := range s.desk.Requests() {
			require.NotContains(t, request.Header, "Authorization")
		}
	}
}

// metrics returns what Caddy's admin API tells a scraper.
func (c *caddy) metrics() string {
	response, err := http.Get("http://" + c.admin + "/metrics")
	require.NoError(c.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	return string(body)
}

// TestChatAuthMiddleware has what is behind get no token, be it a program or an
// error page.
func TestChatAuthMiddleware(t *testing.T) {
	t.Parallel()
	s, keys := newSides(t), newSigners(t)
	address, desk := freeAddress(t), strings.TrimPrefix(s.desk.URL, "http://")
	start(t, "", site("http://"+address, "log",
		"handle /kindly {",
		directive("", "secret {env.KINDLY_SECRET}", "transcript off", "chat_auth "+keys.pemFile+" {\n\t\t\trequired\n\t\t}"),
		"reverse_proxy "+desk+" {", "header_up X-Email {kindly.customer.email}", "}",
		"}",
		`handle_errors {`, `respond "[{http.request.header.Authorization}]"`, `}`))
	url := "http://" + address + "/kindly"
	require.Equal(t, http.StatusCreated, s.sendAs(url, userToken(t, keys.rsa, "", "chat-1"), kindlytest.DialogueWebhookFor("chat-1")).Status)
	require.True(t, s.customers(1)["chat-1"].Verified)
	require.Equal(t, markEmail, s.desk.Requests()[0].Header.Get("X-Email"))

	refused := s.sendAs(url, userToken(t, keys.ec, "", "chat-1"), kindlytest.DialogueWebhookFor("chat-1"))
	require.Equal(t, http.StatusUnauthorized, refused.Status)
	require.Equal(t, "[]", string(refused.Body))
	requests := s.desk.Requests()
	require.Len(t, requests, 1)
	require.NotContains(t, requests[0].Header, "Authorization")
}

func TestSendToken(t *testing.T) {
	t.Parallel()
	s, keys := newSides(t), newSigners(t)
	address := freeAddress(t)
	start(t, "", site("http://"+address, s.webhook("/kindly", "chat_auth "+keys.pemFile+" {\n\t\t\trequired\n\t\t}")))
	const exampleChat = "5a3a38dfd923ba4238c70ca0"
	token := userToken(t, keys.rsa, "", exampleChat)
	send := func(input string, args ...string) (int, string) {
		return call(t, []string{"KINDLY_SECRET=" + secret}, strings.NewReader(input), "kindly-caddy",
			append([]string{"kindly", "send", "--url", "http://" + address + "/kindly"}, args...)...)
	}
	status, printed := send("")
	require.Equal(t, 1, status)
	require.Contains(t, printed, "401 Unauthorized")
	status, printed = send("", "--token", file(t, "token.jwt", token+"\n"))
	require.Zero(t, status, printed)
	require.True(t, s.customers(1)[exampleChat].Verified)

	another := userToken(t, keys.rsa, "", "chat-2")
	status, printed = send(another, "--token", "-", file(t, "webhook.json", string(kindlytest.DialogueWebhookFor("chat-2"))))
	require.Zero(t, status, printed)
	status, printed = send(string(kindlytest.DialogueWebhookFor("chat-2")), "--token", file(t, "token.jwt", another), "-")
	require.Zero(t, status, printed)
	require.True(t, s.customers(2)["chat-2"].Verified)

	for want, args := range map[string][]string{
		"standard input cannot be both the webhook and the token": {"--token", "-", "-"},
		"that is no token: write a file with a JWT in one line":   {"--token", file(t, "empty", "\n")},
		"no such file": {"--token", "missing.jwt"},
	} {
		status, printed := send("", args...)
		require.Equal(t, 1, status)
		require.Contains(t, printed, want)
	}
	status, printed = send("", "--token", file(t, "two", token+"\n"+token))
	require.Equal(t, 1, status)
	require.Contains(t, printed, "that is no token")
	require.NotContains(t, printed, token)
}

// TestExampleJiraServiceManagement has a request raised by the customer only if
// that is proven.
func TestExampleJiraServiceManagement(t *testing.T) {
	t.Parallel()
	s, keys := newSides(t), newSigners(t)
	address := freeAddress(t)
	caddy := run(t, []string{
		"KINDLY_SITE=http://" + address, "KINDLY_SECRET=" + secret, "KINDLY_API=" + s.kindly.URL, "KINDLY_API_KEY=" + apiKey,
		"CHAT_PUBLIC_KEY=" + keys.pemFile, "JIRA_URL=" + s.desk.URL, "JIRA_EMAIL=agent@acme.example", "JIRA_TOKEN=a-token",
		"CADDY_ADMIN=" + freeAddress(t),
	}, "kindly-caddy", "run", "--adapter", "caddyfile", "--config", repositoryFile(t, "examples/jira-service-management/Caddyfile"))
	caddy.waitFor("serving initial configuration")
	url := "http://" + address + "/kindly"

	s.sendAs(url, userToken(t, keys.rsa, "", "chat-1"), kindlytest.DialogueWebhookFor("chat-1"))
	s.sendAs(url, userToken(t, keys.ec, "", "chat-2"), kindlytest.DialogueWebhookFor("chat-2"))
	for i, customer := range []string{markEmail, ""} {
		ticket := s.waitTickets(2)[i]
		require.Equal(t, "/rest/servicedeskapi/request", ticket.URI)
		var request struct {
			RaiseOnBehalfOf    string
			ServiceDeskID      string
			RequestFieldValues struct{ Description json.RawMessage }
		}
		require.NoError(t, json.Unmarshal(ticket.Body, &request))
		require.Equal(t, customer, request.RaiseOnBehalfOf)
		require.Equal(t, "10", request.ServiceDeskID)
		require.Equal(t, customer != "", strings.Contains(string(request.RequestFieldValues.Description), "Verified:"))
	}
}
