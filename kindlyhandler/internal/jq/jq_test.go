package jq

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// private stands in every input, and must never be in an error.
const private = "pr1vate"

// decode reads JSON as an expression sees it.
func decode(t testing.TB, s string) any {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal([]byte(s), &v))
	return v
}

// evaluate returns an expression's result as JSON, or why there is none.
func evaluate(t testing.TB, source, input string) (string, error) {
	t.Helper()
	e, err := Compile(source, "$base")
	require.NoError(t, err)
	result, err := e.Eval(t.Context(), decode(t, input), "https://desk.example")
	if err != nil {
		require.NotContains(t, err.Error(), private)
		return "", err
	}
	encoded, err := Encode(result)
	return string(encoded), err
}

func TestEval(t *testing.T) {
	const input = `{"subject":"<a> & \"b\" ø 👍","n":2,"list":[1,2],"o":{"a":1},"nothing":null,"html":"<p>a <b>b</b></p>"}`
	for source, want := range map[string]string{
		`.`:                              input,
		`{title: .subject, n: (.n + 1)}`: `{"title":"<a> & \"b\" ø 👍","n":3}`,
		`.subject + "!" | length`:        `14`,
		`.subject * 2 | length`:          `26`,
		`.o * {b: 2}`:                    `{"a":1,"b":2}`,
		`.o + {b: 2}`:                    `{"a":1,"b":2}`,
		`.list + [3]`:                    `[1,2,3]`,
		`.n += 1 | .n`:                   `3`,
		`.n *= 4 | .n`:                   `8`,
		`.list | add`:                    `3`,
		`add(.list[])`:                   `3`,
		`.list | join("-")`:              `"1-2"`,
		`[.list, [[3]]] | flatten`:       `[1,2,3]`,
		`[.list, [[3]]] | flatten(1)`:    `[1,2,[3]]`,
		`"\(.list) \(.subject)"`:         `"[1,2] <a> & \"b\" ø 👍"`,
		`.o | tojson`:                    `"{\"a\":1}"`,
		`.subject | @html`:               `"&lt;a&gt; &amp; &quot;b&quot; ø 👍"`,
		`.subject | @uri`:                `"%3Ca%3E%20%26%20%22b%22%20%C3%B8%20%F0%9F%91%8D"`,
		`"x" | @base64`:                  `"eA=="`,
		`$base + "/1"`:                   `"https://desk.example/1"`,
		`[.list[] | select(. > 1)]`:      `[2]`,
		`[1, 2 | . + 1, . * 2]`:          `[2,2,3,4]`,
		`def f(x): x + 1; f(.n)`:         `3`,
		`try error("x") catch "caught"`:  `"caught"`,
		`.nothing // "else"`:             `"else"`,
		`now | type`:                     `"number"`,
		`0 | localtime | mktime | type`:  `"number"`,
		`.subject | mrkdwn`:              `"&lt;a&gt; &amp; \"b\" ø 👍"`,
		`.html | html_text`:              `"a b"`,
		`.html | html_markdown`:          `"a **b**"`,
		`.nothing | html_text`:           `null`,
		`"0198f3c2" | uuid4`:             `"39d41452-f109-47e5-9225-d66f4a29a51e"`,
		`{a: null, b: false, c: {d: null}} | without_nulls`: `{"b":false,"c":{"d":null}}`,
		`" a  b,,c\u0000d " | tag`:                          `"a_b_c_d"`,
		`.html | html_safe`:                                 `"<p>a <b>b</b></p>"`,
		`[1 == 1.0, "a" != "b", 1 < "a", {a: 1} <= {a: 1}, [2] > [1], null >= false, nan < nan, nan == nan]`: `[true,true,true,true,true,false,true,false]`,
		`.html | adf`:                         `{"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":"a "},{"type":"text","text":"b","marks":[{"type":"strong"}]}]}]}`,
		`["x", "y"] | adf | .content[1]`:      `{"type":"paragraph","content":[{"type":"text","text":"y"}]}`,
		`.nothing | adf`:                      `{"type":"doc","version":1,"content":[]}`,
		`1e1000, 2 | select(. == 2)`:          `2`,
		`nan`:                                 `null`,
		`"a" | ascii_downcase | test("^A$")`:  `false`,
		`.list as [$a, $b] | $a + $b`:         `3`,
		`reduce .list[] as $x (0; . + $x)`:    `3`,
		`[limit(3; repeat("x"))] | join("")`:  `"xxx"`,
		`[foreach .list[] as $x (0; . + $x)]`: `[1,3]`,
	} {
		t.Run(source, func(t *testing.T) {
			got, err := evaluate(t, source, input)
			require.NoError(t, err)
			assert.JSONEq(t, want, got)
		})
	}
}

func TestEval_keepsItsInput(t *testing.T) {
	const input = `{"a":{"b":[1,2]},"c":"x"}`
	v := decode(t, input)
	for _, source := range []string{`.a.b[0] = 5`, `.a.b += [3]`, `del(.a)`, `.c *= 3`, `[.a, .a] | add | .b[0] = 7`} {
		e, err := Compile(source)
		require.NoError(t, err)
		_, err = e.Eval(t.Context(), v)
		require.NoError(t, err)
		require.Equal(t, decode(t, input), v, source)
	}
}

func TestEval_fails(t *testing.T) {
	const input = `{"text":"` + private + `","n":1,"list":["` + private + `"],"o":{"` + private + `":1}}`
	for source, want := range map[string]string{
		`empty`:                             "it gives no result, where one is needed: mind `empty`, `select` and `.[]` of an empty list",
		`.list[1:][]`:                       "it gives no result, where one is needed",
		`1, 2`:                              "it gives more than one result, where one is needed: put brackets around it to make them a list",
		`1, error("x")`:                     "it called `error`",
		`error`:                             "it called `error`",
		`error(.text)`:                      "it called `error`",
		`.text.x`:                           "it failed: expected an object but got: string",
		`.text[0].x`:                        "it failed: expected an object but got: string",
		`.text[]`:                           "it failed: cannot iterate over: string",
		`.o[0]`:                             "it failed: expected an array but got: object",
		`.text + 1`:                         "it failed: cannot add: string",
		`.text | tonumber`:                  "it failed: tonumber cannot be applied to",
		`.list | ltrimstr("a")`:             "it failed: ltrimstr cannot be applied to this",
		`.n | test(.)`:                      "it failed: test cannot be applied to this",
		`.text | test("(")`:                 "it failed: invalid regular expression",
		`.text | strptime("%Y")`:            "it failed: strptime cannot be applied to this",
		`.n / 0`:                            "it failed: cannot divide",
		`{(.n | tojson | tonumber):1}`:      "it failed: expected a string for object key but got: number",
		`.n | truncate(5)`:                  "it failed: truncate cannot be applied to number, only to a string or null",
		`.text | truncate("5")`:             "it failed: truncate needs a number of characters, such as truncate(60000)",
		`.text | truncate_html(-1)`:         "it failed: truncate_html needs a number of characters, such as truncate_html(60000)",
		`.o | @csv`:                         "it failed: @csv cannot be applied to",
		`[.o] | @csv`:                       "it failed: @csv cannot format",
		`path(.n + 1)`:                      "it failed: invalid path",
		`.o | keys[0] | fromjson`:           "it failed: fromjson cannot be applied to",
		`.n as {$x} | $x`:                   "it failed: expected an object but got: number",
		`@text "\(.text | error)"`:          "it called `error`",
		`.list | implode`:                   "it failed: implode cannot be applied to",
		`"=" + .text | @base64d | fromjson`: "it failed: fromjson cannot be applied to",
		`.text | truncate(5; "lines")`:      "it failed: truncate counts characters, or bytes: write truncate(60000; \"bytes\")",
		`.o | truncate_adf(5)`:              "it failed: truncate_adf needs what adf makes: write `adf | truncate_adf(30000)`",
		`.n | without_nulls`:                "it failed: without_nulls cannot be applied to number, only to an object",
		`.list | .[.text]?`:                 "it gives no result",
	} {
		t.Run(source, func(t *testing.T) {
			_, err := evaluate(t, source, input)
			require.ErrorContains(t, err, want)
		})
	}
}

// Whatever an expression does, it comes to an end before long, and takes some
// memory, not all.
func TestEval_isBounded(t *testing.T) {
	const steps = "it does not come to an end: it was stopped after 2,000,000 steps"
	for source, want := range map[string]string{
		`repeat(1)`:                                         "it gives more than one result",
		`[repeat(1)]`:                                       steps,
		`[range(1e9)]`:                                      steps,
		`last(range(1e9))`:                                  steps,
		`reduce range(1e9) as $i (0; $i)`:                   steps,
		`def f: f; f`:                                       steps,
		`def f: f + 1; f`:                                   steps,
		`def f: [f]; f`:                                     steps,
		`until(false; .)`:                                   steps,
		`[while(true; .)]`:                                  steps,
		`[recurse(.)]`:                                      steps,
		`first(repeat(empty))`:                              steps,
		`[limit(1e9; repeat("x"))] | length`:                steps,
		`[range(1e9)] as $x | 1`:                            steps,
		`try repeat(empty) catch 1`:                         steps,
		`[.text | scan("")] | combinations(9)`:              "it gives more than one result",
		`"x" * 2000000000 | length`:                         "what `*` makes in it is larger than 128 MiB",
		`"x" * 1e18`:                                        "what `*` makes in it is larger than 128 MiB",
		`2000000000 * .text`:                                "what `*` makes in it is larger than 128 MiB",
		`.text *= 2000000000`:                               "what `*` makes in it is larger than 128 MiB",
		`reduce range(99) as $i ("x"; . + .)`:               "what `+` makes in it is larger than 128 MiB",
		`reduce range(99) as $i ("x"; . += .)`:              "what `+` makes in it is larger than 128 MiB",
		`reduce range(99) as $i ([1]; . + .)`:               "what `+` makes in it is larger than 128 MiB",
		`reduce range(99) as $i ("x"; "\(.)\(.)")`:          "a value in it is larger than 128 MiB",
		`reduce range(99) as $i ("x"; [., .] | join(""))`:   "a value in it is larger than 128 MiB",
		`reduce range(99) as $i ("x"; [., .] | add)`:        "a value in it is larger than 128 MiB",
		`reduce range(99) as $i (1; [., .])`:                "its result is larger than 128 MiB",
		`reduce range(99) as $i (1; [., .]) | . == .`:       "a value in it is larger than 128 MiB",
		`reduce range(99) as $i (1; [., .]) | tojson`:       "a value in it is larger than 128 MiB",
		`reduce range(99) as $i (1; [., .]) | "\(.)"`:       "a value in it is larger than 128 MiB",
		`reduce range(99) as $i (1; [., .]) | @base64`:      "a value in it is larger than 128 MiB",
		`reduce range(99) as $i (1; [., .]) | flatten`:      "a value in it is larger than 128 MiB",
		`reduce range(99) as $i (1; {a: ., b: .})`:          "its result is larger than 128 MiB",
		`("x" * 1e6) as $s | [range(1e4) | "x"] | join($s)`: "what `join` makes in it is larger than 128 MiB",
		`reduce range(1e5) as $i (1; [.])`:                  "its result nests more than 1000 levels",
		`reduce range(1e5) as $i (1; {a: .})`:               "its result nests more than 1000 levels",
		`reduce range(1e5) as $i (1; [.]) | tojson`:         "a value in it nests more than 1000 levels",
		`.[100000000] = 1`:                                  "its result is larger than 128 MiB",
	} {
		t.Run(source, func(t *testing.T) {
			input := `{"text":"` + private + `"}`
			if source[0] == '.' && source[1] == '[' {
				input = `[]`
			}
			_, err := evaluate(t, source, input)
			require.ErrorContains(t, err, want)
		})
	}
}

// What takes few steps, but long ones, ends by the clock, and what nobody waits
// for any more ends at once.
func TestBudget(t *testing.T) {
	e, err := Compile(`last(range(1e9))`)
	require.NoError(t, err)
	late := newBudget(t.Context())
	late.deadline = time.Now()
	result, _ := e.code.RunWithContext(late, nil).Next()
	assert.Equal(t, errTime, result)
	assert.Equal(t, stepsPerLook, late.steps)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = e.Eval(ctx, nil)
	require.ErrorIs(t, err, context.Canceled)
}
