package e2e

import (
	"net/http"
	"regexp"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// TestRestart proves that what was acknowledged survives a crash: it goes out
// under the same key, and is still known when it comes again.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	data, address := t.TempDir(), freeAddress(t)
	url := "http://" + address + "/kindly"
	webhook := site("http://"+address, s.webhook("/kindly", "reply {kindly.ticket.id}", "reply_pending later"))
	s.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	c := startIn(t, data, "", webhook)
	require.JSONEq(t, `{"reply": "later"}`, string(s.accepted(url, kindlytest.DialogueWebhook()).Body))
	s.accepted(url, kindlytest.TicketWebhook())
	c.stop(syscall.SIGKILL)

	first := s.desk.Requests()[0].Header.Get("Idempotency-Key")
	require.NotEmpty(t, first)
	s.desk.Recover()
	c = startIn(t, data, "", webhook)
	keys := make(map[string]bool)
	for _, ticket := range s.waitTickets(2) {
		keys[ticket.IdempotencyKey] = true
	}
	require.True(t, keys[first])
	require.Len(t, keys, 2)
	require.Regexp(t, "(?m)^store path +"+regexp.QuoteMeta(c.deliveries())+"$", c.kindly("status"))
	answer := s.accepted(url, kindlytest.DialogueWebhook())
	require.Regexp(t, `^\{"reply":"471[12]"\}$`, string(answer.Body))

	require.Zero(t, c.stop(terminate))
	attempts := s.desk.Attempts()
	startIn(t, data, "", webhook)
	require.Equal(t, string(answer.Body), string(s.accepted(url, kindlytest.DialogueWebhook()).Body))
	require.JSONEq(t, "{}", string(s.accepted(url, kindlytest.TicketWebhook()).Body))
	require.Equal(t, attempts, s.desk.Attempts())
}
