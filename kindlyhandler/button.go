package kindlyhandler

import (
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
)

// Button is shown with the reply when a ticket was delivered. Label and Value
// may have placeholders, whose values are HTML-escaped as in the reply.
//
// A button is left out of an answer where it would be of no use: its label or
// value is empty, or names a ticket's id or address that the upstream has not
// told; or its value is not of its type. So no link leads anywhere but to an
// http or https address, whatever an upstream or a visitor has written.
type Button struct {
	// Type is "link", "phone", "email" or "quick_reply".
	Type string
	// Label is what the button says, in all languages.
	Label string
	// Value is the address to open, the number to call, the e-mail address to
	// write to, or what pressing the button says in the chat.
	Value string
}

// buttonType is what a type that Kindly documents takes as its value.
type buttonType struct {
	name string
	// takes tells whether a value is one of this type.
	takes func(value string) bool
	// begins, unless nil, matches what a value can begin with.
	begins *regexp.Regexp
	// value says how to write one.
	value string
}

// buttonTypes are those of Kindly's webhook reference
// (https://docs.kindly.ai/webhooks).
var buttonTypes = []buttonType{
	{"link", func(v string) bool { return webPage(v) != "" }, regexp.MustCompile(`(?i)^https?://`), "an address such as https://helpdesk.example.com/tickets"},
	{"phone", regexp.MustCompile(`^(tel:)?\+?[0-9][0-9A-Za-z .,()/;=*#-]*$`).MatchString, nil, "a telephone number such as +4722334455"},
	{"email", func(v string) bool { return isAddress(strings.TrimPrefix(v, "mailto:")) }, nil, "an e-mail address such as support@example.com"},
	{"quick_reply", func(v string) bool { return strings.TrimSpace(v) != "" }, nil, "what pressing it says in the chat"},
}

// CheckButtonType tells whether Kindly documents a type of buttons, or which
// there are.
func CheckButtonType(name string) error {
	if findButtonType(name) != nil {
		return nil
	}
	names := make([]string, len(buttonTypes))
	for i, t := range buttonTypes {
		names[i] = t.name
	}
	return fmt.Errorf("%q is not a type of buttons: write one of %s", name, strings.Join(names, ", "))
}

func findButtonType(name string) *buttonType {
	i := slices.IndexFunc(buttonTypes, func(t buttonType) bool { return t.name == name })
	if i < 0 {
		return nil
	}
	return &buttonTypes[i]
}

// button is a [Button], read.
type button struct {
	kind         *buttonType
	label, value *template
}

func parseButton(b Button, lookup Lookup) (button, error) {
	if err := CheckButtonType(b.Type); err != nil {
		return button{}, err
	}
	parsed := button{kind: findButtonType(b.Type)}
	if strings.TrimSpace(b.Label) == "" {
		return button{}, fmt.Errorf("%s has no label: write what the button says", b.Type)
	}
	var err error
	if parsed.label, err = parseTemplate(b.Label, lookup); err != nil {
		return button{}, fmt.Errorf("the label of %s: %w", b.Type, err)
	}
	if parsed.value, err = parseTemplate(b.Value, lookup); err != nil {
		return button{}, fmt.Errorf("the value of %s: %w", b.Type, err)
	}
	text, constant := parsed.value.constant()
	if (constant && !parsed.kind.takes(text)) || (parsed.kind.begins != nil && text != "" && !parsed.kind.begins.MatchString(text)) {
		return button{}, fmt.Errorf("the value of %s is none: write %s", b.Type, parsed.kind.value)
	}
	return parsed, nil
}

// shownButton is a button as Kindly documents it.
type shownButton struct {
	Label string `json:"label"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

// render returns the button of an answer; ok is false if it is left out.
func (b *button) render(f *facts) (shown shownButton, ok bool) {
	if b.label.lacksTicket(f) || b.value.lacksTicket(f) || !b.kind.takes(b.value.expand(f, verbatim)) {
		return shownButton{}, false
	}
	shown = shownButton{
		Label: b.label.expand(f, html.EscapeString),
		Type:  b.kind.name,
		Value: b.value.expand(f, html.EscapeString),
	}
	return shown, strings.TrimSpace(shown.Label) != ""
}
