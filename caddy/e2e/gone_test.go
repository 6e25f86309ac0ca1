package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// TestNameGoneAndBack proves that deliveries wait for the name they belong to,
// and then go where it says by now.
func TestNameGoneAndBack(t *testing.T) {
	t.Parallel()
	s, moved := newSides(t), newSides(t)
	s.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	address := freeAddress(t)
	c := start(t, "", site("http://"+address, s.webhook("/kindly shop", "reply_pending later")))
	response := s.accepted("http://"+address+"/kindly", kindlytest.DialogueWebhook())
	require.JSONEq(t, `{"reply": "later"}`, string(response.Body))
	key := s.desk.Requests()[0].Header.Get("Idempotency-Key")

	require.NoError(t, c.reload("", site("http://"+address, s.webhook("/kindly other"))))
	s.desk.Recover()
	attempts := s.desk.Attempts()
	waiting := c.list("--state", "pending", "--name", "shop")
	require.Len(t, waiting, 1)
	require.Equal(t, key, waiting[0].ID)
	require.Never(t, func() bool { return s.desk.Attempts() != attempts }, 2*time.Second, 50*time.Millisecond)

	require.NoError(t, c.reload("", site("http://"+address, moved.webhook("/kindly shop"))))
	require.Equal(t, key, moved.waitTickets(1)[0].IdempotencyKey)
	require.Zero(t, s.desk.Count())
	require.NotEmpty(t, key)
}
