package jq

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is evaluated directly gives what the virtual machine gives, errors
// included.
func TestDirect(t *testing.T) {
	inputs := []any{
		nil,
		"text",
		1,
		[]any{},
		map[string]any{},
		map[string]any{"body": nil},
		map[string]any{"body": "text"},
		map[string]any{"body": map[string]any{}},
		map[string]any{"body": map[string]any{"id": json.Number("4711"), "url": "https://a.example/"}},
		map[string]any{"body": map[string]any{"id": json.Number("1.50"), "url": []any{}}},
		map[string]any{"body": map[string]any{"id": map[string]any{"a": "b"}, "url": true}},
		map[string]any{"body": map[string]any{"id": "æ \"\\", "url": 1e3}},
		map[string]any{"body": map[string]any{"id": int(7), "url": nil}},
	}
	for source, isDirect := range map[string]bool{
		`.body`:                             true,
		`.body.id`:                          true,
		`.body.id.a.b`:                      true,
		`null`:                              true,
		`$base`:                             true,
		`"text"`:                            true,
		`"\($base)/browse/\(.body.id)"`:     true,
		`"\(.body.url)\("x\(.body.id)")"`:   true,
		`(.body.id)`:                        true,
		`.`:                                 false,
		`.body[]`:                           false,
		`.body.id?`:                         false,
		`.body["id"]`:                       false,
		`.body.id // null`:                  false,
		`[.body]`:                           false,
		`"\(.body.id | tostring)"`:          false,
		`@base64 "\(.body.id)"`:             false,
		`. as $base | $base`:                false,
		`def f: .body; f`:                   false,
		`if .body.id then 1 else null end`:  false,
		`"a" | ascii_upcase`:                false,
		`$base.id`:                          false,
		`try .body.id catch "x"`:            false,
		`.body.id | if . then . else 1 end`: false,
	} {
		t.Run(source, func(t *testing.T) {
			e, err := Compile(source, "$base")
			require.NoError(t, err)
			require.Equal(t, isDirect, e.direct != nil)
			by := &Expression{code: e.code}
			for _, input := range inputs {
				for _, base := range []any{"https://desk.example", nil} {
					want, wantErr := by.Eval(t.Context(), input, base)
					got, err := e.Eval(t.Context(), input, base)
					require.Equal(t, wantErr, err, "%v", input)
					require.Equal(t, want, got, "%v", input)
				}
			}
		})
	}
}
