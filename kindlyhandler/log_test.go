package kindlyhandler_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// serve serves a signed webhook, and returns what the caller of Serve learns.
func (r *rig) serve(body []byte) (kindlyhandler.Result, error) {
	r.t.Helper()
	request, err := kindlytest.NewWebhookRequest("/", secret, body)
	require.NoError(r.t, err)
	return r.handler.Serve(httptest.NewRecorder(), request)
}

// TestServe_result proves that the result, the log's one line and the upstream
// speak of the same delivery.
func TestServe_result(t *testing.T) {
	r := newRig(t, setup{})
	result, err := r.serve(kindlytest.DialogueWebhook())
	require.NoError(t, err)
	r.tickets(1)
	id := r.desk.Tickets()[0].IdempotencyKey
	assert.Equal(t, kindlyhandler.Result{Delivery: uuid.MustParse(id), Event: "dialogue", Outcome: "delivered"}, result)
	lines := r.logged("webhook accepted")
	require.Len(t, lines, 1)
	assert.Equal(t, zap.DebugLevel, lines[0].Level)
	fields := lines[0].ContextMap()
	assert.Positive(t, fields["duration"])
	delete(fields, "duration")
	assert.Equal(t, map[string]any{"delivery": id, "webhook": "default", "event": "dialogue", "outcome": "delivered"}, fields)

	again, err := r.serve(kindlytest.DialogueWebhook())
	require.NoError(t, err)
	result.Outcome = "duplicate"
	assert.Equal(t, result, again)
	assert.Len(t, r.logged("webhook accepted"), 2)
}

// An event's name is a label only if Kindly or the operator has made it up.
func TestServe_event(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) { o.Events = []string{"*", "ticket.solved"} }})
	for event, want := range map[string]string{
		"ticket.created": "ticket.created", "ticket.updated": "ticket.updated", "ticket.solved": "ticket.solved", "ticket.pr1vate": "other",
	} {
		result, err := r.serve(kindlytest.TicketWebhookFor(event, "chat-"+event))
		require.NoError(t, err)
		assert.Equal(t, want, result.Event)
	}
}

// TestServe_pending proves that it is news when a ticket has to follow.
func TestServe_pending(t *testing.T) {
	for name, test := range map[string]struct {
		within time.Duration
		level  string
	}{
		"though somebody waited": {10 * time.Millisecond, "info"},
		"as it is wanted":        {0, "debug"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{options: func(o *kindlyhandler.Options) {
				o.RespondWithin = test.within
				second := o.Upstreams[0]
				second.Name = "second"
				o.Upstreams = append(o.Upstreams, second)
			}})
			r.desk.Fail(kindlytest.Delay(300 * time.Millisecond))
			result, err := r.serve(kindlytest.DialogueWebhook())
			require.NoError(t, err)
			assert.Equal(t, "pending", result.Outcome)
			r.tickets(2)
			lines := r.logged("webhook accepted")
			require.Len(t, lines, 1)
			assert.Equal(t, test.level, lines[0].Level.String())
			fields := lines[0].ContextMap()
			assert.Equal(t, result.Delivery.String(), fields["delivery"])
			var ids []string
			for _, ticket := range r.desk.Tickets() {
				ids = append(ids, ticket.IdempotencyKey)
			}
			assert.ElementsMatch(t, ids, []any{fields["delivery"], fields["other_deliveries"].([]any)[0]})
		})
	}
}

// Pending webhooks in a flood are no news any more.
func TestServe_manyPending(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) { o.RespondWithin = time.Millisecond }})
	r.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	const webhooks = 50 // in less than some seconds
	for i := range webhooks {
		_, err := r.serve(kindlytest.DialogueWebhookFor(fmt.Sprint("chat-", i)))
		require.NoError(t, err)
	}
	levels := make(map[string]int)
	for _, line := range r.logged("webhook accepted") {
		levels[line.Level.String()]++
	}
	assert.Equal(t, webhooks, levels["info"]+levels["debug"])
	assert.GreaterOrEqual(t, levels["info"], 10)
	assert.Positive(t, levels["debug"])
}

func TestServe_refusedResult(t *testing.T) {
	r := newRig(t, setup{})
	request, err := kindlytest.NewWebhookRequest("/", "another", kindlytest.DialogueWebhook())
	require.NoError(t, err)
	result, err := r.handler.Serve(httptest.NewRecorder(), request)
	require.Error(t, err)
	assert.Equal(t, kindlyhandler.Result{Outcome: "refused_signature"}, result)
	assert.True(t, result.Refused())

	request = httptest.NewRequest(http.MethodGet, "/?verify_token="+verifyToken+"&challenge=c", nil)
	result, err = r.handler.Serve(httptest.NewRecorder(), request)
	require.NoError(t, err)
	assert.Equal(t, kindlyhandler.Result{Outcome: "handshake"}, result)
	assert.Len(t, r.logged("handshake answered"), 1)
}
