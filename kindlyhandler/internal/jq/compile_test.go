package jq

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCompile_fails(t *testing.T) {
	for source, want := range map[string]string{
		``:                              "line 1, column 1: missing query",
		`# nothing`:                     "line 1, column 1: missing query",
		`{subject: .subject,, a: 1}`:    `line 1, column 20: unexpected token ","`,
		"{\n  a: .a\n  b: .b\n}":        `line 3, column 3: unexpected token "b"`,
		"{\n  ø: .a\n}":                 `line 2, column 3: unexpected token "ø"`,
		`"ø" ø`:                         `line 1, column 5: unexpected token "ø"`,
		`{a: .a`:                        "line 1, column 7: unexpected EOF: something is missing, such as a bracket, a quotation mark or `end`",
		"if .a then\n1":                 "line 2, column 2: unexpected EOF",
		`"abc`:                          "line 1, column 5: unterminated string literal",
		`"a\q"`:                         `line 1, column 3: invalid escape sequence "\q" in string literal`,
		`.a | foo`:                      "line 1, column 6: no function foo with 0 arguments",
		"# foo\n\"foo\" |\n  foo(1; 2)": "line 3, column 3: no function foo with 2 arguments",
		`.foo | foo`:                    "line 1, column 8: no function foo",
		`truncate`:                      "line 1, column 1: no function truncate with 0 arguments",
		`.a + $bass`:                    "line 1, column 6: no variable $bass: there are $base, $project",
		`"\($x)"`:                       "line 1, column 4: no variable $x",
		`@foo`:                          "line 1, column 1: no format @foo",
		`break $out`:                    "line 1, column 7: no label $out",
		`.a |` + "\n" + `$ENV.HOME`:     "line 2, column 1: the environment is not available: write what you need into the expression, or into a header as {env.NAME}",
		`env | .HOME`:                   "line 1, column 1: the environment is not available",
		`[inputs]`:                      "line 1, column 2: there is only one input, which is `.`",
		`input`:                         "line 1, column 1: there is only one input",
		`halt`:                          "line 1, column 1: there is nothing to halt: use `error`",
		`debug`:                         "line 1, column 1: no function debug with 0 arguments",
		`stderr`:                        "line 1, column 1: no function stderr",
		`input_filename`:                "line 1, column 1: no function input_filename",
		`import "a" as a; .`:            "line 1, column 1: there are no modules: leave out import and include",
		`include "a"; .`:                "line 1, column 1: there are no modules",
		`get_search_list`:               "line 1, column 1: no function get_search_list",
	} {
		t.Run(source, func(t *testing.T) {
			_, err := Compile(source, "$base", "$project")
			require.ErrorContains(t, err, want)
		})
	}
	_, err := Compile(`$x`)
	require.EqualError(t, err, "line 1, column 1: no variable $x")
}

// An expression may define what is refused.
func TestCompile_ownDefinitions(t *testing.T) {
	for _, source := range []string{`def env: 1; env`, `def input: .; input`, `def tojson: 1; tojson`, `def _kindly_add($a; $b): 1; 1 + 1`} {
		_, err := Compile(source)
		require.NoError(t, err, source)
	}
}

func FuzzCompile(f *testing.F) {
	for _, source := range []string{`{a: .a, "b\(.c)": [.d[] | select(. > 1)]}`, `reduce .[] as {$x, y: [$z]} (0; . += $x) // "ø"`, `def f(g): g | @base64 "x\(.)"; f(.a?)`, "if . then\n1"} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		e, err := Compile(source, "$base")
		if err != nil || len(source) > 200 || strings.ContainsAny(source, "0123456789*") { // what takes long by intent
			return
		}
		result, err := e.Eval(t.Context(), map[string]any{"a": []any{"x", nil}, "c": 1.5}, "https://desk.example")
		if err != nil {
			return
		}
		_, _ = Encode(result)
	})
}
