package kindlyhandler

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKept redacts everything that can be redacted, and has what a delivery
// needs stay.
func TestKept(t *testing.T) {
	x := "x"
	redactor, err := newRedactor([]Redaction{{Pattern: `(?s).+`, Replacement: &x}})
	require.NoError(t, err)
	for _, name := range []string{"dialogue-webhook.json", "ticket-webhook.json"} {
		webhook := readTestdata(t, name)
		before, after := mustParseEvent(t, string(webhook)), mustParseEvent(t, string(redactor.JSON(webhook, kept)))
		for _, e := range []*event{before, after} {
			require.NotEmpty(t, e.chatID)
		}
		require.Equal(t,
			[]any{before.name, before.chatID, before.botID, before.organizationID, before.language, before.source, before.created, before.updated, before.inboxURL(), textOf(before.ticket, "id"), textOf(before.ticket, "status")},
			[]any{after.name, after.chatID, after.botID, after.organizationID, after.language, after.source, after.created, after.updated, after.inboxURL(), textOf(after.ticket, "id"), textOf(after.ticket, "status")})
		require.Equal(t, "x", after.message)
		sameMessages(t, before.messages, after.messages)
	}
	for _, name := range []string{"transcript.json", "transcript-agent.json"} {
		chat := readTestdata(t, name)
		before, err := parseTranscript(chat)
		require.NoError(t, err)
		after, err := parseTranscript(redactor.JSON(chat, kept))
		require.NoError(t, err)
		require.Equal(t, []string{before.botName, before.language, before.created, before.updated}, []string{after.botName, after.language, after.created, after.updated})
		require.NotEmpty(t, before.messages)
		sameMessages(t, before.messages, after.messages)
	}
}

// sameMessages requires that messages differ only in what somebody wrote.
func sameMessages(t *testing.T, before, after []message) {
	t.Helper()
	require.Len(t, after, len(before))
	for i := range before {
		b, a := &before[i], &after[i]
		require.Equal(t, []string{b.id, b.time, b.sender}, []string{a.id, a.time, a.sender})
		require.Equal(t, "x", a.body)
		require.Equal(t, regexp.MustCompile(`"[^"]*"(,|}|])`).ReplaceAllString(b.buttons, `"x"$1`), a.buttons)
	}
}
