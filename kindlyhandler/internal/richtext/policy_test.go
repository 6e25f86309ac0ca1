package richtext

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const allowedLink = `<a href="https://example.no/?a=1&amp;b=2" rel="` + linkRelation + `">x</a>`

func TestIsInPolicy(t *testing.T) {
	for _, fragment := range []string{
		"", "x", "a &lt; b &amp;&amp; c", `"quoted"`, "<p>x</p>", "<b><i><u><s>x</s></u></i></b><br>y",
		"<ul><li><code>x</code></li></ul><ol><li>x</li></ol><blockquote><pre>x</pre></blockquote>", allowedLink,
		`<a href="mailto:a@b.no" rel="` + linkRelation + `">x</a>`,
	} {
		require.True(t, isInPolicy(fragment), fragment)
	}
}

// TestSanitize proves that what the writer would only write by mistake does
// not get through.
func TestSanitize(t *testing.T) {
	for fragment, want := range map[string]string{
		"<script>x</script>":                    "",
		"<img src=x onerror=alert(1)>y":         "y",
		"<p onclick=x>y</p>":                    "<p>y</p>",
		"<p/>y":                                 "<p/>y",
		"<P>y</P>":                              "<p>y</p>",
		"<br/>y":                                "<br/>y",
		"a > b":                                 "a &gt; b",
		"a <b":                                  "a ",
		`<a href="javascript:alert(1)">x</a>`:   "x",
		`<a href="https://example.no">x</a>`:    `<a href="https://example.no" rel="nofollow noreferrer">x</a>`,
		`<a href="https://a" onclick="x">x</a>`: `<a href="https://a" rel="nofollow noreferrer">x</a>`,
		`<a href="data:x" rel="` + linkRelation + `">y</a>`:              `<a rel="` + linkRelation + `">y</a>`,
		`<a href="https://a" x="` + `" rel="` + linkRelation + `">x</a>`: `<a href="https://a" rel="` + linkRelation + `">x</a>`,
	} {
		require.False(t, isInPolicy(fragment), fragment)
		require.Equal(t, want, sanitize(fragment))
	}
}

func FuzzIsInPolicy(f *testing.F) {
	f.Add("<p>x<br><b>y</b></p>" + allowedLink)
	f.Add("<P>x")
	f.Add(`<a href="https://a"b" rel="` + linkRelation + `">x</a>`)
	f.Fuzz(func(t *testing.T, fragment string) {
		if isInPolicy(fragment) {
			checkElements(t, parseFragment(t, fragment), allowedElements)
		}
	})
}
