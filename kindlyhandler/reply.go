package kindlyhandler

import (
	"encoding/json"
	"fmt"
	"html"
	"strings"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// Texts is one text in several languages, by language tag (BCP 47: "nb",
// "pt-BR"), in capitals or not. The empty tag has the text for all other
// languages.
//
// A chat in nb-NO gets the text for nb-NO, else that for nb, else that for
// another form of Norwegian (no, nb, nn), else the one for all other languages,
// which so comes before any that this package has. Only where there is none
// either does the chat get the default, in English, Norwegian, Swedish, Danish
// or Finnish, as its language is, and in English for all others.
type Texts map[string]string

// empty answers everything that has nothing to say in the chat.
var empty = []byte("{}")

// answers has what the chat is told. Kindly shows it as HTML.
type answers struct {
	delivered localized
	// unnumbered is delivered for a ticket whose id is not known.
	unnumbered      localized
	pending, failed localized
	context         []contextValue
	exchange        *template
	buttons         []button
}

type contextValue struct {
	key   string
	value *template
}

// answer is the response that Kindly documents for dialogue webhooks.
type answer struct {
	Reply        string            `json:"reply,omitempty"`
	NewContext   map[string]string `json:"new_context,omitempty"`
	ExchangeSlug string            `json:"exchange_slug,omitempty"`
	Buttons      []shownButton     `json:"buttons,omitempty"`
}

// render returns what the webhook is answered in a state of its delivery.
func (a *answers) render(state delivery.State, f *facts) []byte {
	if !f.event.dialogue {
		return empty
	}
	language := f.event.language
	var out answer
	switch state {
	case delivery.Delivered:
		texts := a.delivered
		if f.ticket.ID == "" {
			texts = a.unnumbered
		}
		out.Reply = texts.in(language).expand(f, html.EscapeString)
		for i := range a.buttons {
			if shown, ok := a.buttons[i].render(f); ok {
				out.Buttons = append(out.Buttons, shown)
			}
		}
		if len(a.context) > 0 {
			out.NewContext = make(map[string]string, len(a.context))
			for _, c := range a.context {
				out.NewContext[c.key] = c.value.expand(f, verbatim)
			}
		}
		if a.exchange != nil {
			out.ExchangeSlug = a.exchange.expand(f, verbatim)
		}
	case delivery.Pending:
		out.Reply = a.pending.in(language).expand(f, html.EscapeString)
	default:
		out.Reply = a.failed.in(language).expand(f, html.EscapeString)
	}
	b, err := json.Marshal(out)
	if err != nil { // strings and a map of strings always marshal
		return empty
	}
	return b
}

func verbatim(s string) string { return s }

// localized is a text in several languages, by lower-case tag.
type localized struct {
	written  map[string]*template // by the operator
	defaults map[string]*template // has one for all other languages
}

// parseTexts reads the operator's texts; otherwise returns what the default is
// in a language.
func parseTexts(field string, texts Texts, otherwise func(phrases) string, lookup Lookup) (localized, error) {
	l := localized{written: make(map[string]*template, len(texts)), defaults: make(map[string]*template, len(defaults))}
	for tag, text := range texts {
		if tag != "" {
			if err := CheckLanguage(tag); err != nil {
				return localized{}, fmt.Errorf("%s: %w", field, err)
			}
		}
		t, err := parseTemplate(text, lookup)
		if err != nil {
			return localized{}, fmt.Errorf("%s: %w", field, err)
		}
		tag = strings.ToLower(tag)
		if l.written[tag] != nil {
			return localized{}, fmt.Errorf("%s: there are two texts for the language %s; write one", field, tag)
		}
		l.written[tag] = t
	}
	for tag, p := range defaults {
		t, err := parseTemplate(otherwise(p), nil)
		if err != nil {
			return localized{}, fmt.Errorf("%s: the default: %w", field, err)
		}
		l.defaults[tag] = t
	}
	return l, nil
}

// in returns the text for a chat in a language.
func (l localized) in(language string) *template {
	for _, texts := range [...]map[string]*template{l.written, l.defaults} {
		for tag := range fallbacks(language) {
			if t := texts[tag]; t != nil {
				return t
			}
		}
	}
	return &template{} // not reached: the defaults have one for all languages
}
