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
// and that a person who waits in the chat is answered. Caddy stops its apps in
// any order, hence several times.
func TestStopWhileHelpDeskHangs(t *testing.T) {
	t.Parallel()
	const grace = 2 * time.Second
	for i, options := range []string{"grace_period 2s", "grace_period 2s", "grace_period 2s", "kindly {\n\t\tgrace_period 2s\n\t}"} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			s := newSides(t)
			s.desk.Fail(kindlytest.Hang())
			address := freeAddress(t)
			c := start(t, options, site("http://"+address, s.webhook("/kindly", "respond_within 30s", "reply_pending later")))
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
