package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// kindly runs a command against the admin API, which must succeed, and returns
// what it prints.
func (c *caddy) kindly(args ...string) string {
	c.t.Helper()
	status, printed := call(c.t, nil, nil, "kindly-caddy", append(append([]string{"kindly"}, args...), "--address", c.admin)...)
	require.Zero(c.t, status, printed)
	return printed
}

// ask makes a request of the admin API, and returns the status and the body.
func (c *caddy) ask(method, path, body string) (int, string) {
	c.t.Helper()
	request, err := http.NewRequest(method, "http://"+c.admin+path, strings.NewReader(body))
	require.NoError(c.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(c.t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	require.Equal(c.t, "application/json", response.Header.Get("Content-Type"), string(answer))
	return response.StatusCode, string(answer)
}

// list returns the deliveries that the list command prints as JSON.
func (c *caddy) list(args ...string) (deliveries []struct{ ID, State string }) {
	c.t.Helper()
	var page struct{ Deliveries []struct{ ID, State string } }
	require.NoError(c.t, json.Unmarshal([]byte(c.kindly(append([]string{"deliveries", "list", "--json"}, args...)...)), &page))
	return page.Deliveries
}

// TestDeadLetter is an operator's day: the help desk refuses a ticket, its
// configuration there is mended, the ticket is delivered after all, and in the
// end the chat is forgotten.
func TestDeadLetter(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	c := start(t, "", site("http://"+address, s.webhook("/kindly support")))
	url := "http://" + address + "/kindly"

	s.desk.Fail(kindlytest.Status(http.StatusUnprocessableEntity))
	s.accepted(url, kindlytest.DialogueWebhookFor("chat-of-a-person"))
	dead := c.list("--state", "dead", "--name", "support", "--chat", "chat-of-a-person")
	require.Len(t, dead, 1)
	id := dead[0].ID
	require.Regexp(t, `(?m)^`+id+` .* support +default +dialogue +chat-of-a-person +dead +1 .* 422 Unprocessable Entity *$`, c.kindly("deliveries", "list"))
	require.Regexp(t, `(?m)^support +default +healthy +0 +1 +0 +-\n(.*\n)+last error .* 422 Unprocessable Entity *$`, c.kindly("status"))
	shown := c.kindly("deliveries", "show", id)
	require.Regexp(t, `(?m)^state +dead$`, shown)
	require.Regexp(t, `(?m)upstream +422 `, shown)
	require.Contains(t, shown, `  "message": "create ticket"`, "the ticket that a retry sends")

	s.desk.Recover()
	require.Equal(t, id+" is due now.\n", c.kindly("deliveries", "retry", id))
	ticket := s.waitTickets(1)[0]
	require.Equal(t, id, ticket.IdempotencyKey)
	c.eventually("it is delivered", func() bool { return len(c.list("--state", "delivered")) == 1 })
	require.Regexp(t, `(?m)^ticket +4711$`, c.kindly("deliveries", "show", id))

	status, answer := c.ask(http.MethodPost, "/kindly/chats/erase", `{"chat_id":"chat-of-a-person"}`)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"erased":1}`, answer)
	require.Empty(t, c.list())
	status, printed := call(t, nil, nil, "kindly-caddy", "kindly", "deliveries", "show", id, "--address", c.admin)
	require.Equal(t, 1, status)
	require.Contains(t, printed, "no such delivery: it never was, was dropped, or is no longer kept (HTTP 404)")
	require.NotContains(t, printed, "Usage:")
}

// TestRetryOfMany retries and drops what a broken help desk left behind.
func TestRetryOfMany(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	c := start(t, "", site("http://"+address, s.webhook("/kindly support")))
	s.desk.Fail(kindlytest.Status(http.StatusUnprocessableEntity))
	for _, chat := range []string{"one", "two", "three"} {
		s.accepted("http://"+address+"/kindly", kindlytest.DialogueWebhookFor(chat))
	}
	dropped := c.list("--chat", "two")[0].ID
	require.Equal(t, dropped+" is dropped.\n", c.kindly("deliveries", "drop", dropped))
	s.desk.Recover()
	require.Equal(t, "2 deliveries are due now.\n", c.kindly("deliveries", "retry", "--state", "dead", "--name", "support"))
	s.waitTickets(2)
}

// TestPauseByHand proves that nothing goes to a help desk that is paused, not
// even after a reload.
func TestPauseByHand(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	sites := func(pending string) string {
		return site("http://"+address, s.webhook("/kindly support", `reply_pending "`+pending+`"`))
	}
	c := start(t, "", sites("Later."))
	status, answer := c.ask(http.MethodPost, "/kindly/upstreams/support/default/pause", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, answer, `"condition":"paused_by_hand"`)
	require.NoError(t, c.reload("", sites("Soon.")))
	require.Contains(t, string(s.accepted("http://"+address+"/kindly", kindlytest.DialogueWebhook()).Body), "Soon.")
	require.Regexp(t, `(?m)^support +default +paused by hand +\d+ +\d+ +1 `, c.kindly("status"))
	require.Zero(t, s.desk.Attempts())
	status, _ = c.ask(http.MethodPost, "/kindly/upstreams/support/default/resume", "")
	require.Equal(t, http.StatusOK, status)
	s.waitTickets(1)
}

// TestAdminErrors proves that they have the form of Caddy's own.
func TestAdminErrors(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	c := start(t, "", site("http://"+freeAddress(t), s.webhook("/kindly support")))
	for path, want := range map[string]int{
		"/kindly/nothing":                http.StatusNotFound,
		"/kindly/deliveries/4711":        http.StatusBadRequest,
		"/kindly/deliveries?limit=9999":  http.StatusBadRequest,
		"/kindly/deliveries/retry":       http.StatusMethodNotAllowed,
		"/kindly/upstreams/a/b/resume/c": http.StatusNotFound,
	} {
		status, answer := c.ask(http.MethodGet, path, "")
		require.Equal(t, want, status, path)
		var problem map[string]string
		require.NoError(t, json.Unmarshal([]byte(answer), &problem))
		require.Len(t, problem, 1)
		require.NotEmpty(t, problem["error"])
	}
	require.NoError(t, c.reload("", site("http://"+freeAddress(t), "respond hello")))
	c.eventually("the queue has ended", func() bool {
		status, _ := c.ask(http.MethodGet, "/kindly/status", "")
		return status == http.StatusServiceUnavailable
	})
	status, printed := call(t, nil, nil, "kindly-caddy", "kindly", "status", "--address", c.admin)
	require.Equal(t, 1, status)
	require.Contains(t, printed, "no kindly app runs: the configuration has no kindly_webhook with an upstream (HTTP 503)")

	nobody := freeAddress(t)
	status, printed = call(t, nil, nil, "kindly-caddy", "kindly", "status", "--address", nobody)
	require.Equal(t, 1, status)
	require.Contains(t, printed, "no admin API answers at "+nobody)
}
