package kindlyhandler_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// Odd but readable webhooks make a correct ticket, with what is odd in it
// left out, and the webhook in it as it came.
func TestOddWebhooks(t *testing.T) {
	tests := map[string]struct {
		webhook string
		want    map[string]string // raw JSON by path
	}{
		"only a chat_id": {`{"chat_id":"1"}`, map[string]string{
			"subject": `"create ticket"`, "message": `""`, "language": `"en"`, "bot.id": "null", "chat.url": "null", "organization_id": "null", "context": "{}", "attachments": "[]",
		}},
		"duplicate keys": {`{"chat_id":"1","message":"a","message":"b","context":{"email":"a@example.no"},"context":{"name":"Kari"}}`, map[string]string{
			"message": `"b"`, "context": `{"name":"Kari"}`, "customer.name": `"Kari"`, "customer.email": `"me@example.com"`,
		}},
		"numbers for strings": {`{"chat_id":7,"bot_id":"4","user_id":8,"message":9.50,"source":1,"chat_labels":[2]}`, map[string]string{
			"chat.id": `"7"`, "bot.id": "4", "customer.id": `"8"`, "message": `"9.50"`, "chat.source": `"1"`, "chat.labels": `["2"]`,
		}},
		"null everywhere": {`{"chat_id":"1","organization_id":null,"bot_id":null,"user_id":null,"chat_labels":null,"exchange":null,"message":null,"attachments":null,"context":null,"_links":null,"source":null,"web_url":null}`, map[string]string{
			"organization_id": "null", "chat.labels": `["label1","label2"]`, "attachments": "[]", "context": "{}",
		}},
		"wrong types everywhere": {`{"chat_id":"1","organization_id":{},"bot_id":[],"user_id":{},"chat_labels":"x","exchange":[],"message":{},"attachments":"x","context":"x","_links":1,"source":[],"web_url":{}}`, map[string]string{
			"organization_id": "null", "customer.id": "null", "message": `""`, "attachments": "[]", "context": "{}", "chat.page": "null",
		}},
		"unknown fields": {`{"chat_id":"1","new":{"field":[1e400,"\ud800",""]},"attachments":[{"new":true}]}`, map[string]string{
			"attachments": `[{"new":true}]`, "source.webhook.new": `{"field":[1e400,"\ud800",""]}`,
		}},
		"hostile HTML": {`{"chat_id":"1","message":"<script>` + private + `</script><b onclick=x>hi</b>"}`, map[string]string{
			"subject": `"hi"`, "message": `"<script>` + private + `</script><b onclick=x>hi</b>"`,
		}},
		"an address that is none": {`{"chat_id":"1","web_url":"javascript:alert(1)","context":{"email":"x\nBcc: y@example.com"}}`, map[string]string{
			"chat.page": "null", "customer.email": `"me@example.com"`,
		}},
		"a huge message": {`{"chat_id":"1","message":"` + strings.Repeat("å", 500_000) + `"}`, map[string]string{
			"subject": `"` + strings.Repeat("å", 119) + `…"`, "message": `"` + strings.Repeat("å", 500_000) + `"`,
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{})
			r.told(r.send([]byte(test.webhook)), "ticket 1")
			ticket := r.tickets(1)[0]
			require.True(t, json.Valid([]byte(ticket.Raw)))
			assert.Equal(t, test.webhook, ticket.Get("source.webhook").Raw)
			assert.Equal(t, int64(4), ticket.Get("messages.#").Int())
			for path, want := range test.want {
				assert.Equal(t, want, ticket.Get(path).Raw, path)
			}
		})
	}
}

// A chat's id comes from a visitor's browser in the end. It reaches Kindly as
// it is, or not at all.
func TestOddChatIDs(t *testing.T) {
	tests := map[string]string{ // why there is no transcript
		"../":                       "",
		"../../v1/bots":             "",
		"a/b":                       "",
		"?x=y":                      "",
		"#x":                        "",
		"%2f":                       "",
		"%2e%2e":                    "",
		"%":                         "",
		"a b+c":                     "",
		"\x00\r\n\t\x7f":            "",
		"//evil.example":            "",
		"@evil.example":             "",
		"\\..\\":                    "",
		"ø😀":                        "",
		"\u202e":                    "",
		"...":                       "",
		"{kindly.event}{env.HOME}":  "",
		".":                         "no URL can carry the chat's id",
		"..":                        "no URL can carry the chat's id",
		strings.Repeat("x", 10_000): "no URL can carry the chat's id",
	}
	for id, want := range tests {
		t.Run(fmt.Sprintf("%.20q", id), func(t *testing.T) {
			r := newRig(t, setup{options: func(o *kindlyhandler.Options) {
				o.Reply = kindlyhandler.Texts{"": "ok"}
				o.Upstreams[0].Header.Set("X-Chat", "<{kindly.chat.id}>")
			}})
			r.told(r.send(kindlytest.DialogueWebhookFor(id)), "ok")
			ticket := r.tickets(1)[0]
			assert.Equal(t, id, ticket.Get("chat.id").Str)
			assert.Equal(t, want, ticket.Get("transcript_error").Str)
			if want != "" {
				assert.Zero(t, r.kindly.Count())
				assert.Equal(t, gjson.Null, ticket.Get("transcript").Type)
				assert.Equal(t, gjson.Null, ticket.Get("chat.url").Type)
				return
			}
			requests := r.kindly.Requests()
			require.Len(t, requests, 1)
			assert.Equal(t, id, requests[0].ChatID)
			assert.Equal(t, int64(4), ticket.Get("messages.#").Int())
			assert.Len(t, r.desk.Tickets()[0].Header["X-Chat"], 1)
			segment, found := strings.CutPrefix(ticket.Get("chat.url").Str, "https://app.kindly.ai/workspace/4/inbox/chat/")
			assert.True(t, found)
			assert.NotRegexp(t, `[/?#]`, segment)
		})
	}
}

// Headers carry no line breaks, whoever asks for them.
func TestOddHeaderValues(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) { o.Upstreams[0].Header.Set("X-Subject", "{kindly.message}") }})
	r.send([]byte(`{"chat_id":"1","message":"a\r\nX-Evil: 1\u0000\u0085b"}`))
	r.tickets(1)
	assert.Equal(t, []string{"a  X-Evil: 1  b"}, r.desk.Tickets()[0].Header["X-Subject"])
	assert.NotContains(t, r.desk.Tickets()[0].Header, "X-Evil")
}

func TestOddTranscripts(t *testing.T) {
	padded := func(n int) string {
		const before, after = `{"chat":{"messages":[{"from_bot":false,"message":"hi"}]},"padding":"`, `"}`
		return before + strings.Repeat("x", n-len(before)-len(after)) + after
	}
	many := `{"messages":[` + strings.TrimSuffix(strings.Repeat(`{"sender":"USER","created":"2026-01-02T03:04:05.000000Z","message":"<p>hi</p>"},`, 10_000), ",") + `]}`
	const limit = 16 << 20
	tests := map[string]struct {
		transcript string
		messages   int64
		err        string
	}{
		"16 MiB":                {padded(limit), 1, ""},
		"more than 16 MiB":      {padded(limit + 1), 0, "transcript API: the transcript is larger than 16777216 bytes"},
		"10,000 messages":       {many, 10_000, ""},
		"a huge message":        {`{"messages":[{"message":"` + strings.Repeat("<i>x</i> ", 50_000) + `"}]}`, 1, ""},
		"no messages":           {`{"chat":{"messages":[]}}`, 0, ""},
		"null everywhere":       {`{"chat":null,"messages":[{"id":null,"created":null,"from_bot":null,"message":null,"name":null,"buttons":null},null]}`, 1, ""},
		"duplicate keys":        {`{"messages":[],"messages":[{"message":"a","message":"b"}]}`, 1, ""},
		"not a chat":            {`{"error":"` + private + `"}`, 0, "transcript API: the answer has no messages"},
		"not JSON":              {`<html>` + private, 0, "transcript API: not a JSON object"},
		"empty":                 {``, 0, "transcript API: not a JSON object"},
		"invalid UTF-8":         {"{\"messages\":[{\"message\":\"\xff\"}]}", 0, "transcript API: not valid UTF-8"},
		"nested too deep":       {`{"messages":[` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `]}`, 0, "transcript API: nested deeper than 64 levels"},
		"cut off, but complete": {`{"messages":[{"message":"a"}`, 0, "transcript API: not a JSON object"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{})
			r.kindly.SetTranscript("1", []byte(test.transcript))
			r.told(r.send([]byte(`{"chat_id":"1"}`)), "ticket 1")
			ticket := r.tickets(1)[0]
			assert.Equal(t, test.err, ticket.Get("transcript_error").Str)
			assert.Equal(t, test.messages, ticket.Get("messages.#").Int())
			assert.Equal(t, test.err == "", ticket.Get("transcript").IsObject())
			if test.err == "" {
				assert.Equal(t, test.transcript, ticket.Get("source.chat").Raw, "changed on the way") //nolint:testifylint // its bytes matter
				return
			}
			assert.Equal(t, gjson.Null, ticket.Get("source.chat").Type)
			assert.Equal(t, 1, r.counts.transcriptsMissing)
			assert.Len(t, r.logged("ticket goes out without the chat's transcript"), 1)
		})
	}
}
