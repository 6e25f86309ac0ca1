package kindlyhandler

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func TestButtons(t *testing.T) {
	a := answersOf(t, Options{
		Reply: Texts{"": "created"},
		Buttons: []Button{
			{"link", "See <b>{kindly.ticket.id}</b>", "{kindly.ticket.url}?from=chat&amp;said={kindly.message}"},
			{"phone", "Call", "+47 22 33 44 55"},
			{"email", "Write", "{kindly.customer.email}"},
			{"quick_reply", "{kindly.message}", "more about {kindly.ticket.id}"},
		},
		Lookup: environment,
	})
	f := exampleFacts(t)
	const said = `&lt;b&gt;{kindly.event}{env.SET}&lt;/b&gt;`
	assert.JSONEq(t, `{"reply": "created", "buttons": [
		{"type": "link", "label": "See <b>4711</b>", "value": "https://desk.example/4711?from=chat&amp;said=`+said+`"},
		{"type": "phone", "label": "Call", "value": "+47 22 33 44 55"},
		{"type": "email", "label": "Write", "value": "me@example.com"},
		{"type": "quick_reply", "label": "`+said+`", "value": "more about 4711"}
	]}`, string(a.render(delivery.Delivered, f)))

	f.ticket = delivery.Ticket{}
	assert.JSONEq(t, `{"reply": "created", "buttons": [
		{"type": "phone", "label": "Call", "value": "+47 22 33 44 55"},
		{"type": "email", "label": "Write", "value": "me@example.com"}
	]}`, string(a.render(delivery.Delivered, f)), "nothing about a ticket that is not known")
	for _, state := range []delivery.State{delivery.Pending, delivery.Dead} {
		assert.NotContains(t, string(a.render(state, f)), "buttons", state)
	}
}

// What an upstream or a visitor has written is a button only if it is of the
// button's type.
func TestButtons_untrusted(t *testing.T) {
	value := func(kind, value string) string {
		t.Helper()
		a := answersOf(t, Options{Reply: Texts{"": ""}, Buttons: []Button{{kind, "label", "{kindly.ticket.url}"}}})
		f := exampleFacts(t)
		f.ticket.URL = value
		var told struct{ Buttons []shownButton }
		require.NoError(t, json.Unmarshal(a.render(delivery.Delivered, f), &told))
		if len(told.Buttons) == 0 {
			return ""
		}
		return told.Buttons[0].Value
	}
	for kind, values := range map[string]map[string]string{
		"link": {
			"https://desk.example/1":             "https://desk.example/1",
			"HTTP://desk.example":                "HTTP://desk.example",
			`https://desk.example/?a="&b='<x>`:   "https://desk.example/?a=&#34;&amp;b=&#39;&lt;x&gt;",
			"javascript:alert(1)":                "",
			"JavaScript:alert(1)":                "",
			" javascript:alert(1)":               "",
			"java\tscript:alert(1)":              "",
			"javascript://desk.example/%0aalert": "",
			"data:text/html,<script>":            "",
			"//desk.example":                     "",
			"/tickets/1":                         "",
			"desk.example":                       "",
			"https:":                             "",
			"https:///1":                         "",
			"https://desk.example/\n":            "",
			"https://desk.example/\u202egpj.exe": "",
			"":                                   "",
		},
		"phone": {
			"+47 22 33 44 55":     "+47 22 33 44 55",
			"tel:+4722334455":     "tel:+4722334455",
			"1-800-FLOWERS":       "1-800-FLOWERS",
			"javascript:alert(1)": "",
			"1javascript:alert":   "",
			"tel:javascript:1":    "",
			"call me":             "",
			"":                    "",
		},
		"email": {
			"me@example.com":                "me@example.com",
			"mailto:me@example.com":         "mailto:me@example.com",
			"javascript:alert(1)":           "",
			"javascript:alert@example.com":  "",
			"me@example.com\nBcc: you@a.no": "",
			"Me <me@example.com>":           "",
			"":                              "",
		},
		"quick_reply": {
			"<b>tell me more</b>": "&lt;b&gt;tell me more&lt;/b&gt;",
			" ":                   "",
			"":                    "",
		},
	} {
		for from, want := range values {
			assert.Equal(t, want, value(kind, from), "%s %q", kind, from)
		}
	}
}

// A label that says nothing is none to press on.
func TestButtons_withoutALabel(t *testing.T) {
	a := answersOf(t, Options{Reply: Texts{"": ""}, Buttons: []Button{{"link", "{kindly.context.none} ", "https://desk.example"}}})
	assert.JSONEq(t, "{}", string(a.render(delivery.Delivered, exampleFacts(t))))
}

func TestButtons_wrong(t *testing.T) {
	for want, b := range map[string]Button{
		`button: "Link" is not a type of buttons: write one of link, phone, email, quick_reply`: {"Link", "a", "https://desk.example"},
		"button: link has no label: write what the button says":                                 {"link", " ", "https://desk.example"},
		"button: the value of link is none: write an address such as https://":                  {"link", "a", "ftp://desk.example"},
		"button: the value of phone is none: write a telephone number such as +4722334455":      {"phone", "a", "us"},
		"button: the value of email is none: write an e-mail address such as":                   {"email", "a", "us"},
		"button: the value of quick_reply is none: write what pressing it says in the chat":     {"quick_reply", "a", ""},
		"button: the label of phone: unknown placeholder {kindly.nr}; there are":                {"phone", "{kindly.nr}", "1"},
		"button: the value of phone: placeholder {http.x} is about an HTTP request":             {"phone", "a", "{http.x}"},
	} {
		_, err := New(Options{Secrets: []string{"s"}, Buttons: []Button{b}})
		assert.ErrorContains(t, err, want)
	}
}
