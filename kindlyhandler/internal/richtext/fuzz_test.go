package richtext

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzRender(f *testing.F) {
	f.Add("create ticket")
	f.Add("Pakken min er ødelagt <b>&amp;</b> våt <script>alert(1)</script>")
	f.Add("a < b && c > d\n\n1. x\r\n- y\n/close @kari #123 kari@example.no")
	f.Add(`<p>Hei!<br/><a href="https://example.no/retur?a=1&amp;b=(2)">Skjema</a></p>`)
	f.Add(`<ul><li>a<ol><li><p>b</p></ol></ul><ul><li><blockquote>c<pre> d ` + "```" + `</pre>`)
	f.Add(`x<b>y<i>z</i></b><s>~</s> <code>a` + "`" + `b</code><u>!</u><a href=tel:1>x</a>`)
	f.Add(`<img src="https://example.no/a.png" alt="a"><img src=data:x><a href=mailto:a@b.no><img alt=x></a>`)
	f.Add("se https://example.no/a_b(c). www.example.no ftp://x \u202e\u2066\xff\x00&#1;&notanentity;&copy=1")
	f.Add(`<h1>a</h1><p class="b&amp;lt;">x<br /><a href="https://example.no/?a=1&amp;b=2"/>y</a></p></p><pre>` + "\n\r\n\t" + `z</pre>`)
	f.Fuzz(func(t *testing.T, message string) {
		if len(message) > 1<<12 {
			t.Skip("nothing that a shorter message could not show")
		}
		checkRender(t, message)
		if isStrict(message) {
			requireSame(t, message)
		}
	})
}

func FuzzEscape(f *testing.F) {
	f.Add("Kari Nordmann")
	f.Add("# @kari <kari@example.no>\n**!** www.x.no https://x.no `[x](y)` 1) GH-1 \\")
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 1<<12 {
			t.Skip("nothing that a shorter name could not show")
		}
		line := Line(s)
		require.NotContains(t, line, "\n")
		require.Equal(t, line, Line(line))
		text := Rendered{Text: line, Markdown: EscapeMarkdown(s), HTML: EscapeHTML(s)}
		for _, form := range []string{text.Text, text.Markdown, text.HTML} {
			require.NotContains(t, form, "\n")
			checkCharacters(t, form)
		}
		checkText(t, text.Text)
		checkMarkdown(t, text)
		require.Equal(t, line, Render(text.HTML).Text)

		// In a line, and as a link's label.
		inLine := Rendered{Text: "a " + line + " b", Markdown: "a " + text.Markdown + " b"}
		checkMarkdown(t, inLine)
		if line != "" && !strings.ContainsAny(line, "xX:@.") {
			label := Rendered{Text: "! " + line + " (https://example.no)", Markdown: "! [" + text.Markdown + "](https://example.no)"}
			checkMarkdown(t, label)
		}
	})
}
