package jq

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
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

// values are what an expression can see: JSON, as it is decoded or made here.
func values(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](nil),
		rapid.Bool().AsAny(),
		rapid.Int().AsAny(),
		rapid.Float64().AsAny(),
		rapid.SampledFrom([]json.Number{"0", "-0", "1.0", "1e3", "1E+3", "0.10", "1e999", "123456789012345678901234567890"}).AsAny(),
		rapid.SampledFrom([]string{"", "a", "\xff", "\x00\u2028", "\"\\", strings.Repeat("x", maxDirectText)}).AsAny(),
	}
	if depth == 0 {
		return rapid.OneOf(leaves...)
	}
	return rapid.OneOf(append(leaves,
		rapid.MapOf(rapid.SampledFrom([]string{"a", "b"}), values(depth-1)).AsAny(),
		rapid.MapOf(rapid.SampledFrom([]string{"a", "b"}), values(depth-1)).AsAny(),
		rapid.SliceOfN(values(depth-1), 0, 2).AsAny(),
	)...)
}

// expressions are such as presets have, and what looks like it.
func expressions(depth int) *rapid.Generator[string] {
	simple := rapid.SampledFrom([]string{
		".a", ".b", ".a.b", ".a.b.a", "null", "$base", "$x", `"k"`, "(.a)", "($x)", "(.a).b", "($x).a", `"k".a`, "null.a",
		".a?", ".a.b?", ".a[]", ".a[0]", ".a[1:]", `."a"`, `.a."b"`, `.["a"]`, "$x.a", ".a | .b", "[.a]", ".a // $x", "-.a",
		".a as $x | $x", `@json "\(.a)"`, ".", "..",
	})
	if depth == 0 {
		return simple
	}
	return rapid.OneOf(simple, rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(expressions(depth-1), 1, 3).Draw(t, "parts")
		return `"æ\(` + strings.Join(parts, `)/\n\(`) + `)"`
	}))
}

func TestDirect_isTheSame(t *testing.T) {
	direct := 0
	rapid.Check(t, func(rt *rapid.T) {
		e, err := Compile(expressions(2).Draw(rt, "expression"), "$base", "$x")
		require.NoError(rt, err)
		if e.direct == nil {
			return
		}
		direct++
		for range 10 {
			input, base, x := values(3).Draw(rt, "input"), values(0).Draw(rt, "base"), values(1).Draw(rt, "x")
			want, wantErr := (&Expression{code: e.code}).Eval(t.Context(), input, base, x)
			got, err := e.Eval(t.Context(), input, base, x)
			require.Equal(rt, wantErr, err)
			require.Equal(rt, want, got)
		}
	})
	require.Positive(t, direct)
}
