package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// system simulates a ticket system, as far as its vendor documents how it
// takes a ticket.
type system struct {
	*httptest.Server
	// answer is what it says of a ticket; %s is its own URL.
	status int
	answer string

	mu   sync.Mutex
	seen []systemRequest
	down int // how many requests more find it down
}

type systemRequest struct {
	method, path, authorization, key string
	body                             string
}

func newSystem(t *testing.T, status int, answer string) *system {
	t.Helper()
	s := &system{status: status, answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(s.take))
	t.Cleanup(s.Close)
	return s
}

func (s *system) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, systemRequest{r.Method, r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("Idempotency-Key"), string(body)})
	if s.down > 0 {
		s.down--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if s.answer != "ok" { // Slack's is the one that is no JSON
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(s.status)
	_, _ = io.WriteString(w, strings.ReplaceAll(s.answer, "%s", s.URL))
}

func (s *system) fail(requests int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = requests
}

func (s *system) requests() []systemRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]systemRequest(nil), s.seen...)
}

// systemExample is an example whose tickets go to a ticket system.
type systemExample struct {
	// env has the variables of the example's own; %s is the system's URL.
	env []string
	// The system's answer.
	status int
	answer string
	// What it gets.
	path, authorization string
	fields              map[string]string // of the body, by gjson's path
	// What the chat is told of it.
	id, url string // %s is the system's URL
}

var systemExamples = map[string]systemExample{
	"github": {
		env:           []string{"GITHUB_API=%s", "GITHUB_TOKEN=github-token"},
		status:        http.StatusCreated,
		answer:        `{"id": 1, "number": 1347, "state": "open", "html_url": "https://github.com/acme/support/issues/1347"}`,
		path:          "/repos/acme/support/issues",
		authorization: "Bearer github-token",
		fields:        map[string]string{"title": "create ticket", "labels": `["chatbot","label1","label2"]`},
		id:            "1347",
		url:           "https://github.com/acme/support/issues/1347",
	},
	"jira-service-management": {
		env:           []string{"JIRA_URL=%s", "JIRA_EMAIL=bot@example.com", "JIRA_TOKEN=jira-token"},
		status:        http.StatusCreated,
		answer:        `{"issueId": "107001", "issueKey": "HELPDESK-1", "_links": {"web": "%s/servicedesk/customer/portal/10/HELPDESK-1"}}`,
		path:          "/rest/servicedeskapi/request",
		authorization: "Basic Ym90QGV4YW1wbGUuY29tOmppcmEtdG9rZW4=",
		fields:        map[string]string{"serviceDeskId": "10", "requestTypeId": "25", "requestFieldValues.summary": "create ticket"},
		id:            "HELPDESK-1",
		url:           "%s/servicedesk/customer/portal/10/HELPDESK-1",
	},
	"request-tracker": {
		env:           []string{"RT_URL=%s", "RT_TOKEN=rt-token"},
		status:        http.StatusCreated,
		answer:        `{"id": "42", "type": "ticket", "_url": "%s/REST/2.0/ticket/42"}`,
		path:          "/REST/2.0/ticket",
		authorization: "token rt-token",
		fields:        map[string]string{"Queue": "Support", "Subject": "create ticket", "Requestor": "me@example.com", "ContentType": "text/html"},
		id:            "42",
		url:           "%s/Ticket/Display.html?id=42",
	},
	"slack": {
		env:    []string{"SLACK_WEBHOOK=%s/services/T0/B0/secret"},
		status: http.StatusOK,
		answer: "ok",
		path:   "/services/T0/B0/secret",
		fields: map[string]string{"text": "create ticket", "blocks.0.text.text": "create ticket", "blocks.#": "3"},
	},
	"zendesk": {
		env:           []string{"ZENDESK_URL=%s", "ZENDESK_EMAIL=agent@example.com", "ZENDESK_TOKEN=zendesk-token"},
		status:        http.StatusCreated,
		answer:        `{"ticket": {"id": 35436, "url": "%s/api/v2/tickets/35436.json", "status": "new"}}`,
		path:          "/api/v2/tickets.json",
		authorization: "Basic YWdlbnRAZXhhbXBsZS5jb20vdG9rZW46emVuZGVzay10b2tlbg==",
		fields: map[string]string{
			"ticket.subject": "create ticket", "ticket.requester.email": "me@example.com", "ticket.tags": `["chatbot","label1","label2"]`,
		},
		id:  "35436",
		url: "%s/agent/tickets/35436",
	},
}

// TestExampleSystems runs the Caddyfile of each example as it is, with only
// its variables set: a signed webhook comes in, the system gets the ticket, and
// the chat its answer; also when the system is away for a moment.
func TestExampleSystems(t *testing.T) {
	t.Parallel()
	for name, e := range systemExamples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSides(t)
			system := newSystem(t, e.status, e.answer)
			url := s.runSystemExample(name, e, system)

			first := s.accepted(url, kindlytest.DialogueWebhookFor("chat-1"))
			requireReply(t, name, "reply", e, system, first.Body)
			got := system.requests()
			require.Len(t, got, 1)
			requireTicket(t, e, got[0])

			system.fail(1)
			later := s.accepted(url, kindlytest.DialogueWebhookFor("chat-2"))
			requireReply(t, name, "reply_pending", e, system, later.Body)
			require.Eventually(t, func() bool { return len(system.requests()) == 3 }, patience, patience/1000)
			got = system.requests()[1:]
			require.Equal(t, got[0], got[1], "the same request again")
			requireTicket(t, e, got[1])

			again := s.accepted(url, kindlytest.DialogueWebhookFor("chat-1"))
			require.Equal(t, string(first.Body), string(again.Body))
			require.Len(t, system.requests(), 3)
		})
	}
}

// TestExampleSlackTickets does what Kindly's own relay of tickets to Slack does.
func TestExampleSlackTickets(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	e := systemExamples["slack"]
	system := newSystem(t, e.status, e.answer)
	url := s.runSystemExample("slack", e, system)
	handshake, err := s.kindly.Handshake(within(t), url, verifyToken, "a challenge")
	require.NoError(t, err)
	require.Equal(t, "a challenge", string(handshake.Body))

	require.JSONEq(t, "{}", string(s.accepted(url, kindlytest.TicketWebhookFor("ticket.updated", "chat-1")).Body))
	require.JSONEq(t, "{}", string(s.accepted(url, kindlytest.TicketWebhookFor("ticket.created", "chat-1")).Body))
	require.Eventually(t, func() bool { return len(system.requests()) == 1 }, patience, patience/1000)
	posted := system.requests()[0]
	require.Equal(t, e.path, posted.path)
	require.Contains(t, gjson.Get(posted.body, "blocks.1.text.text").Str, "/inbox/chat/chat-1|Open the chat>")
	require.Zero(t, s.kindly.Count(), "the webhook has the chat")
}

// runSystemExample runs the example's own Caddyfile.
func (s *sides) runSystemExample(name string, e systemExample, system *system) (url string) {
	s.t.Helper()
	address := freeAddress(s.t)
	env := []string{
		"KINDLY_SITE=http://" + address,
		"KINDLY_SECRET=" + secret,
		"KINDLY_VERIFY_TOKEN=" + verifyToken,
		"KINDLY_API=" + s.kindly.URL,
		"KINDLY_API_KEY=" + apiKey,
		"CADDY_ADMIN=" + freeAddress(s.t),
		"CHAT_PUBLIC_KEY=" + repositoryFile(s.t, "examples/jira-service-management/chat-public.pem"),
	}
	for _, variable := range e.env {
		env = append(env, strings.ReplaceAll(variable, "%s", system.URL))
	}
	caddy := run(s.t, env, "kindly-caddy", "run", "--adapter", "caddyfile", "--config", repositoryFile(s.t, "examples/"+name+"/Caddyfile"))
	caddy.waitFor("serving initial configuration")
	return "http://" + address + "/kindly"
}

// requireTicket requires a request to be the one for the example's chat.
func requireTicket(t *testing.T, e systemExample, got systemRequest) {
	t.Helper()
	require.Equal(t, http.MethodPost, got.method)
	require.Equal(t, e.path, got.path)
	require.Equal(t, e.authorization, got.authorization)
	require.True(t, gjson.Valid(got.body))
	for path, want := range e.fields {
		require.Equal(t, want, gjson.Get(got.body, path).String(), path)
	}
	require.Contains(t, got.body, "What is your email?", "the transcript")
	require.NotEmpty(t, got.key)
	require.Contains(t, got.body, got.key, "by which to find it")
}

// requireReply requires an answer to be what the example's Caddyfile says.
func requireReply(t *testing.T, name, directive string, e systemExample, system *system, answer []byte) {
	t.Helper()
	caddyfile, err := os.ReadFile(repositoryFile(t, "examples/"+name+"/Caddyfile"))
	require.NoError(t, err)
	written := regexp.MustCompile(`(?m)^\t\t` + directive + ` "(.+)"$`).FindSubmatch(caddyfile)
	require.NotNil(t, written, "%s in the Caddyfile", directive)
	said := strings.NewReplacer(
		"{kindly.ticket.id}", e.id,
		"{kindly.ticket.url}", strings.ReplaceAll(e.url, "%s", system.URL),
		"{kindly.customer.email}", "me@example.com",
	).Replace(string(written[1]))
	require.Equal(t, said, gjson.GetBytes(answer, "reply").Str)
	if directive == "reply" && strings.Contains(string(caddyfile), "new_context ticket_url {kindly.ticket.url}\n") {
		require.Equal(t, strings.ReplaceAll(e.url, "%s", system.URL), gjson.GetBytes(answer, "new_context.ticket_url").Str)
	}
}

// TestExamplesAreRun proves that no example is left out here.
func TestExamplesAreRun(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(repositoryFile(t, "examples"))
	require.NoError(t, err)
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		_, ok := systemExamples[entry.Name()]
		ok = ok || slices.Contains([]string{"own-api", "middleware", "observability", "fleet"}, entry.Name()) // by their own tests
		require.True(t, ok, fmt.Sprintf("examples/%s has no test", entry.Name()))
	}
}
