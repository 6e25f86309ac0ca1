package kindlyhandler

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// placeholders are the names that templates know, with "kindly." before them.
// context.<key> is one more.
var placeholders = []string{
	"bot.id", "chat.id", "chat.url", "customer.email", "customer.id", "customer.name", "customer.phone",
	"delivery.id", "event", "language", "message", "ticket.id", "ticket.url",
}

const (
	placeholderPrefix = "kindly."
	contextPrefix     = "context."
	ticketPrefix      = "ticket."
)

// Lookup resolves a placeholder that is not one of ours, such as env.HOME; it
// is false for those that it does not know.
type Lookup func(name string) (value string, known bool)

// template is an operator's text with placeholders in braces. A backslash
// before a brace takes its meaning away. Values are put in at once, so
// that what a stranger wrote is never expanded.
type template struct {
	parts  []part
	lookup Lookup
}

// part is literal text or, if name is not empty, a placeholder.
type part struct {
	literal string
	name    string
}

// parseTemplate fails on placeholders that can never have a value. What only
// looks like a placeholder is literal text.
func parseTemplate(s string, lookup Lookup) (*template, error) {
	t := &template{lookup: lookup}
	var literal strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '{' || s[i+1] == '}') {
			i++
			literal.WriteByte(s[i])
			continue
		}
		name, ok := braced(s[i:])
		if ok {
			var err error
			if ok, err = knownPlaceholder(name, lookup); err != nil {
				return nil, err
			}
		}
		if !ok {
			literal.WriteByte(s[i])
			continue
		}
		t.parts = append(t.parts, part{literal: literal.String()}, part{name: name})
		literal.Reset()
		i += len(name) + 1
	}
	t.parts = append(t.parts, part{literal: literal.String()})
	return t, nil
}

// braced returns what is between the braces that s starts with.
func braced(s string) (string, bool) {
	if s[0] != '{' {
		return "", false
	}
	name, _, ok := strings.Cut(s[1:], "}")
	return name, ok && name != ""
}

func knownPlaceholder(name string, lookup Lookup) (bool, error) {
	if strings.HasPrefix(name, "http.") {
		return false, fmt.Errorf("placeholder {%s} is about an HTTP request, and there is none when a delivery is retried; use a {kindly.*} placeholder", name)
	}
	if _, known := cutKnown(name); known {
		return true, nil
	}
	if strings.HasPrefix(name, placeholderPrefix) {
		return false, fmt.Errorf("unknown placeholder {%s}; there are {kindly.%s} and {kindly.context.<key>}",
			name, strings.Join(placeholders, "}, {kindly."))
	}
	if lookup == nil {
		return false, nil
	}
	_, known := lookup(name)
	return known, nil
}

// cutKnown returns the name of one of our placeholders without its prefix.
func cutKnown(name string) (string, bool) {
	ours, ok := strings.CutPrefix(name, placeholderPrefix)
	return ours, ok && (strings.HasPrefix(ours, contextPrefix) || slices.Contains(placeholders, ours))
}

// requireValues fails if a placeholder that is not about a chat has no value
// now.
func (t *template) requireValues() error {
	for _, p := range t.parts {
		if p.name == "" || strings.HasPrefix(p.name, placeholderPrefix) {
			continue
		}
		if v, _ := t.lookup(p.name); v == "" {
			return fmt.Errorf("placeholder {%s} has no value; set it before the server starts", p.name)
		}
	}
	return nil
}

// constant returns what the text begins with, and whether that is all of it.
func (t *template) constant() (start string, all bool) {
	return t.parts[0].literal, len(t.parts) == 1
}

// lacksTicket tells whether the text speaks of a ticket's id or address that
// the upstream has not told.
func (t *template) lacksTicket(f *facts) bool {
	return slices.ContainsFunc(t.parts, func(p part) bool {
		name, ours := strings.CutPrefix(p.name, placeholderPrefix)
		return ours && strings.HasPrefix(name, ticketPrefix) && f.value(name) == ""
	})
}

// isAboutChat tells whether the text has a placeholder of ours.
func (t *template) isAboutChat() bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return strings.HasPrefix(p.name, placeholderPrefix) })
}

// expand returns the text with the values of its placeholders, escaped.
func (t *template) expand(f *facts, escape func(string) string) string {
	if len(t.parts) == 1 {
		return t.parts[0].literal
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.name == "" {
			b.WriteString(p.literal)
			continue
		}
		name, ours := strings.CutPrefix(p.name, placeholderPrefix)
		var value string
		if ours {
			value = f.value(name)
		} else {
			value, _ = t.lookup(p.name)
		}
		b.WriteString(escape(value))
	}
	return b.String()
}

// facts are what placeholders stand for.
type facts struct {
	id     uuid.UUID
	event  *event
	ticket delivery.Ticket
	// customer is nil as long as nobody has asked for it, if only the event
	// tells of it.
	customer *Customer
}

// person returns the customer. To look for one costs more than most texts do,
// which do not speak of it.
func (f *facts) person() *Customer {
	if f.customer == nil {
		customer := identify(f.event, nil)
		f.customer = &customer
	}
	return f.customer
}

// value returns the value of a placeholder, named without its prefix.
func (f *facts) value(name string) string {
	switch name {
	case "delivery.id":
		if f.id == uuid.Nil { // nothing was accepted
			return ""
		}
		return f.id.String()
	case "event":
		return f.event.name
	case "chat.id":
		return f.event.chatID
	case "chat.url":
		return f.event.inboxURL()
	case "bot.id":
		return f.event.botID
	case "language":
		return f.event.language
	case "message":
		return f.event.message
	case "customer.id":
		return deref(f.person().ID)
	case "customer.name":
		return deref(f.person().Name)
	case "customer.email":
		return deref(f.person().Email)
	case "customer.phone":
		return deref(f.person().Phone)
	case "ticket.id":
		return f.ticket.ID
	case "ticket.url":
		return f.ticket.URL
	}
	if key, ok := strings.CutPrefix(name, contextPrefix); ok {
		return f.context(key)
	}
	return ""
}

// context returns a value of the chat's memory. The key is taken literally.
func (f *facts) context(key string) string { return textOf(f.event.context, key) }
