package kindlyhandler

import (
	"html"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// environment is a Lookup such as Caddy's, in small.
func environment(name string) (string, bool) {
	values := map[string]string{"env.SET": "value", "env.BRACES": "{kindly.message}", "": "nothing"}
	value, known := values[name]
	return value, known || strings.HasPrefix(name, "env.")
}

// exampleFacts are those of the example webhook, written by somebody hostile.
func exampleFacts(t *testing.T) *facts {
	t.Helper()
	e := mustParseEvent(t, `{"chat_id":"c/1","bot_id":4,"message":"<b>{kindly.event}{env.SET}</b>","exchange":{"language_code":"nb-NO"},"user_id":"u1",
		"context":{"email":"me@example.com","name":"Kari","phone":47,"a.b":"dots","list":[1],"{x}":"braces","twice":"1","twice":"2"}}`)
	return &facts{id: exampleID, event: e, customer: new(identify(e, nil)), ticket: delivery.Ticket{ID: "4711", URL: "https://desk.example/4711"}}
}

func TestTemplate(t *testing.T) {
	f := exampleFacts(t)
	tests := map[string]string{
		"":                               "",
		"text":                           "text",
		"{kindly.delivery.id}":           exampleID.String(),
		"{kindly.event}":                 "dialogue",
		"{kindly.chat.id}":               "c/1",
		"{kindly.chat.url}":              "https://app.kindly.ai/workspace/4/inbox/chat/c%2F1",
		"{kindly.bot.id}":                "4",
		"{kindly.language}":              "nb-NO",
		"{kindly.customer.name}":         "Kari",
		"{kindly.customer.email}":        "me@example.com",
		"{kindly.customer.phone}":        "47",
		"{kindly.customer.id}":           "u1",
		"{kindly.ticket.id}":             "4711",
		"{kindly.ticket.url}":            "https://desk.example/4711",
		"{kindly.context.email}":         "me@example.com",
		"{kindly.context.a.b}":           "dots",
		"{kindly.context.list}":          "",
		"{kindly.context.none}":          "",
		"{kindly.context.twice}":         "2",
		"{kindly.context.}":              "",
		"a {kindly.ticket.id}, b":        "a 4711, b",
		"{kindly.event}{kindly.bot.id}":  "dialogue4",
		"{env.SET}":                      "value",
		"{env.UNSET}":                    "",
		"{unknown} {} { } {":             "{unknown} {} { } {",
		"}{":                             "}{",
		"{{kindly.event}}":               "{dialogue}",
		"{a {kindly.event}":              "{a dialogue",
		`\{kindly.event\}`:               "{kindly.event}",
		`\{{kindly.event}`:               "{dialogue",
		`{ \{`:                           "{ {",
		`\n \\ \`:                        `\n \\ \`,
		`{"json": "{kindly.event}"}`:     `{"json": "dialogue"}`,
		"{kindly.message}":               "<b>{kindly.event}{env.SET}</b>",
		"{env.BRACES}{kindly.ticket.id}": "{kindly.message}4711",
	}
	for text, want := range tests {
		tmpl, err := parseTemplate(text, environment)
		require.NoError(t, err, text)
		assert.Equal(t, want, tmpl.expand(f, verbatim), text)
	}
}

func TestTemplate_escapesValuesOnly(t *testing.T) {
	tmpl, err := parseTemplate("<i>{kindly.message}</i> & {env.SET}", environment)
	require.NoError(t, err)
	assert.Equal(t, "<i>&lt;b&gt;{kindly.event}{env.SET}&lt;/b&gt;</i> & value", tmpl.expand(exampleFacts(t), html.EscapeString))
}

func TestTemplate_withoutLookup(t *testing.T) {
	tmpl, err := parseTemplate("{env.SET} {kindly.event}", nil)
	require.NoError(t, err)
	assert.Equal(t, "{env.SET} dialogue", tmpl.expand(exampleFacts(t), verbatim))
	require.NoError(t, tmpl.requireValues())
}

func TestTemplate_refuses(t *testing.T) {
	for text, want := range map[string]string{
		"{kindly.tickets.id}":          "unknown placeholder {kindly.tickets.id}",
		"{kindly.}":                    "unknown placeholder {kindly.}",
		"{kindly.context}":             "unknown placeholder {kindly.context}",
		"{kindly.Event}":               "unknown placeholder {kindly.Event}",
		"{http.request.host}":          "{http.request.host} is about an HTTP request",
		"text {http.x} {kindly.event}": "{http.x} is about an HTTP request",
	} {
		_, err := parseTemplate(text, environment)
		assert.ErrorContains(t, err, want)
	}
}

func TestTemplate_requireValues(t *testing.T) {
	for text, want := range map[string]string{
		"{env.SET}":              "",
		"{kindly.context.x}":     "",
		"Bearer {env.UNSET}":     "placeholder {env.UNSET} has no value",
		"{env.SET}{env.UNSET_2}": "placeholder {env.UNSET_2} has no value",
	} {
		tmpl, err := parseTemplate(text, environment)
		require.NoError(t, err)
		if want == "" {
			assert.NoError(t, tmpl.requireValues(), text)
		} else {
			assert.ErrorContains(t, tmpl.requireValues(), want)
		}
	}
}

// FuzzTemplate checks that values go in at once: each placeholder's value
// is there as it is, and nothing of it is understood as a placeholder.
func FuzzTemplate(f *testing.F) {
	f.Add("a {kindly.message} b {kindly.context.x}{env.SET} \\{ {} }", "{kindly.event}")
	f.Add("{kindly.context.{}{kindly.message}", "\\{<&>}")
	f.Add("{{kindly.message}}", "\xff{env.SET}")
	f.Fuzz(func(t *testing.T, text, message string) {
		tmpl, err := parseTemplate(text, environment)
		if err != nil {
			return
		}
		var want strings.Builder
		for _, p := range tmpl.parts {
			switch {
			case p.name == "":
				want.WriteString(p.literal)
			case p.name == "kindly.message":
				want.WriteString(message)
			case p.name == "kindly.event":
				want.WriteString("dialogue")
			case strings.HasPrefix(p.name, "env."):
				value, _ := environment(p.name)
				want.WriteString(value)
			}
		}
		fact := &facts{event: &event{name: DialogueEvent, message: message}, id: exampleID}
		if strings.Contains(text, "delivery.id") {
			return
		}
		require.Equal(t, want.String(), tmpl.expand(fact, verbatim))

		escaped := tmpl.expand(fact, html.EscapeString)
		if !strings.ContainsAny(text, "<>&'\"") {
			require.NotContains(t, escaped, "<")
			require.NotContains(t, escaped, ">")
		}
	})
}
