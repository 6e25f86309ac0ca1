package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// TestStopWhileHelpDeskHangs proves that a stop takes no longer than it may,
// that a person who waits in the chat is answered, and that the next start
// delivers. Caddy stops its apps in any order, hence several times.
func TestStopWhileHelpDeskHangs(t *testing.T) {
	t.Parallel()
	const grace = 2 * time.Second
	for i, options := range []string{"grace_period 2s", "grace_period 2s", "grace_period 2s", "kindly {\n\t\tgrace_period 2s\n\t}"} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			s := newSides(t)
			s.desk.Fail(kindlytest.Hang())
			address := freeAddress(t)
			webhook := site("http://"+address, s.webhook("/kindly", "respond_within 30s", "reply_pending later"))
			c := start(t, options, webhook)
			type result struct {
				kindlytest.Response
				err error
			}
			answered := make(chan result, 1)
			go func() {
				response, err := s.kindly.Send(within(t), "http://"+address+"/kindly", secret, kindlytest.DialogueWebhook())
				answered <- result{response, err}
			}()
			require.NoError(t, s.desk.WaitAttempts(within(t), 1))

			started := time.Now()
			require.Zero(t, c.stop(terminate))
			require.Less(t, time.Since(started), grace+2*time.Second)
			r := <-answered
			require.NoError(t, r.err)
			require.Equal(t, http.StatusOK, r.Status)
			require.JSONEq(t, `{"reply": "later"}`, string(r.Body))

			key := s.desk.Requests()[0].Header.Get("Idempotency-Key")
			s.desk.Recover()
			startIn(t, c.data, options, webhook)
			require.Equal(t, key, s.waitTickets(1)[0].IdempotencyKey)
		})
	}
}

// TestStopWaitsForAttempts proves that a stop does not cut off a help desk
// that answers in time.
func TestStopWaitsForAttempts(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	s.desk.Fail(kindlytest.Delay(500 * time.Millisecond))
	address := freeAddress(t)
	c := start(t, "", site("http://"+address, s.webhook("/kindly", "respond_within 0")))
	s.accepted("http://"+address+"/kindly", kindlytest.DialogueWebhook())
	require.NoError(t, s.desk.WaitAttempts(within(t), 1))
	require.Zero(t, c.stop(terminate))
	require.Equal(t, 1, s.desk.Count())
	require.NotContains(t, c.out.String(), `"pending"`, "nothing is left")
}

// TestStopUnderLoad stops Caddy in the middle of many attempts. None is cut
// off, and what could not begin any more is delivered after the next start.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	s.desk.IgnoreIdempotencyKey = true
	s.desk.Fail(kindlytest.Delay(30 * time.Millisecond))
	data, address := t.TempDir(), freeAddress(t)
	webhook := site("http://"+address, s.webhook("/kindly", "respond_within 0"))
	l := &load{urls: []string{"http://" + address + "/kindly"}, pause: time.Millisecond}
	c := startIn(t, data, "", webhook)
	stopLoad := l.start(8, 8)
	defer stopLoad()
	for i := range 3 {
		require.NoError(t, s.desk.Wait(within(t), 100*(i+1)))
		require.Zero(t, c.stop(terminate))
		c = startIn(t, data, "", webhook)
	}
	stopLoad()
	require.Empty(t, l.wrong)
	l.requireBalance(t, s.desk)
}

// TestAcceptsWhileStopping proves that webhooks which come while Caddy stops
// already are stored, and go out after the next start.
func TestAcceptsWhileStopping(t *testing.T) {
	t.Parallel()
	for range 3 { // apps stop in no fixed order
		s := newSides(t)
		address := freeAddress(t)
		webhook := site("http://"+address, s.webhook("/kindly"))
		c := start(t, "shutdown_delay 1s\n\tkindly {\n\t\tgrace_period 2s\n\t}", webhook)
		s.accepted("http://"+address+"/kindly", kindlytest.DialogueWebhookFor("before"))
		c.signal(terminate)
		c.waitFor("shutdown scheduled")
		response := s.accepted("http://"+address+"/kindly", kindlytest.DialogueWebhookFor("while"))
		require.NotContains(t, string(response.Body), "Sorry")
		require.Zero(t, c.stop(terminate))
		startIn(t, c.data, "", webhook)
		s.waitTickets(2)
	}
}
