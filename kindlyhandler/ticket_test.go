package kindlyhandler

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/jq"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata/golden.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

var (
	exampleID       = uuid.MustParse("0198f3c2-0000-7000-8000-000000000000")
	exampleReceived = time.Date(2026, 11, 22, 15, 28, 0, 120_999_999, time.FixedZone("CET", 3600))
)

// checkTicket encodes the ticket of an event and a transcript, which may be
// nil, and checks what holds for every ticket.
func checkTicket(t *testing.T, e *event, chat *transcript) gjson.Result {
	t.Helper()
	ticket := newTicket(exampleID, exampleReceived, e, chat, "")
	b, err := ticket.encode()
	require.NoError(t, err)
	require.True(t, utf8.Valid(b))

	reference, err := json.Marshal(ticket)
	require.NoError(t, err)
	require.Equal(t, decode(t, reference), decode(t, b), "differs from encoding/json")

	value, err := jq.Encode(ticket.value(true))
	require.NoError(t, err)
	require.Equal(t, decode(t, b), decode(t, value), "expressions see another ticket")

	require.NotEmpty(t, ticket.Subject)
	require.LessOrEqual(t, utf8.RuneCountInString(ticket.Subject), 120)
	require.False(t, strings.ContainsFunc(ticket.Subject, isMisleading))
	return gjson.ParseBytes(b)
}

// decode reads JSON with its numbers as they are written.
func decode(t *testing.T, b []byte) (v any) {
	t.Helper()
	require.Truef(t, json.Valid(b), "not JSON: %s", b)
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	require.NoError(t, d.Decode(&v))
	return v
}

// trimmed returns JSON without the white space around it.
func trimmed(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }

// The whole document for the example payloads.
func TestTicket_golden(t *testing.T) {
	tests := []struct{ name, webhook, chat, transcriptError string }{
		{"dialogue", "dialogue-webhook.json", "transcript.json", ""},
		{"dialogue-agent", "dialogue-webhook.json", "transcript-agent.json", ""},
		{"dialogue-without-transcript", "dialogue-webhook.json", "", "the transcript API answered 404 Not Found"},
		{"ticket-event", "ticket-webhook.json", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := mustParseEvent(t, string(readTestdata(t, test.webhook)))
			var chat *transcript
			if test.chat != "" {
				var err error
				chat, err = parseTranscript(readTestdata(t, test.chat))
				require.NoError(t, err)
			}
			b, err := newTicket(exampleID, exampleReceived, e, chat, test.transcriptError).encode()
			require.NoError(t, err)
			var pretty bytes.Buffer
			require.NoError(t, json.Indent(&pretty, b, "", "  "))
			pretty.WriteByte('\n')
			golden(t, "ticket/"+test.name+".json", pretty.Bytes())
			checkTicket(t, e, chat)
		})
	}
}

// The names of the fields are the contract with upstreams.
func TestTicket_hasAllFields(t *testing.T) {
	chat, err := parseTranscript(readTestdata(t, "transcript.json"))
	require.NoError(t, err)
	for name, ticket := range map[string]gjson.Result{
		"full":  checkTicket(t, mustParseEvent(t, string(readTestdata(t, "dialogue-webhook.json"))), chat),
		"empty": checkTicket(t, mustParseEvent(t, `{"chat_id":"1"}`), nil),
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, []string{
				"version", "id", "event", "received_at", "subject", "message", "language", "customer", "organization_id",
				"bot", "chat", "context", "attachments", "messages", "transcript", "transcript_error", "kindly_ticket", "source",
			}, keys(ticket))
			assert.Equal(t, []string{"id", "name", "email", "phone", "verified"}, keys(ticket.Get("customer")))
			assert.Equal(t, []string{"id", "name"}, keys(ticket.Get("bot")))
			assert.Equal(t, []string{"id", "url", "source", "page", "labels", "created", "updated"}, keys(ticket.Get("chat")))
			assert.Equal(t, []string{"webhook", "chat"}, keys(ticket.Get("source")))
			for _, list := range []string{"attachments", "messages", "chat.labels"} {
				assert.True(t, ticket.Get(list).IsArray(), "%s is null", list)
			}
			assert.True(t, ticket.Get("context").IsObject())
			if name == "full" {
				assert.Equal(t, []string{"id", "time", "sender", "name", "text", "html", "buttons", "attachments"}, keys(ticket.Get("messages.0")))
				assert.Equal(t, []string{"text", "markdown", "html"}, keys(ticket.Get("transcript")))
			}
		})
	}
}

func keys(object gjson.Result) []string {
	var names []string
	object.ForEach(func(key, _ gjson.Result) bool {
		names = append(names, key.Str)
		return true
	})
	return names
}

func TestTicket_receivedAt(t *testing.T) {
	e := mustParseEvent(t, `{"chat_id":"1"}`)
	for at, want := range map[time.Time]string{
		exampleReceived: "2026-11-22T14:28:00.120Z",
		time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC): "2026-01-02T03:04:05.000Z",
	} {
		assert.Equal(t, want, newTicket(exampleID, at, e, nil, "").ReceivedAt)
	}
}

// What the webhook does not say comes from the transcript, and no more.
func TestTicket_completedFromTranscript(t *testing.T) {
	chat, err := parseTranscript([]byte(`{"chat":{"bot_name":"Bob","language_code":"nb","labels":["a"],"created":"2017-12-20T10:18:04Z","updated":"yesterday",
		"context":{"email":"kari@example.no","name":"Kari"},"messages":[]}}`))
	require.NoError(t, err)

	ticket := newTicket(exampleID, exampleReceived, mustParseEvent(t, `{"chat_id":"1"}`), chat, "")
	assert.Equal(t, "Bob", *ticket.Bot.Name)
	assert.Equal(t, "nb", ticket.Language)
	assert.Equal(t, []string{"a"}, ticket.Chat.Labels)
	assert.Equal(t, "2017-12-20T10:18:04Z", *ticket.Chat.Created)
	assert.Nil(t, ticket.Chat.Updated)
	assert.Equal(t, "kari@example.no", *ticket.Customer.Email)
	assert.JSONEq(t, "{}", string(ticket.Context), "context is the webhook's")

	ticket = newTicket(exampleID, exampleReceived,
		mustParseEvent(t, `{"chat_id":"1","exchange":{"language_code":"en"},"chat_labels":[],"bot":{"name":"B"},"context":{"name":"Ola"}}`), chat, "")
	assert.Equal(t, "B", *ticket.Bot.Name)
	assert.Empty(t, ticket.Chat.Labels)
	assert.Equal(t, "en", ticket.Language)
	assert.Equal(t, "Ola", *ticket.Customer.Name)
	assert.Equal(t, "kari@example.no", *ticket.Customer.Email)
}

func TestTicket_subject(t *testing.T) {
	chat := func(messages string) *transcript {
		c, err := parseTranscript([]byte(`{"messages":` + messages + `}`))
		require.NoError(t, err)
		return c
	}
	tests := map[string]struct {
		webhook string
		chat    *transcript
		want    string
	}{
		"the message":                    {`{"chat_id":"1","message":"create ticket"}`, nil, "create ticket"},
		"the message beats the chat":     {`{"chat_id":"1","message":"a"}`, chat(`[{"from_bot":false,"message":"b"}]`), "a"},
		"markup is taken out":            {`{"chat_id":"1","message":"<p>a &amp;<br>b</p>"}`, nil, "a & b"},
		"one line":                       {`{"chat_id":"1","message":"\ta\r\n\n b\u0000\u2028c\u202e "}`, nil, "a b c"},
		"120 characters":                 {`{"chat_id":"1","message":"` + strings.Repeat("å", 120) + `"}`, nil, strings.Repeat("å", 120)},
		"more than 120 characters":       {`{"chat_id":"1","message":"` + strings.Repeat("å", 121) + `"}`, nil, strings.Repeat("å", 119) + "…"},
		"cut before a space":             {`{"chat_id":"1","message":"` + strings.Repeat("a", 118) + ` b c"}`, nil, strings.Repeat("a", 118) + "…"},
		"no message":                     {`{"chat_id":"1"}`, chat(`[{"from_bot":true,"message":"b"},{"from_bot":false,"message":" "},{"from_bot":false,"message":"<i>c</i>"}]`), "c"},
		"nobody said anything":           {`{"chat_id":"a\nb"}`, chat(`[]`), "Chat a b"},
		"nobody said anything, no chat":  {`{"chat_id":"1","message":"<script>x</script>"}`, nil, "Chat 1"},
		"ticket event":                   {`{"_meta":{"event":"x"},"ticket":{},"chat":{"messages":[{"sender":"USER","message":"<p>a</p>"}]}}`, nil, "a"},
		"ticket event, markup is quoted": {`{"_meta":{"event":"x"},"ticket":{},"chat":{"messages":[{"sender":"USER","message":"use &lt;b&gt;"}]}}`, nil, "use <b>"},
		"ticket event without messages":  {`{"_meta":{"event":"x"},"ticket":{},"chat":{"id":"9"}}`, nil, "Chat 9"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ticket := checkTicket(t, mustParseEvent(t, test.webhook), test.chat)
			assert.Equal(t, test.want, ticket.Get("subject").Str)
		})
	}
}

func TestTicket_kindlyTicket(t *testing.T) {
	for webhook, want := range map[string]string{
		`{"_meta":{"event":"x"},"ticket":{}}`:                                                       `{"id":null,"status":null,"assigned_agent":null}`,
		`{"_meta":{"event":"x"},"ticket":{"id":1,"status":"NEW","assigned_agent":null}}`:            `{"id":"1","status":"NEW","assigned_agent":null}`,
		`{"_meta":{"event":"x"},"ticket":{"id":"1","id":"2","assigned_agent":"Carl","status":[]}}`:  `{"id":"2","status":null,"assigned_agent":"Carl"}`,
		`{"_meta":{"event":"x"},"ticket":{"assigned_agent":{"email":"c@example.com","x":[1e400]}}}`: `{"id":null,"status":null,"assigned_agent":{"email":"c@example.com","x":[1e400]}}`,
	} {
		e := mustParseEvent(t, webhook)
		b, err := newTicket(exampleID, exampleReceived, e, nil, "").encode()
		require.NoError(t, err)
		assert.Equal(t, want, gjson.GetBytes(b, "kindly_ticket").Raw)
	}
}

// encode's way around encoding/json must not be a different one.
func TestTicket_encodeIsEncodingJSON(t *testing.T) {
	chat, err := parseTranscript([]byte(`{"messages":[{"message":"<b>&\u2028\u0000</b>","buttons":[ {"label" : "<&>"} ]}], "x" : "<&>" }`))
	require.NoError(t, err)
	e := mustParseEvent(t, "\n{ \"chat_id\" : \"<&>\" ,\"context\":{ \"a\" : \"<\u2029\" } }\t")
	ticket := checkTicket(t, e, chat)
	assert.Equal(t, string(trimmed(e.raw)), ticket.Get("source.webhook").Raw)
	assert.Equal(t, string(chat.raw), ticket.Get("source.chat").Raw)
	assert.Contains(t, ticket.Raw, `"buttons":[{"label":"<&>"}]`, "escaped for HTML, which makes tickets large")

	empty := Ticket{}
	b, err := empty.encode()
	require.NoError(t, err)
	require.Truef(t, json.Valid(b), "%s", b)
}

// The estimate is there to spare a large ticket being copied.
func TestTicket_size(t *testing.T) {
	e := mustParseEvent(t, string(readTestdata(t, "dialogue-webhook.json")))
	for _, n := range []int{0, 4, 1000} {
		chat, err := parseTranscript(transcriptOf(t, n))
		require.NoError(t, err)
		ticket := newTicket(exampleID, exampleReceived, e, chat, "")
		b, err := ticket.encode()
		require.NoError(t, err)
		assert.GreaterOrEqual(t, ticket.size(), len(b), "%d messages", n)
		assert.LessOrEqual(t, ticket.size(), 3*len(b), "%d messages", n)
	}
}

func TestOneLine(t *testing.T) {
	tests := map[string]string{
		"":                      "",
		"plain":                 "plain",
		"two words":             "two words",
		"two  words":            "two words",
		" around ":              "around",
		"\u00a0 \u2003x":        "x",
		"\x1b[31mred":           "[31mred",
		"a\u202eb\u2066c\u200f": "abc",
		"\u200e \u200e":         "",
		"1234567890":            "1234567890",
		"12345678901":           "123456789…",
		"1234567 9 12":          "1234567 9…",
		"12345678 9012":         "12345678…",
		"æøåæøåæøåæ":            "æøåæøåæøåæ",
		"æøåæøåæøåæø":           "æøåæøåæøå…",
		"1234567890 \n":         "1234567890",
	}
	for s, want := range tests {
		assert.Equal(t, want, oneLine(s, 10), "%q", s)
	}
	assert.Equal(t, "…", oneLine("ab", 1))
}

func TestOneLine_isItsOwnResult(t *testing.T) {
	for _, s := range []string{"a  b", "12345678 9012", "\u202e x\ny", strings.Repeat("x", 50)} {
		once := oneLine(s, 10)
		assert.Equal(t, once, oneLine(once, 10))
		assert.False(t, slices.Contains([]rune(once), '\n'))
	}
}
