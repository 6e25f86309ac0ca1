package kindly

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// TestAccessLog proves that the access log has by what the rest is found.
func TestAccessLog(t *testing.T) {
	l := newLifecycle(t)
	middleware := "\thandle /handled {\n\t\tkindly_webhook handled {\n\t\t\tsecret " + lifecycleSecret + "\n\t\t\ttranscript off\n\t\t}\n\t\trespond ok\n\t}\n"
	l.load(l.site("\tlog\n" + l.webhook("shop", l.desk.URL) + middleware))
	l.send("shop", "chat-1")
	l.send("handled", "chat-2")
	_, err := l.kindly.Send(l.context(), "http://"+l.address+"/shop", "wrong", kindlytest.DialogueWebhook())
	require.NoError(t, err)
	var lines []map[string]any
	require.Eventually(t, func() bool {
		lines = nil
		for _, line := range l.logged(`"handled request"`) {
			var fields map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &fields))
			lines = append(lines, fields)
		}
		return len(lines) == 3
	}, 10*time.Second, 10*time.Millisecond)
	for i, outcome := range []string{"delivered", "passed_on", "refused_signature"} {
		require.Equal(t, outcome, lines[i]["kindly_outcome"])
	}
	require.NotContains(t, lines[2], "kindly_delivery")
	id, err := uuid.Parse(lines[0]["kindly_delivery"].(string))
	require.NoError(t, err)
	_, err = currentRuntime().dispatcher.Get(l.context(), id)
	require.NoError(t, err)
	require.NotEmpty(t, lines[1]["kindly_delivery"])
}

// TestLogTellsTheStory proves that a delivery's id leads through all that
// happens to it, also without debug.
func TestLogTellsTheStory(t *testing.T) {
	l := newLifecycle(t)
	l.load(l.site("\tlog\n" + l.webhook("shop", l.desk.URL)))
	l.desk.FailNext(1, kindlytest.Status(http.StatusServiceUnavailable))
	l.send("shop", "chat-1")
	require.NoError(t, l.desk.Wait(l.context(), 1))
	id := l.desk.Tickets()[0].IdempotencyKey
	var story []string
	require.Eventually(t, func() bool {
		story = nil
		for _, line := range l.logged(id) {
			var fields struct {
				Level, Msg string
			}
			require.NoError(t, json.Unmarshal([]byte(line), &fields))
			story = append(story, fields.Level+" "+fields.Msg)
		}
		return strings.Contains(strings.Join(story, "\n"), "ticket delivered")
	}, 10*time.Second, 10*time.Millisecond)
	require.ElementsMatch(t, []string{"warn attempt failed", "info webhook accepted", "info handled request", "info ticket delivered"}, story)
}
