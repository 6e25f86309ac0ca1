package kindlyhandler

import (
	"encoding/json"
	"fmt"
	"html"
	"regexp"
	"strings"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// Texts is one text in several languages, by language tag ("nb", "pt-BR").
// The empty tag has the text for all other languages.
type Texts map[string]string

// The answers where the operator has written none.
const (
	DefaultReply        = "Thank you. Your request has been passed on to our support team."
	DefaultReplyPending = "Thank you. Your request has been received and will be passed on to our support team."
	DefaultReplyFailed  = "Sorry, your request could not be passed on. Please try again later."
)

var languageTag = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$`)

// IsLanguage tells whether s is a language tag as [Texts] takes it.
func IsLanguage(s string) bool { return languageTag.MatchString(s) }

// empty answers everything that has nothing to say in the chat.
var empty = []byte("{}")

// answers has what the chat is told. Kindly shows it as HTML.
type answers struct {
	delivered, pending, failed localized
	context                    []contextValue
	exchange                   *template
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
		out.Reply = a.delivered.in(language).expand(f, html.EscapeString)
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

// localized is a text per language, by lower-case tag.
type localized map[string]*template

func parseTexts(field string, texts Texts, otherwise string, lookup Lookup) (localized, error) {
	l := make(localized, len(texts)+1)
	for tag, text := range texts {
		if tag != "" && !IsLanguage(tag) {
			return nil, fmt.Errorf("%s: %q is not a language tag such as nb or pt-BR", field, tag)
		}
		t, err := parseTemplate(text, lookup)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		tag = strings.ToLower(tag)
		if l[tag] != nil {
			return nil, fmt.Errorf("%s: there are two texts for the language %s; write one", field, tag)
		}
		l[tag] = t
	}
	if l[""] == nil {
		l[""] = &template{parts: []part{{literal: otherwise}}}
	}
	return l, nil
}

// in returns the text in a language: nb-NO falls back to nb, that to the text
// for all other languages.
func (l localized) in(language string) *template {
	if len(l) == 1 || language == "" {
		return l[""]
	}
	tag := strings.ToLower(language)
	for tag != "" {
		if t := l[tag]; t != nil {
			return t
		}
		cut := strings.LastIndexByte(tag, '-')
		if cut < 0 {
			break
		}
		tag = tag[:cut]
	}
	return l[""]
}
