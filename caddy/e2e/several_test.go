package e2e

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// TestSeveralUpstreams has two upstreams, one of them down. Its configuration
// changes the order and the names: what was accepted goes once to each upstream
// that it was accepted for, and nowhere else.
func TestSeveralUpstreams(t *testing.T) {
	t.Parallel()
	s, other := newSides(t), newSides(t)
	// Whatever comes twice is a ticket more.
	s.desk.IgnoreIdempotencyKey, other.desk.IgnoreIdempotencyKey = true, true
	other.desk.FirstID = 100
	other.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))

	data, address := t.TempDir(), freeAddress(t)
	url := "http://" + address + "/kindly"
	upstreams := func(blocks ...string) string {
		return site("http://"+address, directive("/kindly", append([]string{
			"secret {env.KINDLY_SECRET}",
			"api_key {env.KINDLY_API_KEY}",
			"transcript {\n\t\t\tapi " + s.kindly.URL + "\n\t\t}",
			"retry {\n\t\t\tmax_interval 1s\n\t\t}",
			"reply {kindly.ticket.id}", "reply_pending later", "reply_failed no",
			`button link "See it" {kindly.ticket.url}`,
		}, blocks...)...))
	}
	upstream := func(name, url string) string { return "upstream " + url + "/tickets {\n\t\t\tname " + name + "\n\t\t}" }
	desk, log := upstream("desk", s.desk.URL), upstream("log", other.desk.URL)
	created := func(s *sides, id string) string {
		return `{"reply": "` + id + `", "buttons": [{"type": "link", "label": "See it", "value": "` + s.desk.URL + "/tickets/" + id + `"}]}`
	}
	tell := func(chat string) string { return string(s.accepted(url, kindlytest.DialogueWebhookFor(chat)).Body) }

	c := startIn(t, data, "", upstreams(desk, log))
	require.JSONEq(t, created(s, "4711"), tell("chat-1"), "the first one's result")
	require.NoError(t, other.desk.WaitAttempts(within(t), 1))
	key := other.desk.Requests()[0].Header.Get("Idempotency-Key")
	require.NotEqual(t, s.desk.Tickets()[0].IdempotencyKey, key, "a delivery of its own")
	pending := regexp.MustCompile(` default +log +dialogue +chat-1 +pending `)
	require.Regexp(t, pending, c.kindly("deliveries", "list"))

	// In another order, the first one is another for what comes from now on.
	require.NoError(t, c.reload("", upstreams(log, desk)))
	require.JSONEq(t, created(s, "4711"), tell("chat-1"), "as it was told before")
	require.JSONEq(t, `{"reply": "later"}`, tell("chat-2"), "the first one is down")
	s.waitTickets(2)

	// Under another name, it is another upstream: what is pending for the old one
	// waits for that.
	require.NoError(t, c.reload("", upstreams(upstream("journal", other.desk.URL), desk)))
	other.desk.Recover()
	require.JSONEq(t, created(s, "4711"), tell("chat-1"))
	require.JSONEq(t, created(other, "100"), tell("chat-3"))
	s.waitTickets(3)
	require.JSONEq(t, `{"reply": "later"}`, tell("chat-2"))
	require.Equal(t, 1, other.desk.Count())
	require.Regexp(t, pending, c.kindly("deliveries", "list", "--state", "pending"))

	// So it is over a restart, and it goes out when the name is there again.
	require.Zero(t, c.stop(terminate))
	c = startIn(t, data, "", upstreams(desk, upstream("journal", other.desk.URL)))
	require.Regexp(t, pending, c.kindly("deliveries", "list", "--state", "pending"))
	require.NoError(t, c.reload("", upstreams(desk, log)))
	var late int
	for _, ticket := range other.waitTickets(3) {
		if ticket.IdempotencyKey == key {
			late++
		}
	}
	require.Equal(t, 1, late, "under the key that it had")

	// What one refuses for good is a dead letter of that one alone.
	other.desk.Fail(kindlytest.Status(http.StatusUnprocessableEntity))
	require.JSONEq(t, created(s, "4714"), tell("chat-4"))
	dead := func() string {
		return gjson.Get(c.kindly("deliveries", "list", "--state", "dead", "--json"), "deliveries.#.upstream").Raw
	}
	c.eventually("there is a dead letter", func() bool { return dead() != "[]" })
	require.JSONEq(t, `["log"]`, dead())
	other.desk.Recover()
	require.JSONEq(t, created(s, "4714"), tell("chat-4"), "a repetition revives only the dead letter")
	other.waitTickets(4)
	require.Equal(t, 4, s.desk.Count())
	require.JSONEq(t, "[]", dead())
}
