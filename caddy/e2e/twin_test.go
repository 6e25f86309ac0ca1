package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// TestTwins proves that one site under two addresses has one webhook.
func TestTwins(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	first, second := freeAddress(t), freeAddress(t)
	start(t, "", site("http://"+first+", http://"+second, s.webhook("/kindly", "reply {kindly.ticket.id}")))
	want := s.accepted("http://"+first+"/kindly", kindlytest.DialogueWebhook())
	require.JSONEq(t, `{"reply": "4711"}`, string(want.Body))
	got := s.accepted("http://"+second+"/kindly", kindlytest.DialogueWebhook())
	require.Equal(t, string(want.Body), string(got.Body))
	require.Equal(t, 1, s.desk.Attempts())
}
