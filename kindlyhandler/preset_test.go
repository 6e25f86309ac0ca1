package kindlyhandler

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
	"golang.org/x/net/html"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream/preset"
)

// presetUpstream returns an upstream with a preset and whatever that demands.
func presetUpstream(t testing.TB, p *preset.Preset) *upstream.Upstream {
	t.Helper()
	options := make(map[string]any)
	for _, o := range p.Options {
		switch {
		case !o.Required && !strings.Contains("token key password user email", o.Name[max(0, strings.LastIndex(o.Name, "_")+1):]):
		case o.Kind == preset.Integer:
			options[o.Name] = 1
		case o.Name == "text_formatting":
			options[o.Name] = "textile"
		default:
			options[o.Name] = "x"
		}
	}
	up, err := upstream.New(upstream.Options{URL: "https://desk.example", Preset: p.Name, PresetOptions: options})
	require.NoError(t, err)
	t.Cleanup(up.Close)
	return up
}

// hostileChats are transcripts as messages that nobody should have to read.
func hostileChats(t *testing.T) map[string]*transcript {
	t.Helper()
	chat := func(messages ...string) *transcript {
		var list []map[string]string
		for i, message := range messages {
			list = append(list, map[string]string{"message": message, "sender": []string{"USER", "BOT", "AGENT", "SYSTEM"}[i%4], "name": message[:min(len(message), 300)]})
		}
		b, err := json.Marshal(map[string]any{"chat": map[string]any{"labels": messages[:min(len(messages), 3)]}, "messages": list})
		require.NoError(t, err)
		parsed, err := parseTranscript(b)
		require.NoError(t, err)
		return parsed
	}
	const mega = 1 << 20
	chats := map[string]*transcript{
		"HTML":          chat(`<script>alert(1)</script><img src=x onerror=alert(1)><a href="javascript:alert(1)">x</a><iframe>`, `</pre></blockquote><b>unclosed`, `<!-- `, `"><svg onload=alert(1)>`),
		"mark-up":       chat("<!channel> @here <@U123>", "```\n/close\n![x](https://evil.example/x.png)", "{{include(secret)}} !https://evil.example/x.png! h1. x", "</pre>\n!https://evil.example/x.png!", "${7*7} {{7*7}} <%= 7 %>", `\u0000 \" \\ {"type":"doc"}`),
		"emoji":         chat(strings.Repeat("👩‍👩‍👧‍👦👍🏽", 60_000)),
		"right to left": chat(strings.Repeat("שלום \u202eevil\u2066 עולם ", 5_000), "\u202e\u2066\u200f"),
		"controls":      chat("a\x00b\x1b[31mc\x07\u0085d\u2028e\u2029f\ufeff\ufffd", strings.Repeat("\x01", 5000), "\xff\xfe"),
		"one megabyte":  chat(strings.Repeat("word ", mega/5)),
		"one line":      chat(strings.Repeat("x", mega)),
		"ampersands":    chat(strings.Repeat("&<>\"'\\", mega/6)),
		"lines":         chat(strings.Repeat("\n", mega), strings.Repeat("a\n", mega/2)),
		"many messages": chat(strings.Split(strings.Repeat("<p>hei</p>,", 10_000)+"x", ",")...),
		"nested":        chat(strings.Repeat("<ul><li><blockquote><b>", 2_000)+"x", strings.Repeat("<b>x</b><br>", 20_000)),
		"nothing":       chat(""),
	}
	for _, name := range []string{"transcript-hostile.json", "transcript-odd.json"} {
		parsed, err := parseTranscript(readTestdata(t, name))
		require.NoError(t, err)
		chats[name] = parsed
	}
	return chats
}

// limits are what systems take, in characters, by preset and path.
var limits = map[string]map[string]int{
	"dixa":                    {"message.content.value": 60000},
	"dynamics_365":            {"title": 200, "description": 2000},
	"front":                   {"subject": 255},
	"help_scout":              {"subject": 255},
	"hubspot":                 {"properties.subject": 255, "properties.content": 65536},
	"linear":                  {"variables.input.title": 255},
	"salesforce":              {"Subject": 255, "Description": 32000, "SuppliedName": 80},
	"servicenow":              {"short_description": 160, "description": 4000},
	"freshdesk":               {"subject": 255, "name": 255},
	"github":                  {"title": 256, "body": 65536},
	"gitlab":                  {"title": 255, "description": 1 << 20},
	"jira":                    {"fields.summary": 255},
	"jira_service_management": {"requestFieldValues.summary": 255, "requestFieldValues.description": 32767},
	"redmine":                 {"issue.subject": 255, "issue.description": 65535},
	"request_tracker":         {"Subject": 200, "Content": 25600},
	"slack":                   {"text": 4000, "blocks.0.text.text": 150, "blocks.1.text.text": 3000, "blocks.2.text.text": 3000},
	"superoffice":             {"Title": 255, "CustomFields.x": 60000},
	"zammad":                  {"title": 250},
	"zendesk":                 {"ticket.subject": 150, "ticket.requester.name": 255},
}

// Whatever is in a chat, each preset makes a request of it that its system can
// read, that keeps to its limits, and in which nothing executes.
func TestPreset_hostileChats(t *testing.T) {
	e := mustParseEvent(t, `{"chat_id":"<b>&\"'/../\u202e","bot_id":4,"message":"<script>alert(1)</script>\n\u0000","chat_labels":["a b,c","<script>"],"web_url":"https://x.example/?a=\"><script>","context":{"email":"me@example.com","name":"</pre><!channel> \u202e\u0007"}}`)
	chats := hostileChats(t)
	for _, p := range preset.All() {
		t.Run(p.Name, func(t *testing.T) {
			up := presetUpstream(t, p)
			for name, chat := range chats {
				body, err := up.Body(t.Context(), newTicket(exampleID, exampleReceived, e, chat, "").value(false))
				require.NoError(t, err, name)
				require.True(t, json.Valid(body), name)
				require.True(t, utf8.Valid(body), name)
				require.Contains(t, string(body), exampleID.String(), "%s: the delivery's id", name)
				for path, limit := range limits[p.Name] {
					text := gjson.GetBytes(body, path)
					require.True(t, text.Exists(), path)
					require.LessOrEqual(t, len(utf16.Encode([]rune(text.Str))), limit, "%s: %s", name, path)
				}
				requireHarmless(t, p, name, body)
			}
			for what, ticket := range map[string]*Ticket{
				"no transcript": newTicket(exampleID, exampleReceived, e, nil, "the transcript API answered 404 <b>"),
				"nobody":        newTicket(exampleID, exampleReceived, mustParseEvent(t, `{"chat_id":"c","message":null}`), nil, ""),
				"ticket event":  newTicket(exampleID, exampleReceived, mustParseEvent(t, string(readTestdata(t, "ticket-webhook.json"))), nil, ""),
			} {
				body, err := up.Body(t.Context(), ticket.value(false))
				require.NoError(t, err, what)
				requireHarmless(t, p, what, body)
				again, err := up.Body(t.Context(), ticket.value(true))
				require.NoError(t, err)
				require.Equal(t, string(body), string(again), "a repeated request is another one, or needs the source")
			}
		})
	}
}

// requireHarmless looks at every text of a request.
func requireHarmless(t *testing.T, p *preset.Preset, name string, body []byte) {
	t.Helper()
	if p.Name == "jira" {
		description := gjson.GetBytes(body, "fields.description").Raw
		require.LessOrEqual(t, len(utf16.Encode([]rune(description))), 32767, name)
	}
	if p.Name == "zendesk" {
		require.LessOrEqual(t, len(gjson.GetBytes(body, "ticket.comment.html_body").Str), 65535, name)
	}
	var walk func(path string, v gjson.Result)
	walk = func(path string, v gjson.Result) {
		if v.IsObject() || v.IsArray() {
			v.ForEach(func(key, v gjson.Result) bool {
				walk(path+"."+key.String(), v)
				return true
			})
			return
		}
		isText := strings.HasSuffix(path, "body") || strings.HasSuffix(path, "description") || strings.HasSuffix(path, "Content") || strings.HasSuffix(path, "text")
		if !isText {
			return
		}
		assert.False(t, strings.ContainsFunc(v.Str, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }), "%s: %s has control characters", name, path)
		switch {
		case p.Name == "request_tracker" && strings.HasSuffix(path, ".Content"):
			quotes := strings.NewReplacer(`<div style="margin: 0 2em 1em">`, "<blockquote>", "</div>", "</blockquote>")
			requireHarmlessHTML(t, name, quotes.Replace(v.Str))
		case p.Format == preset.HTML:
			requireHarmlessHTML(t, name, v.Str)
		case p.Name == "slack" && path != ".blocks.0.text.text": // that one is plain
			require.NotContains(t, strings.ReplaceAll(v.Str, "<https://app.kindly.ai/", ""), "<", name)
		case p.Name == "redmine":
			require.Equal(t, 1, strings.Count(v.Str, "</"), "%s: what ends the preformatted text", name)
		}
	}
	walk("", gjson.ParseBytes(body))
}

func requireHarmlessHTML(t *testing.T, name, fragment string) {
	t.Helper()
	open := 0
	for tokens := html.NewTokenizer(strings.NewReader(fragment)); ; {
		kind := tokens.Next()
		if kind == html.ErrorToken {
			break
		}
		token := tokens.Token()
		if kind == html.TextToken {
			continue
		}
		require.Contains(t, []string{"p", "br", "b", "i", "u", "s", "code", "pre", "ul", "ol", "li", "blockquote", "a"}, token.Data, name)
		for _, a := range token.Attr {
			require.True(t, a.Key == "rel" || a.Key == "href" && (strings.HasPrefix(a.Val, "http") || strings.HasPrefix(a.Val, "mailto:") || strings.HasPrefix(a.Val, "tel:")), "%s: %v", name, a)
		}
		switch {
		case kind == html.EndTagToken:
			open--
		case token.Data != "br":
			open++
		}
		require.GreaterOrEqual(t, open, 0)
	}
	require.Zero(t, open, name)
}

// BenchmarkPreset measures what a preset costs beside the ticket itself.
func BenchmarkPreset(b *testing.B) {
	e := mustParseEvent(b, string(readTestdata(b, "dialogue-webhook.json")))
	chat, err := parseTranscript(transcriptOf(b, 4))
	if err != nil {
		b.Fatal(err)
	}
	ticket := newTicket(exampleID, exampleReceived, e, chat, "")
	b.Run("none", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ticket.encode(); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, p := range preset.All() {
		up := presetUpstream(b, p)
		b.Run(p.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := up.Body(b.Context(), ticket.value(false)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
