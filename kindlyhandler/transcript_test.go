package kindlyhandler

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

// What people get to read of all the transcripts in testdata.
func TestRenderTranscript_golden(t *testing.T) {
	files, err := filepath.Glob("testdata/transcript*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			chat, err := parseTranscript(readTestdata(t, name+".json"))
			require.NoError(t, err)
			r := renderTranscript(chat.messages, "Kari *Nordmann* <kari@example.no>", time.UTC)
			golden(t, "transcript/"+name+".txt", []byte(r.Text))
			golden(t, "transcript/"+name+".md", []byte(r.Markdown))
			golden(t, "transcript/"+name+".html", []byte(r.HTML))
		})
	}
}

func TestParseTranscript_refuses(t *testing.T) {
	for body, want := range map[string]string{
		``:                                 "not a JSON object",
		`<html>`:                           "not a JSON object",
		`[{"messages":[]}]`:                "not a JSON object",
		"{\"messages\":[\"\xff\"]}":        "not valid UTF-8",
		`{"messages":[` + deep(64) + `]}`:  "nested deeper than 64 levels",
		`{}`:                               errNoMessages.Error(),
		`{"chat":null}`:                    errNoMessages.Error(),
		`{"chat":{"messages":null}}`:       errNoMessages.Error(),
		`{"chat":{"messages":{"a":1}}}`:    errNoMessages.Error(),
		`{"chat":"{\"messages\":[]}"}`:     errNoMessages.Error(),
		`{"chat":[{"messages":[]}]}`:       errNoMessages.Error(),
		`{"messages":"[]"}`:                errNoMessages.Error(),
		`{"error":"no such chat","id":42}`: errNoMessages.Error(),
	} {
		_, err := parseTranscript([]byte(body))
		assert.EqualError(t, err, want, "%.60s", body)
	}
}

// deep returns a list in a list in a list.
func deep(levels int) string {
	return strings.Repeat("[", levels) + strings.Repeat("]", levels)
}

func TestParseTranscript_dialects(t *testing.T) {
	tests := map[string]struct {
		body string
		want []string
	}{
		"in the chat":                   {`{"chat":{"messages":[{"message":"a"}]}}`, []string{"a"}},
		"beside the chat":               {`{"chat":{},"messages":[{"message":"a"}]}`, []string{"a"}},
		"without a chat":                {`{"messages":[{"message":"a"}]}`, []string{"a"}},
		"in both: those in the chat":    {`{"chat":{"messages":[{"message":"a"}]},"messages":[{"message":"b"}]}`, []string{"a"}},
		"in both, none in the chat":     {`{"messages":[{"message":"b"}],"chat":{"messages":[]}}`, []string{"b"}},
		"in both, null in the chat":     {`{"messages":[{"message":"b"}],"chat":{"messages":null}}`, []string{"b"}},
		"none at all":                   {`{"chat":{"messages":[]}}`, nil},
		"two chats: the last one":       {`{"chat":{"messages":[{"message":"a"}]},"chat":{"messages":[{"message":"b"}]}}`, []string{"b"}},
		"nested as deep as may be":      {`{"messages":[{"message":"a"},` + deep(62) + `]}`, []string{"a"}},
		"the order is that of the list": {`{"messages":[{"message":"2","created":"2026-01-02T00:00:00Z"},{"message":"1","created":"2026-01-01T00:00:00Z"}]}`, []string{"2", "1"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			chat, err := parseTranscript([]byte(test.body))
			require.NoError(t, err)
			var got []string
			for _, m := range chat.messages {
				got = append(got, m.body)
			}
			assert.Equal(t, test.want, got)
			assert.Equal(t, test.body, string(chat.raw))
		})
	}
}

func TestParseMessage_sender(t *testing.T) {
	for body, want := range map[string]string{
		`{"from_bot":true}`:                  SenderBot,
		`{"from_bot":false}`:                 SenderUser,
		`{"sender":"USER"}`:                  SenderUser,
		`{"sender":"BOT"}`:                   SenderBot,
		`{"sender":"AGENT"}`:                 SenderAgent,
		`{"sender":"SYSTEM"}`:                SenderSystem,
		`{"sender":"agent"}`:                 SenderAgent,
		`{"sender":"SUPERVISOR"}`:            SenderSystem,
		`{"sender":"AGENT","from_bot":true}`: SenderAgent,
		`{"sender":null,"from_bot":false}`:   SenderUser,
		`{"from_bot":"true"}`:                SenderSystem,
		`{"from_bot":null}`:                  SenderSystem,
		`{}`:                                 SenderSystem,
	} {
		assert.Equal(t, want, parseMessage(gjson.Parse(body)).sender, body)
	}
}

func TestMessage_who(t *testing.T) {
	tests := []struct{ sender, name, customer, want string }{
		{SenderUser, "You", "Kari", "Kari"},
		{SenderUser, "", "Kari", "Kari"},
		{SenderUser, "You", "", "User"},
		{SenderUser, "Ola", "Kari", "Ola"},
		{SenderBot, "You", "Kari", "Bot"},
		{SenderBot, "webhook", "Kari", "webhook"},
		{SenderAgent, "", "Kari", "Agent"},
		{SenderSystem, "", "Kari", "System"},
		{SenderAgent, "two\nlines", "", "two lines"},
		{SenderAgent, strings.Repeat("x", 100), "", strings.Repeat("x", 79) + "…"},
	}
	for _, test := range tests {
		m := message{sender: test.sender, name: test.name}
		assert.Equal(t, test.want, m.who(test.customer), "%+v", test)
	}
}

func TestTimestamp(t *testing.T) {
	for body, want := range map[string]string{
		`"2017-12-20T10:18:07.912000Z"`:      "2017-12-20 10:18:07 UTC – User:\n",
		`"2017-12-20T10:18:07Z"`:             "2017-12-20 10:18:07 UTC – User:\n",
		`"2017-12-20T23:18:07.999999-05:00"`: "2017-12-21 04:18:07 UTC – User:\n",
		`"0001-01-01T00:00:00Z"`:             "User:\n",
		`"2017-12-20"`:                       "User:\n",
		`"2017-13-20T10:18:07Z"`:             "User:\n",
		`1513764287`:                         "User:\n",
		`null`:                               "User:\n",
		`{}`:                                 "User:\n",
	} {
		m := parseMessage(gjson.Parse(`{"from_bot":false,"created":` + body + `}`))
		assert.Equal(t, want, renderTranscript([]message{m}, "", time.UTC).Text, body)
	}
}

func TestRenderTranscript_localTime(t *testing.T) {
	oslo := time.FixedZone("CET", 3600)
	m := parseMessage(gjson.Parse(`{"from_bot":false,"created":"2017-12-20T23:18:07Z"}`))
	r := renderTranscript([]message{m}, "", oslo)
	assert.Equal(t, "2017-12-21 00:18:07 CET – User:\n", r.Text)
	assert.Equal(t, "**2017-12-21 00:18:07 CET – User:**\n\n", r.Markdown)
	assert.Equal(t, "<p><b>2017-12-21 00:18:07 CET – User:</b></p>\n<blockquote></blockquote>\n", r.HTML)
}

func TestRenderTranscript_tenThousandMessages(t *testing.T) {
	chat, err := parseTranscript(transcriptOf(t, 10_000))
	require.NoError(t, err)
	r := renderTranscript(chat.messages, "", time.UTC)
	assert.Equal(t, 10_000, strings.Count(r.Text, " UTC – "))
	assert.Equal(t, 10_000, strings.Count(r.Markdown, " UTC – "))
	assert.Equal(t, 10_000, strings.Count(r.HTML, "<blockquote>"))
	assert.Equal(t, 10_000, strings.Count(r.HTML, "</blockquote>"))
}

func TestRenderTranscript_nothing(t *testing.T) {
	assert.Equal(t, &Transcript{}, renderTranscript(nil, "Kari", time.UTC))
}

// Nobody gets to speak in another one's name by what is in a message.
func TestRenderTranscript_headingsCannotBeForged(t *testing.T) {
	chat, err := parseTranscript(readTestdata(t, "transcript-hostile.json"))
	require.NoError(t, err)
	r := renderTranscript(chat.messages, "", time.UTC)
	checkHeadings(t, r, len(chat.messages))
}

// checkHeadings checks that there are as many headings as messages, and that
// everything else is indented or quoted.
func checkHeadings(t *testing.T, r *Transcript, messages int) {
	t.Helper()
	text, markdown := 0, 0
	for line := range strings.Lines(r.Text) {
		if line != "\n" && !strings.HasPrefix(line, "  ") {
			text++
		}
	}
	for line := range strings.Lines(r.Markdown) {
		if line != "\n" && !strings.HasPrefix(line, ">") {
			markdown++
		}
	}
	html, depth := 0, 0
	for _, tag := range tags(r.HTML) {
		switch {
		case tag == "blockquote":
			depth++
		case tag == "/blockquote":
			depth--
		case tag == "b" && depth == 0:
			html++
		}
		require.GreaterOrEqual(t, depth, 0)
	}
	require.Zero(t, depth)
	require.Equal(t, messages, text, "in text")
	require.Equal(t, messages, markdown, "in Markdown")
	require.Equal(t, messages, html, "in HTML")
}

// tags returns what is between angle brackets.
func tags(html string) []string {
	pieces := strings.Split(html, "<")[1:]
	for i, piece := range pieces {
		pieces[i], _, _ = strings.Cut(piece, ">")
	}
	return pieces
}

// FuzzTranscript checks that what is accepted as a transcript is JSON to
// others, too, and becomes a ticket with the transcript in it as it came.
func FuzzTranscript(f *testing.F) {
	files, err := filepath.Glob("testdata/transcript*.json")
	require.NoError(f, err)
	for _, file := range files {
		f.Add(readTestdata(f, filepath.Base(file)))
	}
	f.Add([]byte(`{"messages":[{"message":"\ud800<a href=http://x>\u0000</a>","buttons":[{"label":"&","value":"http://\ud800"}],"attachments":[{"url":"https://x/\u202e"}],"created":"2026-01-02T03:04:05Z"}]}`))
	e := mustParseEvent(f, `{"chat_id":"1","bot_id":2}`)
	f.Fuzz(func(t *testing.T, body []byte) {
		if gjson.ValidBytes(body) {
			require.True(t, json.Valid(body), "JSON for one, not for the other")
		}
		chat, err := parseTranscript(body)
		if err != nil {
			return
		}
		ticket := checkTicket(t, e, chat)
		require.Equal(t, string(trimmed(body)), ticket.Get("source.chat").Raw)
		require.Equal(t, int64(len(chat.messages)), ticket.Get("messages.#").Int(), strconv.Quote(string(body)))
		r := renderTranscript(chat.messages, "Kari", time.UTC)
		checkHeadings(t, r, len(chat.messages))
		for _, tag := range tags(r.HTML) {
			require.NotRegexp(t, `(?i)^(script|style|img|iframe)|javascript:|data:|\son`, tag)
		}
	})
}
