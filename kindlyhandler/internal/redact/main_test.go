package redact

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// newRedactor returns one with rules that have no replacement of their own.
func newRedactor(tb testing.TB, patterns ...string) *Redactor {
	tb.Helper()
	var rules []Rule
	for _, pattern := range patterns {
		rules = append(rules, Rule{Pattern: pattern})
	}
	r, err := New(rules)
	require.NoError(tb, err)
	return r
}

// everything are rules for all that has a name.
var everything = []string{"card", "iban", "email", "norwegian_id", "swedish_id", "danish_id", "finnish_id"}

// anything is the shape of documents of which nothing is known.
var anything = NewShape(nil)

// apply returns a text, redacted.
func (r *Redactor) apply(text string) string {
	room := 1 << 20
	if redacted, changed := r.text(nil, []byte(text), true, &room); changed {
		return string(redacted)
	}
	return text
}
