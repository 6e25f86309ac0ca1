package e2e

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// Cards of nobody.
const (
	redactedCard = "4111 1111 1111 1111"
	keptCard     = "5555 5555 5555 4444"
)

// occurrences counts a text in all files below a directory.
func occurrences(t *testing.T, dir, text string) (n int) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		n += bytes.Count(content, []byte(text))
		return err
	}))
	return n
}

// confide sends a webhook with a card's number in it, of a chat with more of
// them.
func (s *sides) confide(url, chat, card string) {
	s.t.Helper()
	s.kindly.SetTranscript(chat, bytes.ReplaceAll(kindlytest.TranscriptFor(chat), []byte(`"message":"`), []byte(`"message":"`+card+" ")))
	webhook := strings.NewReplacer("create ticket", `\u003`+card, "me@example.com", card).Replace(string(kindlytest.DialogueWebhookFor(chat)))
	s.accepted(url, []byte(webhook))
}

// TestRedact has a card's number be nowhere: not in the store while the help
// desk is down, not in the admin API, the log, the answer and the ticket. One
// that another webhook does not redact shows that it would be found.
func TestRedact(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	s.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	data, address := t.TempDir(), freeAddress(t)
	url := "http://" + address
	sites := site(url, "log", s.webhook("/redacted redacted", "redact card", `reply_pending "{kindly.message}"`), s.webhook("/kept kept"))
	c := startIn(t, data, "debug", sites)
	s.confide(url+"/redacted", "chat-1", redactedCard)
	s.confide(url+"/kept", "chat-2", keptCard)
	c.eventually("the transcripts are fetched", func() bool {
		for _, d := range c.list() {
			if _, shown := c.ask(http.MethodGet, "/kindly/deliveries/"+d.ID, ""); gjson.Get(shown, "document.transcript.text").Str == "" {
				return false
			}
		}
		return true
	})
	for _, d := range c.list("--name", "redacted") {
		_, shown := c.ask(http.MethodGet, "/kindly/deliveries/"+d.ID, "")
		require.NotContains(t, shown, redactedCard)
		require.Contains(t, shown, "[card]")
	}
	c.stop(syscall.SIGKILL)
	require.Zero(t, occurrences(t, data, redactedCard))
	require.Positive(t, occurrences(t, data, keptCard))

	s.desk.Recover()
	again := startIn(t, data, "debug", sites)
	tickets := make(map[string]string)
	for _, ticket := range s.waitTickets(2) {
		tickets[gjson.GetBytes(ticket.Body, "chat.id").Str] = string(ticket.Body)
	}
	require.NotContains(t, tickets["chat-1"], redactedCard)
	for _, path := range []string{"message", "context.email", "transcript.text", "source.webhook.message", "source.chat.chat.messages.0.message"} {
		require.Contains(t, gjson.Get(tickets["chat-1"], path).Str, "[card]", path)
		require.Contains(t, gjson.Get(tickets["chat-2"], path).Str, keptCard, path)
	}
	require.Zero(t, again.stop(terminate))
	require.NotContains(t, c.out.String()+again.out.String(), redactedCard)
}

// TestErase has nothing left of a chat in the files of a Caddy that runs, one
// of which is damaged and was set aside.
func TestErase(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	s.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	data, address := t.TempDir(), freeAddress(t)
	url := "http://" + address + "/kindly"
	sites := site("http://"+address, s.webhook("/kindly support"))
	c := startIn(t, data, "", sites)
	const erased, other = "chat-that-is-erased", "chat-that-stays"
	s.confide(url, erased, redactedCard)
	s.confide(url, other, keptCard)
	require.Zero(t, c.stop(terminate))
	content, err := os.ReadFile(c.deliveries())
	require.NoError(t, err)
	clear(content[:16<<10]) // both meta pages
	require.NoError(t, os.WriteFile(c.deliveries(), content, 0o600))

	c = startIn(t, data, "", sites)
	c.waitFor("what could be read of the damaged file is imported")
	require.Greater(t, occurrences(t, data, redactedCard), 1)
	status, answer := c.ask(http.MethodPost, "/kindly/chats/erase", `{"chat_id":"`+erased+`"}`)
	require.Equal(t, http.StatusOK, status, answer)
	require.JSONEq(t, `{"erased":1}`, answer)
	c.eventually("it is purged", func() bool {
		_, status := c.ask(http.MethodGet, "/kindly/status", "")
		return !gjson.Get(status, "store.purging").Bool()
	})
	for _, text := range []string{redactedCard, erased} {
		require.Zero(t, occurrences(t, data, text), text)
	}
	require.Positive(t, occurrences(t, data, keptCard))
	require.Zero(t, c.stop(terminate))
	require.Zero(t, occurrences(t, data, erased))
}
