package richtext

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
	"pgregory.net/rapid"
)

// isStrict tells whether a message is read without the tokenizer.
func isStrict(message string) bool {
	p := parser{message: message}
	doc, _ := p.parse()
	return doc != nil
}

// requireSame requires that a strict message is read as any other is.
func requireSame(t require.TestingT, message string) {
	fast := parser{message: message}
	doc, markup := fast.parse()
	slow := parser{message: message, tokens: html.NewTokenizer(strings.NewReader(message))}
	wantDoc, wantMarkup := slow.parse()
	require.Equal(t, wantMarkup, markup, message)
	require.Equal(t, wantDoc.text, doc.text, message)
	require.Equal(t, wantDoc.links, doc.links, message)
	require.Equal(t, wantDoc.nodes, doc.nodes, message)
}

func TestStrict(t *testing.T) {
	for message, strict := range map[string]bool{
		"":                       true,
		"a & b > c &lt; &copy=2": true,
		"<p>a</p>":               true,
		"<p >a</p>":              false,
		"<br><br/><br />":        true,
		"<h1>a</h1>":             true,
		"</p></p>":               true,
		`<a href="https://a.no/?b=1&amp;c=2" rel="nofollow noopener">x</a>`: true,
		`<a href="https://a.no/" href="https://b.no/">x</a>`:                true,
		`<a rel="x">x</a>`:                    true,
		`<a href="https://a.no/"/>x`:          true,
		`<a href="https://a.no/?b=1&c=2">x`:   false,
		`<a href='https://a.no/'>x</a>`:       false,
		`<a href="https://a.no/>x</a>`:        false,
		`<a href="javascript:alert(1)">x</a>`: true,
		`<span class="b">x</span>`:            true,
		"<ul><li>a<li>b</ul>":                 true,
		"<pre>\na\r\nb</pre>":                 true,
		"<script>a</script>":                  false,
		"<textarea>a</textarea>":              false,
		"<xmp>a</xmp>":                        false,
		"<title>a</title>":                    false,
		`<img src="https://a.no/b.png">`:      false,
		"<P>a</P>":                            false,
		"<!-- a -->":                          false,
		"a < b":                               false,
		"<3":                                  false,
		"<p":                                  false,
		"<p/":                                 false,
		"</p ":                                false,
		"<custom>a</custom>":                  false,
		"<?a?>":                               false,
		"a\x00<p>b":                           true,
		"<b\x00>a":                            false,
	} {
		require.Equal(t, strict, isStrict(message), "%q", message)
		if strict {
			requireSame(t, message)
		}
	}
}

func TestStrict_isReadAsEverythingElse(t *testing.T) {
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		message := messages.Draw(t, "message")
		for _, message := range []string{message, Render(message).HTML} {
			if isStrict(message) {
				found++
				requireSame(t, message)
			}
		}
	})
	require.Positive(t, found)
}

// What this package writes is strict, so that it is read fast.
func TestStrict_ownHTML(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		require.True(t, isStrict(Render(messages.Draw(t, "message")).HTML))
	})
}
