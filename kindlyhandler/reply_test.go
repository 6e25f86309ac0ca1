package kindlyhandler

import (
	"encoding/json"
	"html"
	"slices"
	"strings"
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

// replyOf returns what a chat in a language is told.
func replyOf(t *testing.T, a *answers, state delivery.State, language, ticketID string) string {
	t.Helper()
	f := exampleFacts(t)
	f.event.language, f.ticket.ID = language, ticketID
	var told struct{ Reply string }
	require.NoError(t, json.Unmarshal(a.render(state, f), &told))
	return html.UnescapeString(told.Reply)
}

func TestAnswers_defaults(t *testing.T) {
	a := answersOf(t, Options{})
	for language, phrases := range map[string]phrases{
		"":      defaults[""],
		"en":    defaults[""],
		"en-GB": defaults[""],
		"de":    defaults[""],
		"nb":    defaults["nb"],
		"nb_NO": defaults["nb"],
		"no":    defaults["nb"],
		"nn-NO": defaults["nb"],
		"SV":    defaults["sv"],
		"da-DK": defaults["da"],
		"fi":    defaults["fi"],
	} {
		reference := strings.Replace(phrases.reference, "{kindly.ticket.id}", "<47>", 1)
		assert.Equal(t, phrases.delivered+" "+reference, replyOf(t, a, delivery.Delivered, language, "<47>"), "%q", language)
		assert.Equal(t, phrases.delivered, replyOf(t, a, delivery.Delivered, language, ""), "%q", language)
		assert.Equal(t, phrases.pending, replyOf(t, a, delivery.Pending, language, ""), "%q", language)
		assert.Equal(t, phrases.failed, replyOf(t, a, delivery.Dead, language, ""), "%q", language)
	}
}

// Each language says all there is to say, in its own words.
func TestDefaults(t *testing.T) {
	seen := make(map[string]string)
	for language, p := range defaults {
		for _, phrase := range []string{p.delivered, p.reference, p.pending, p.failed} {
			assert.NotEmpty(t, phrase, language)
			assert.Regexp(t, `^\p{Lu}.*[.]$`, phrase, language)
			assert.Empty(t, seen[phrase], "%s is that of %s", language, seen[phrase])
			seen[phrase] = "another language"
		}
		assert.Contains(t, p.reference, "{kindly.ticket.id}", language)
	}
	assert.Len(t, seen, 5*4)
}

func TestAnswers_ticketEventsHaveNobodyToAnswer(t *testing.T) {
	a := answersOf(t, Options{NewContext: map[string]string{"a": "b"}, ExchangeSlug: "x"})
	e := mustParseEvent(t, string(readTestdata(t, "ticket-webhook.json")))
	for _, state := range []delivery.State{delivery.Delivered, delivery.Pending, delivery.Dead} {
		assert.Equal(t, "{}", string(a.render(state, &facts{event: e})))
	}
}

func TestAnswers_language(t *testing.T) {
	a := answersOf(t, Options{Reply: Texts{"": "default", "NB": "bokmål", "pt-BR": "brasileiro", "zh-Hant": "繁體"}})
	for language, want := range map[string]string{
		"":                                "default",
		"en":                              "default",
		"sv":                              "default",
		"nb":                              "bokmål",
		"NB":                              "bokmål",
		"nb-NO":                           "bokmål",
		"nb_NO":                           "bokmål",
		"nb-NO-x-y":                       "bokmål",
		"no":                              "bokmål",
		"nn_NO":                           "bokmål",
		"nbx":                             "default",
		"pt":                              "default",
		"pt-br":                           "brasileiro",
		"zh-Hant-TW":                      "繁體",
		"zh_hant":                         "繁體",
		"zh-Hans":                         "default",
		"-":                               "default",
		"_":                               "default",
		"nb-":                             "bokmål",
		"nb" + strings.Repeat("-", 1<<20): "default",
	} {
		assert.Equal(t, want, replyOf(t, a, delivery.Delivered, language, "1"), "%.20q", language)
	}
	assert.Equal(t, defaults["nb"].pending, replyOf(t, a, delivery.Pending, "nb-NO", ""), "each of the replies is for itself")
}

// Where a chat's language has no text of the operator's, and there is none for
// all languages, the default is better than a language that nobody asked for.
func TestAnswers_languageWithoutOneForAll(t *testing.T) {
	a := answersOf(t, Options{ReplyPending: Texts{"nn": "kjem", "no-NO": "kommer"}})
	for language, want := range map[string]string{
		"nn":    "kjem",
		"nb":    "kjem", // before the default in Bokmål: the operator wrote it
		"no":    "kjem",
		"no-NO": "kommer",
		"sv":    defaults["sv"].pending,
		"en":    defaults[""].pending,
		"":      defaults[""].pending,
	} {
		assert.Equal(t, want, replyOf(t, a, delivery.Pending, language, ""), "%q", language)
	}
}

func TestFallbacks(t *testing.T) {
	for language, want := range map[string][]string{
		"":           {""},
		"en":         {"en", ""},
		"nb-NO":      {"nb-no", "nb", "no", "nn", ""},
		"nn_NO":      {"nn-no", "nn", "no", "nb", ""},
		"no":         {"no", "nb", "nn", ""},
		"zh-Hant-TW": {"zh-hant-tw", "zh-hant", "zh", ""},
	} {
		assert.Equal(t, want, slices.Collect(fallbacks(language)), "%q", language)
	}
}

func TestCheckLanguage(t *testing.T) {
	for _, valid := range []string{"nb", "nb-NO", "NB-no", "zh-Hant-TW", "gsw", "es-419"} {
		assert.NoError(t, CheckLanguage(valid), valid)
	}
	for invalid, want := range map[string]string{
		"":                                `"" is not a language tag: write one such as nb, sv or pt-BR`,
		"n":                               `"n" is not a language tag: write one such as`,
		"norsk":                           `"norsk" is not a language tag: write one such as`,
		"nb-":                             `"nb-" is not a language tag: write one such as`,
		"nb NO":                           `"nb NO" is not a language tag: write one such as`,
		"default":                         `"default" is not a language tag: write one such as`,
		"nb_NO":                           `"nb_NO" is not a language tag: write nb-NO`,
		"nb_":                             `"nb_" is not a language tag: write one such as`,
		"nb" + strings.Repeat("-abc", 16): `is not a language tag: write one such as`,
	} {
		assert.ErrorContains(t, CheckLanguage(invalid), want, invalid)
	}
}
