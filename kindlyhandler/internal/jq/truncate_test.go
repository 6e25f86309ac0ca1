package jq

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/richtext"
)

func TestTruncate(t *testing.T) {
	long := strings.Repeat("line\n", 100)
	for name, c := range map[string]struct {
		text string
		n    int
		want string
	}{
		"fits":             {"abc", 3, "abc"},
		"title":            {"abcdef", 3, "ab…"},
		"title with space": {"ab cd", 4, "ab…"},
		"emoji count two":  {"👍👍👍", 4, "👍…"},
		"emoji that fit":   {"👍👍", 4, "👍👍"},
		"one":              {"abc", 1, "…"},
		"none":             {"abc", 0, ""},
		"text":             {long, 300, strings.TrimSpace(strings.Repeat("line\n", 49)) + "\n\n" + note},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, truncate(c.text, c.n, unit{})) })
	}
}

func TestTruncate_keepsItsLength(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, n := rapid.String().Draw(t, "text"), rapid.IntRange(0, 400).Draw(t, "n")
		s = strings.Repeat(s, rapid.IntRange(1, 50).Draw(t, "times"))
		for _, u := range []unit{{}, {bytes: true}} {
			cut := truncate(s, n, u)
			require.LessOrEqual(t, u.length(cut), n)
			require.True(t, utf8.ValidString(cut))
			require.Equal(t, u.length(s) <= n, cut == s)
		}
	})
}

func TestTruncateHTML(t *testing.T) {
	const tail = "<p>" + note + "</p>"
	n := len([]rune(tail))
	for name, c := range map[string]struct {
		html string
		n    int
		want string
	}{
		"fits":          {"<p>a</p>", 8, "<p>a</p>"},
		"in a text":     {"<p>abc def ghi</p>" + strings.Repeat("x", n), 10 + n, "<p>abc</p>" + tail},
		"in an entity":  {"<p>ab&amp;c</p>" + strings.Repeat("x", n), 11 + n, "<p>ab</p>" + tail},
		"nested":        {"<ul><li><b>abc</b></li></ul>" + strings.Repeat("x", n), 27 + n, "<ul><li><b>ab</b></li></ul>" + tail},
		"before a tag":  {"<p>a</p><p>b</p>" + strings.Repeat("x", n), 15 + n, "<p>a</p><p></p>" + tail},
		"a line's end":  {"a<br>b" + strings.Repeat("x", n+1), 6 + n, "a<br>b" + tail},
		"nothing fits":  {strings.Repeat("x", 100), 10, ""},
		"emoji":         {"👍👍" + strings.Repeat("x", n), 3 + n, "👍" + tail},
		"stray end tag": {"</p>" + strings.Repeat("x", n), n + 1, "x" + tail},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, truncateHTML(c.html, c.n, unit{})) })
	}
}

// What is cut off a sanitised fragment leaves one that is as good.
func TestTruncateHTML_staysBalanced(t *testing.T) {
	pieces := rapid.SliceOfN(rapid.OneOf(
		rapid.SampledFrom([]string{"<p>", "</p>", "<br>", "<b>", "</b>", "<ul>", "<li>", "</ul>", "<pre>", "</pre>", "<blockquote>", "</blockquote>", `<a href="https://a.example/?b=1&amp;c=2">`, "</a>"}),
		rapid.SampledFrom([]string{"x", " ", "👍", "&amp;", "&lt;", "ø", strings.Repeat("words and ", 20)}),
		rapid.String(),
	), 0, 60)
	rapid.Check(t, func(t *rapid.T) {
		fragment := richtext.Render("<p></p>" + strings.Join(pieces.Draw(t, "pieces"), "")).HTML
		n := rapid.IntRange(0, unit{}.length(fragment)+10).Draw(t, "n")
		cut := truncateHTML(fragment, n, unit{})
		require.LessOrEqual(t, unit{}.length(cut), n)
		require.Equal(t, unit{}.length(fragment) <= n, cut == fragment)
		var open []string
		for tokens := html.NewTokenizer(strings.NewReader(cut)); ; {
			kind := tokens.Next()
			if kind == html.ErrorToken {
				break
			}
			name, _ := tokens.TagName()
			switch {
			case kind == html.StartTagToken && string(name) != "br":
				open = append(open, string(name))
			case kind == html.EndTagToken:
				require.NotEmpty(t, open)
				require.Equal(t, open[len(open)-1], string(name))
				open = open[:len(open)-1]
			}
		}
		require.Empty(t, open)
		if kept, isCut := strings.CutSuffix(cut, "<p>"+note+"</p>"); isCut {
			require.True(t, strings.HasPrefix(text(fragment), text(kept)), "%q is not the start of %q", kept, fragment)
		}
	})
}

func text(fragment string) string {
	var b strings.Builder
	for tokens := html.NewTokenizer(strings.NewReader(fragment)); tokens.Next() != html.ErrorToken; {
		if token := tokens.Token(); token.Type == html.TextToken {
			b.WriteString(token.Data)
		}
	}
	return b.String()
}

// What is cut off a document leaves a valid one.
func TestTruncateADF(t *testing.T) {
	for name, fragment := range map[string]string{
		"paragraphs":   strings.Repeat("<p><b>Ola:</b></p><blockquote>a &lt;<br>b 👍</blockquote>", 50),
		"one text":     strings.Repeat("words \" and \\ ", 500),
		"a list":       "<ul>" + strings.Repeat("<li>a<ul><li>b</li></ul></li>", 50) + "</ul>",
		"preformatted": "<pre>" + strings.Repeat("a\n", 500) + "</pre>",
	} {
		t.Run(name, func(t *testing.T) {
			e, err := Compile(`adf | truncate_adf($base)`, "$base")
			require.NoError(t, err)
			whole, err := e.Eval(t.Context(), fragment, 1<<20)
			require.NoError(t, err)
			require.NotContains(t, mustEncode(t, whole), note)
			for n := 400; n < adfLength(whole); n += 97 {
				cut, err := e.Eval(t.Context(), fragment, n)
				require.NoError(t, err)
				encoded := mustEncode(t, cut)
				require.LessOrEqual(t, unit{}.length(encoded), n)
				require.Contains(t, encoded, note)
				require.NotContains(t, encoded, `"text":""`)
				for _, empty := range []string{"doc", "blockquote", "bulletList", "listItem", "codeBlock"} {
					require.NotContains(t, encoded, `{"content":[],"type":"`+empty+`"`)
				}
			}
			short, err := e.Eval(t.Context(), fragment, 10)
			require.NoError(t, err)
			require.Equal(t, `{"content":[{"content":[{"text":"`+note+`","type":"text"}],"type":"paragraph"}],"type":"doc","version":1}`, mustEncode(t, short))
		})
	}
}

// What an expression makes up need not be a document.
func TestTruncateADF_otherContent(t *testing.T) {
	for _, content := range []string{`[$base]`, `[[$base]]`, `[1, $base]`, `[{content: [$base]}]`, `[{text: 1, content: $base}]`} {
		e, err := Compile(`{type: "doc", version: 1, content: `+content+`} | truncate_adf(150)`, "$base")
		require.NoError(t, err)
		cut, err := e.Eval(t.Context(), nil, strings.Repeat("words ", 100))
		require.NoError(t, err, content)
		require.LessOrEqual(t, len(mustEncode(t, cut)), 150+len(note), content)
	}
}

func mustEncode(t testing.TB, v any) string {
	t.Helper()
	encoded, err := Encode(v)
	require.NoError(t, err)
	return string(encoded)
}

// A document that expressions cannot look into is the same when it is sent.
func TestOpaqueADF(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fragment := richtext.Render("<p></p>" + rapid.String().Draw(t, "text")).HTML
		n := rapid.IntRange(100, 2000).Draw(t, "n")
		opaque, err := Encode(OpaqueADF(fragment, n))
		require.NoError(t, err)
		transparent, err := Encode(ADF(fragment, n))
		require.NoError(t, err)
		require.Equal(t, string(transparent), string(opaque))
		require.True(t, json.Valid(opaque))
	})
}
