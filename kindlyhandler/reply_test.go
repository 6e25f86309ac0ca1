package kindlyhandler

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// answersOf returns the answers of a handler with these options.
func answersOf(t *testing.T, o Options) *answers {
	t.Helper()
	o.Secrets = []string{publishedSecret}
	h, err := New(o)
	require.NoError(t, err)
	return &h.answers
}

func TestAnswers_render(t *testing.T) {
	a := answersOf(t, Options{
		Reply:        Texts{"": "Ticket {kindly.ticket.id} for <i>{kindly.message}</i>"},
		ReplyPending: Texts{"": "Later, {kindly.message}{kindly.ticket.id}"},
		ReplyFailed:  Texts{"": "No, {kindly.message}"},
		NewContext:   map[string]string{"ticket_id": "{kindly.ticket.id}", "said": "{kindly.message}"},
		ExchangeSlug: "ticket-created",
	})
	f := exampleFacts(t)
	tests := map[delivery.State]string{
		delivery.Delivered: `{
			"reply": "Ticket 4711 for <i>&lt;b&gt;{kindly.event}{env.SET}&lt;/b&gt;</i>",
			"new_context": {"ticket_id": "4711", "said": "<b>{kindly.event}{env.SET}</b>"},
			"exchange_slug": "ticket-created"
		}`,
		delivery.Dead: `{"reply": "No, &lt;b&gt;{kindly.event}{env.SET}&lt;/b&gt;"}`,
	}
	for state, want := range tests {
		assert.JSONEq(t, want, string(a.render(state, f)), state)
	}
	f.ticket = delivery.Ticket{}
	assert.JSONEq(t, `{"reply": "Later, &lt;b&gt;{kindly.event}{env.SET}&lt;/b&gt;"}`, string(a.render(delivery.Pending, f)))
}

func TestAnswers_defaults(t *testing.T) {
	a := answersOf(t, Options{})
	f := exampleFacts(t)
	for state, want := range map[delivery.State]string{
		delivery.Delivered: DefaultReply,
		delivery.Pending:   DefaultReplyPending,
		delivery.Dead:      DefaultReplyFailed,
	} {
		got, err := json.Marshal(map[string]string{"reply": want})
		require.NoError(t, err)
		assert.JSONEq(t, string(got), string(a.render(state, f)))
	}
}

func TestAnswers_ticketEventsHaveNobodyToAnswer(t *testing.T) {
	a := answersOf(t, Options{NewContext: map[string]string{"a": "b"}, ExchangeSlug: "x"})
	e := mustParseEvent(t, string(readTestdata(t, "ticket-webhook.json")))
	for _, state := range []delivery.State{delivery.Delivered, delivery.Pending, delivery.Dead} {
		assert.Equal(t, "{}", string(a.render(state, &facts{event: e})))
	}
}

func TestAnswers_language(t *testing.T) {
	a := answersOf(t, Options{Reply: Texts{"": "default", "nb": "bokmål", "pt-BR": "brasileiro", "zh-Hant": "繁體"}})
	for language, want := range map[string]string{
		"":           "default",
		"en":         "default",
		"nb":         "bokmål",
		"NB":         "bokmål",
		"nb-NO":      "bokmål",
		"nb-NO-x-y":  "bokmål",
		"nbx":        "default",
		"pt":         "default",
		"pt-br":      "brasileiro",
		"zh-Hant-TW": "繁體",
		"zh-Hans":    "default",
		"-":          "default",
		"nb-":        "bokmål",
	} {
		f := exampleFacts(t)
		f.event.language = language
		assert.JSONEq(t, `{"reply":"`+want+`"}`, string(a.render(delivery.Delivered, f)), "%q", language)
		assert.JSONEq(t, `{"reply":"`+DefaultReplyPending+`"}`, string(a.render(delivery.Pending, f)), "%q", language)
	}
}

func TestIsLanguage(t *testing.T) {
	for _, valid := range []string{"nb", "nb-NO", "zh-Hant-TW", "gsw"} {
		assert.True(t, IsLanguage(valid), valid)
	}
	for _, invalid := range []string{"", "n", "norsk", "nb_NO", "nb-", "nb NO", "default"} {
		assert.False(t, IsLanguage(invalid), invalid)
	}
}
