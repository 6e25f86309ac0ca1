package kindlyhandler_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// When strangers hold all the memory there is for them, others are asked to
// come back, and can.
func TestLimit_unreadBodies(t *testing.T) {
	r := newRig(t, setup{})
	release, err := kindlyhandler.HoldUnread()
	require.NoError(t, err)
	response := r.send(kindlytest.DialogueWebhook())
	release()
	assert.Equal(t, "10", response.Header.Get("Retry-After"))
	r.refused(response, http.StatusServiceUnavailable, "busy")
}

// A transcript for which there is no room comes later.
func TestLimit_transcripts(t *testing.T) {
	r := newRig(t, setup{})
	release, err := kindlyhandler.HoldTranscripts()
	require.NoError(t, err)
	r.told(r.send(kindlytest.DialogueWebhook()), "later")
	release()
	ticket := r.tickets(1)[0]
	assert.Equal(t, gjson.Null, ticket.Get("transcript_error").Type)
	assert.Equal(t, int64(4), ticket.Get("messages.#").Int())
}
