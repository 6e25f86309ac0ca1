package redact

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNew_wrong(t *testing.T) {
	long := strings.Repeat("x", 257)
	for name, c := range map[string]struct {
		rules []Rule
		want  string
	}{
		"nothing":        {[]Rule{{}}, "the pattern is empty: write one of card, iban, email, national_id,"},
		"a name":         {[]Rule{{Pattern: "cards"}}, `"cards" is unknown: write one of card, iban, email, national_id, norwegian_id, swedish_id, danish_id, finnish_id; for a regular expression that is this word, write (?:cards)`},
		"another name":   {[]Rule{{Pattern: "national-id"}}, `"national-id" is unknown`},
		"no expression":  {[]Rule{{Pattern: `\d{4`}}, ""},
		"parenthesis":    {[]Rule{{Pattern: `(\d+`}}, `is neither one of card, iban, email, national_id, norwegian_id, swedish_id, danish_id, finnish_id nor a regular expression: missing closing ): write it in Go's syntax (RE2)`},
		"look-ahead":     {[]Rule{{Pattern: `(?=x)`}}, "which has no look-around"},
		"matches all":    {[]Rule{{Pattern: `\d*`}}, `"\\d*" matches where there is nothing`},
		"an alternative": {[]Rule{{Pattern: `ab|(c{0,3})`}}, "matches where there is nothing"},
		"a place":        {[]Rule{{Pattern: `\b`}}, "matches where there is nothing"},
		"a line's begin": {[]Rule{{Pattern: `(?m)^`}}, "matches where there is nothing"},
		"twice":          {[]Rule{{Pattern: "card"}, {Pattern: "card"}}, `"card" is there twice`},
		"a part":         {[]Rule{{Pattern: "danish_id"}, {Pattern: "national_id"}}, `"national_id" is there twice, or is a part of national_id`},
		"long":           {[]Rule{{Pattern: "card", Replacement: &long}}, "the replacement is longer than 256 bytes"},
	} {
		r, err := New(c.rules)
		if c.want == "" {
			require.NoError(t, err, name) // a brace is a character there
			continue
		}
		assert.ErrorContains(t, err, c.want, name)
		assert.Nil(t, r, name)
	}
}

func TestExpressions(t *testing.T) {
	swapped, nothing, dollar := "${b}$1", "", "$1"
	r, err := New([]Rule{
		{Pattern: `(?P<a>x+)(?P<b>y+)`, Replacement: &swapped},
		{Pattern: `(?i)order-\d+`},
		{Pattern: `secret `, Replacement: &nothing},
		{Pattern: "card", Replacement: &dollar},
		{Pattern: `\[redacted\] `, Replacement: &nothing},
	})
	require.NoError(t, err)
	for text, want := range map[string]string{
		"xxy, xy":                     "yxx, yx",
		"Order-1, order-22":           "[redacted], [redacted]",
		"a secret secret b":           "a b",
		"4111111111111111 xy":         "$1 yx",
		"order-1 4111111111111111 xy": "$1 yx", // what the expression before has left
		"nothing":                     "nothing",
	} {
		require.Equal(t, want, r.apply(text))
	}
}

// TestRoom has an expression that makes texts longer make them no longer than a
// document may become.
func TestRoom(t *testing.T) {
	long := strings.Repeat("y", 256)
	r, err := New([]Rule{{Pattern: "(?:x)", Replacement: &long}})
	require.NoError(t, err)
	document := []byte(`{"a":"` + strings.Repeat("x", 1000) + `"}`)
	redacted := r.JSON(bytes.Clone(document), anything)
	require.NotContains(t, string(redacted), "x")
	require.Contains(t, string(redacted), long)
	require.LessOrEqual(t, len(redacted), len(document)+leastRoom)
}
