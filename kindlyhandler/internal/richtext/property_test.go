package richtext

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// messages are made of the pieces that matter, in any order.
var messages = rapid.Custom(func(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.OneOf(
		rapid.SampledFrom([]string{
			"<p>", "</p>", "<br>", "<br/>", "<div>", "</div>", "<h1>", "</h1>", "<hr>", "<td>", "<pre>", "</pre>",
			"<b>", "</b>", "<i>", "</i>", "<u>", "</u>", "<s>", "</s>", "<code>", "</code>",
			"<ul>", "</ul>", "<ol>", "</ol>", "<li>", "</li>", "<blockquote>", "</blockquote>",
			`<a href="https://example.no/a_(b)?c=1&amp;copy;=2#3">`, `<a href=tel:1>`, "<a href=mailto:a@b.no>",
			"<a href='java\tscript:alert(1)'>", "</a>", `<img alt="x" src="https://example.no/x.png">`, "<img src=data:,x>",
			"<script>", "</script>", "<svg/>", "<template>", "</template>", "<!-- c -->", "<![CDATA[", "<x@y>", "</3", "<b",
		}),
		rapid.SampledFrom([]string{
			" ", "  ", "\n", "\r\n", "\t", "\u00A0", "\u2028", "\u202E", "\u200B", "\x00", "\xff", "&nbsp;", "&#10;", "&amp;", "&lt;", "&copy",
			"a", "x", "X", "1", "10", "ø", "文", "「", "👍", "e\u0301", "www", "gh", "http", "https", "ftp", "x.no", "example.no/a_b",
		}),
		rapid.Map(rapid.RuneFrom([]rune("\\`*_{}[]()<>#+-.!|~^$&%@:;/=\"'?,")), func(r rune) string { return string(r) }),
		rapid.String(),
	), 0, 40).Draw(t, "pieces"), "")
})

func TestRenderIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkRender(t, messages.Draw(t, "message"))
	})
}

func TestPlainTextRendersAsItsHTML(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := cleanLines(strings.ToValidUTF8(messages.Draw(t, "text"), "?"))
		// The <p> makes it a message with markup.
		require.Equal(t, text, Render("<p></p>"+htmlLines(text)).Text)
		require.Equal(t, writeMarkdown(plainDocument(text)), Render("<p></p>"+htmlLines(text)).Markdown)
	})
}

func TestCleaningIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := strings.ToValidUTF8(messages.Draw(t, "text"), "?")
		for _, lines := range []bool{false, true} {
			clean := rebuild(s, lines)
			require.True(t, isClean(clean, lines))
			require.Equal(t, clean == s, isClean(s, lines))
		}
	})
}
