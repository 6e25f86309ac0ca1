package kindlyhandler

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTranscript_markup proves that a chat full of markup costs no more than
// some of it does, and loses nothing. Cost is counted in bytes that are read
// as HTML.
func TestTranscript_markup(t *testing.T) {
	for name, body := range map[string]string{
		"long messages":  strings.Repeat("<p>x", 64<<10),
		"short messages": "<p>x",
		"one message":    strings.Repeat("<p>x", 4<<20),
	} {
		t.Run(name, func(t *testing.T) {
			quoted, err := json.Marshal(map[string]string{"sender": "USER", "message": body})
			require.NoError(t, err)
			count := min(DefaultTranscriptSize/len(quoted)+1, 100_000)
			chat, err := parseTranscript([]byte(`{"messages":[` + strings.Repeat(string(quoted)+",", count-1) + string(quoted) + `]}`))
			require.NoError(t, err)
			ticket := newTicket(exampleID, exampleReceived, mustParseEvent(t, `{"chat_id":"c"}`), chat, "")

			require.Len(t, ticket.Messages, count)
			read := 0
			for i := range ticket.Messages {
				m := &ticket.Messages[i]
				if m.Text == body {
					assert.Equal(t, strings.ReplaceAll(strings.ReplaceAll(body, "<", "&lt;"), ">", "&gt;"), m.HTML)
					continue
				}
				assert.Equal(t, strings.Count(body, "x"), strings.Count(m.Text, "x"))
				read += len(body)
			}
			require.LessOrEqual(t, read, maxMarkup)
			require.Equal(t, len(body) < maxMarkup, read > 0, "what is within bounds is read")
			require.Equal(t, count*strings.Count(body, "x"), strings.Count(ticket.Transcript.Text, "x"), "nothing is cut")
		})
	}
}

// TestSubject_markup proves that a subject does not cost what its message does.
func TestSubject_markup(t *testing.T) {
	body, err := json.Marshal(map[string]string{"chat_id": "c", "message": "<b>" + strings.Repeat("words ", 10) + strings.Repeat("<p>x", 1<<20)})
	require.NoError(t, err)
	e := mustParseEvent(t, string(body))
	require.Less(t, testing.AllocsPerRun(1, func() {
		require.Contains(t, subject(e, nil), "words words")
	}), 10_000.0, "a million paragraphs were read")
}
