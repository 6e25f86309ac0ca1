package kindlyhandler

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	renderer "github.com/yuin/goldmark/renderer/html"
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
	return presetUpstreamWith(t, p, options)
}

func presetUpstreamWith(t testing.TB, p *preset.Preset, options map[string]any) *upstream.Upstream {
	t.Helper()
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

// hostileEvent is a webhook that is as bad as its chat.
func hostileEvent(t *testing.T) *event {
	t.Helper()
	return mustParseEvent(t, `{"chat_id":"<b>&\"'/../\u202e","bot_id":4,"message":"<script>alert(1)</script>\n\u0000","chat_labels":["a b,c","<script>"],"web_url":"https://x.example/?a=\"><script>","attachments":[{"name":"<img src=x onerror=alert(1)>\u202e\n![x](https://evil.example/x.png)","url":"https://files.example/)<script>"},{"name":"</pre><!channel>","url":"javascript:alert(1)"},7],"context":{"email":"me@example.com","name":"</pre><!channel> \u202e\u0007"}}`)
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
	"jira_service_management": {"requestFieldValues.summary": 255},
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
	e := hostileEvent(t)
	chats := hostileChats(t)
	for _, p := range preset.All() {
		t.Run(p.Name, func(t *testing.T) {
			up := presetUpstream(t, p)
			for name, chat := range chats {
				sent, err := up.Map(t.Context(), newTicket(exampleID, exampleReceived, e, chat, "").value(false))
				require.NoError(t, err, name)
				require.True(t, json.Valid(sent.Body), name)
				require.True(t, utf8.Valid(sent.Body), name)
				require.Contains(t, string(sent.Body), exampleID.String(), "%s: the delivery's id", name)
				for path, limit := range limits[p.Name] {
					text := gjson.GetBytes(sent.Body, path)
					require.Equal(t, gjson.String, text.Type, path)
					require.LessOrEqual(t, len(utf16.Encode([]rune(text.Str))), limit, "%s: %s", name, path)
				}
				requireHarmless(t, p, name, sent.Body)
			}
			for what, ticket := range map[string]*Ticket{
				"no transcript": newTicket(exampleID, exampleReceived, e, nil, "the transcript API answered 404 <b>"),
				"nobody":        newTicket(exampleID, exampleReceived, mustParseEvent(t, `{"chat_id":"c","message":null}`), nil, ""),
				"ticket event":  newTicket(exampleID, exampleReceived, mustParseEvent(t, string(readTestdata(t, "ticket-webhook.json"))), nil, ""),
			} {
				sent, err := up.Map(t.Context(), ticket.value(false))
				require.NoError(t, err, what)
				requireHarmless(t, p, what, sent.Body)
				again, err := up.Map(t.Context(), ticket.value(true))
				require.NoError(t, err)
				require.Equal(t, string(sent.Body), string(again.Body), "a repeated request is another one, or needs more of the ticket")
			}
		})
	}
}

// A label that is nothing in a system is left out: it would refuse the ticket
// for that.
func TestPreset_emptyLabels(t *testing.T) {
	ticket := newTicket(exampleID, exampleReceived, mustParseEvent(t, `{"chat_id":"c","chat_labels":[""," ",{"name":"\t"},",","a b"]}`), nil, "")
	require.Equal(t, []string{",", "a b"}, ticket.Chat.Labels)
	for name, path := range map[string]string{"jira": "fields.labels", "zendesk": "ticket.tags"} {
		sent, err := presetUpstream(t, preset.Find(name)).Map(t.Context(), ticket.value(false))
		require.NoError(t, err)
		require.Equal(t, `["a_b"]`, gjson.GetBytes(sent.Body, path).Raw)
	}
}

// However long what a visitor decides is, such as the address of the page that
// the chat is on, a ticket has the delivery's id and what was said.
func TestPreset_longFacts(t *testing.T) {
	long := strings.Repeat("x", 3000)
	labels, err := json.Marshal(slices.Repeat([]string{"a label of some length"}, 300))
	require.NoError(t, err)
	for what, fields := range map[string]string{
		"page":        `"web_url":"https://shop.example/p?utm=` + long + `"`,
		"label":       `"chat_labels":["` + long + `"]`,
		"labels":      `"chat_labels":` + string(labels),
		"customer":    `"context":{"name":"` + long + `","phone":"` + long + `"}`,
		"attachments": `"attachments":[{"name":"` + long + `"},{"name":"a","url":"https://files.example/` + long + `"},{"name":"b","url":"https://files.example/b"}]`,
	} {
		ticket := newTicket(exampleID, exampleReceived, mustParseEvent(t, `{"chat_id":"c","message":"My parcel is wet",`+fields+`}`), nil, "")
		for _, p := range preset.All() {
			sent, err := presetUpstream(t, p).Map(t.Context(), ticket.value(false))
			require.NoError(t, err)
			require.Contains(t, string(sent.Body), exampleID.String(), "%s: %s", p.Name, what)
			require.GreaterOrEqual(t, strings.Count(string(sent.Body), "My parcel is wet"), 2, "%s: %s: subject and text", p.Name, what)
		}
	}
	// The page is shown without what makes it long.
	ticket := newTicket(exampleID, exampleReceived, mustParseEvent(t, `{"chat_id":"c","web_url":"https://shop.example/p?utm=`+long+`"}`), nil, "")
	sent, err := presetUpstream(t, preset.Find("salesforce")).Map(t.Context(), ticket.value(false))
	require.NoError(t, err)
	require.Contains(t, gjson.GetBytes(sent.Body, "Description").Str, "Page: https://shop.example/p\n")
}

// texts are where a preset puts the ticket's text, by its name and path. The
// document of those in Atlassian's format is held against its schema.
var texts = map[string][]string{
	"dixa":                    {"message.content.value"},
	"dynamics_365":            {"description"},
	"freshdesk":               {"description"},
	"front":                   {"body"},
	"github":                  {"body"},
	"gitlab":                  {"description"},
	"help_scout":              {"threads.0.text"},
	"hubspot":                 {"properties.content"},
	"intercom":                {"ticket_attributes._default_description_"},
	"jira":                    {"fields.description"},
	"jira_service_management": {"requestFieldValues.description"},
	"linear":                  {"variables.input.description"},
	"redmine":                 {"issue.description"},
	"request_tracker":         {"Content"},
	"salesforce":              {"Description"},
	"servicenow":              {"description"},
	"slack":                   {"text", "blocks.1.text.text", "blocks.2.text.text"},
	"superoffice":             {"CustomFields.x"},
	"zammad":                  {"article.body"},
	"zendesk":                 {"ticket.comment.html_body"},
}

// requireHarmless looks at every text of a request.
func requireHarmless(t *testing.T, p *preset.Preset, name string, body []byte) {
	t.Helper()
	var walk func(path string, v gjson.Result)
	walk = func(path string, v gjson.Result) {
		if v.IsObject() || v.IsArray() {
			v.ForEach(func(key, v gjson.Result) bool {
				walk(path+"."+key.String(), v)
				return true
			})
			return
		}
		if !strings.HasSuffix(path, "thread_ref") { // the chat's id, which nobody sees
			require.False(t, strings.ContainsFunc(v.Str, isControlling), "%s: %s has characters that control something", name, path)
		}
	}
	walk("", gjson.ParseBytes(body))
	require.NotEmpty(t, texts[p.Name], "where is the text of %s?", p.Name)
	for _, path := range texts[p.Name] {
		text := gjson.GetBytes(body, path)
		if p.Format != preset.ADF {
			require.True(t, text.Type == gjson.String || p.Name == "slack", "%s: %s", name, path) // a section can be missing there
		}
		switch {
		case p.Name == "slack":
			require.NotContains(t, strings.ReplaceAll(text.Str, "<https://app.kindly.ai/", ""), "<", name)
		case p.Name == "redmine" && strings.HasPrefix(text.Str, "<pre>"):
			require.Equal(t, 1, strings.Count(text.Str, "</"), "%s: what ends the preformatted text", name)
		case p.Name == "request_tracker":
			quotes := strings.NewReplacer(`<div style="margin: 0 2em 1em">`, "<blockquote>", "</div>", "</blockquote>")
			requireHarmlessHTML(t, name, quotes.Replace(text.Str))
		case p.Name == "zendesk":
			require.LessOrEqual(t, len(text.Str), 65535, name)
			requireHarmlessHTML(t, name, text.Str)
		case p.Format == preset.HTML:
			requireHarmlessHTML(t, name, text.Str)
		case p.Format == preset.Markdown:
			requireHarmlessMarkdown(t, name, text.Str)
		case p.Format == preset.ADF:
			require.LessOrEqual(t, len(utf16.Encode([]rune(text.Raw))), 32767, name)
			requireADF(t, name, text.Raw)
		}
	}
}

// isControlling tells whether a character in a text acts on what shows it, or
// on the text around it.
func isControlling(r rune) bool {
	return unicode.IsControl(r) && r != '\n' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// requireADF holds a document against Atlassian's schema, and its links against
// what may be linked to.
func requireADF(t *testing.T, name, document string) {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(schemas + "/adf.json")
	require.NoError(t, err)
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(document))
	require.NoError(t, err)
	require.NoError(t, schema.Validate(v), name)
	for _, href := range gjson.Get(document, "@dig:href").Array() {
		require.Regexp(t, `^(https?://|mailto:|tel:)`, href.Str, name)
	}
}

// requireHarmlessMarkdown renders a text as systems do that let HTML through.
func requireHarmlessMarkdown(t *testing.T, name, text string) {
	t.Helper()
	var page strings.Builder
	require.NoError(t, goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(renderer.WithUnsafe())).Convert([]byte(text), &page))
	requireHarmlessHTML(t, name, page.String())
}

// harmless are the elements that may be in HTML, those of rendered Markdown
// included.
var harmless = map[string]bool{
	"p": true, "br": true, "b": true, "i": true, "u": true, "s": true, "code": true, "pre": true, "ul": true, "ol": true, "li": true,
	"blockquote": true, "a": true, "strong": true, "em": true, "del": true,
}

var harmlessAddress = regexp.MustCompile(`^(https?:|mailto:|tel:)`)

func requireHarmlessHTML(t *testing.T, name, fragment string) {
	t.Helper()
	open := 0
	for tokens := html.NewTokenizer(strings.NewReader(fragment)); ; {
		kind := tokens.Next()
		if kind == html.ErrorToken {
			break
		}
		if kind == html.TextToken {
			continue
		}
		token := tokens.Token()
		if !harmless[token.Data] {
			require.Fail(t, "an element that may do something", "%s: %s", name, token)
		}
		for _, a := range token.Attr {
			if a.Key != "rel" && (a.Key != "href" || !harmlessAddress.MatchString(a.Val)) {
				require.Fail(t, "an attribute that may do something", "%s: %s", name, token)
			}
		}
		switch {
		case kind == html.EndTagToken:
			open--
		case token.Data != "br":
			open++
		}
		if open < 0 {
			require.Fail(t, "an element ends that is not open", "%s: %s", name, token)
		}
	}
	require.Zero(t, open, name)
}

// BenchmarkPreset measures what a preset's mapping costs; "none" is a ticket that
// is sent as it is.
func BenchmarkPreset(b *testing.B) {
	ticket := benchmarkTicket(b)
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
				if _, err := up.Map(b.Context(), ticket.value(false)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPresetShare measures a preset's mapping and, in turn with it, what
// the handler does for a webhook with an upstream without a preset. There is no
// network, no disk and no Caddy in that: of the whole job a mapping is the
// smaller part that caddy/benchmark measures (whole_job_jira).
func BenchmarkPresetShare(b *testing.B) {
	ticket := benchmarkTicket(b)
	serve := benchmarkJob(b)
	for _, p := range preset.All() {
		up := presetUpstream(b, p)
		b.Run(p.Name, func(b *testing.B) {
			var mapping, job time.Duration
			for b.Loop() {
				start := time.Now()
				if _, err := up.Map(b.Context(), ticket.value(false)); err != nil {
					b.Fatal(err)
				}
				mapped := time.Now()
				serve()
				mapping += mapped.Sub(start)
				job += time.Since(mapped)
			}
			b.ReportMetric(float64(mapping)/float64(b.N), "mapping-ns/op")
			b.ReportMetric(float64(job)/float64(b.N), "job-ns/op")
			b.ReportMetric(100*float64(mapping)/float64(job), "%-of-job")
		})
	}
}

// benchmarkTicket is a ticket with the usual four messages.
func benchmarkTicket(b *testing.B) *Ticket {
	b.Helper()
	e := mustParseEvent(b, string(readTestdata(b, "dialogue-webhook.json")))
	chat, err := parseTranscript(transcriptOf(b, 4))
	if err != nil {
		b.Fatal(err)
	}
	return newTicket(exampleID, exampleReceived, e, chat, "")
}
