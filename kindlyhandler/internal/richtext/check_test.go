package richtext

import (
	"bytes"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// checkRender renders a message and checks everything that is true of every
// rendering.
func checkRender(t require.TestingT, message string) Rendered {
	r := Render(message)
	for _, form := range []string{r.Text, r.Markdown, r.HTML} {
		checkCharacters(t, form)
	}
	checkText(t, r.Text)
	checkHTML(t, r)
	checkMarkdown(t, r)
	checkSizes(t, message, r)
	return r
}

// checkSizes checks the bound that the package documents.
func checkSizes(t require.TestingT, message string, r Rendered) {
	limit := MaxExpansion*len(message) + 64
	require.LessOrEqual(t, len(r.Text), limit, "size of the text")
	require.LessOrEqual(t, len(r.Markdown), limit, "size of the Markdown")
	require.LessOrEqual(t, len(r.HTML), limit, "size of the HTML")
}

func checkCharacters(t require.TestingT, s string) {
	require.True(t, utf8.ValidString(s), "%q is not UTF-8", s)
	for _, r := range s {
		require.False(t, r != '\n' && unicode.IsControl(r), "control character %U in %q", r, s)
		require.False(t, unicode.Is(unicode.Bidi_Control, r) && r != 0x061C && r != 0x200E && r != 0x200F, "bidirectional control %U in %q", r, s)
	}
}

func checkText(t require.TestingT, s string) {
	require.Equal(t, strings.TrimSpace(s), s, "white space at the ends")
	require.NotContains(t, s, "\n\n\n", "more than one blank line")
	for line := range strings.Lines(s) {
		line = strings.TrimSuffix(line, "\n")
		require.Equal(t, strings.TrimRightFunc(line, unicode.IsSpace), line, "white space at a line's end in %q", s)
	}
}

var allowedElements = map[string]bool{
	"p": true, "br": true, "b": true, "i": true, "u": true, "s": true, "code": true, "pre": true,
	"ul": true, "ol": true, "li": true, "blockquote": true, "a": true,
}

func checkHTML(t require.TestingT, r Rendered) {
	require.Equal(t, policy.Sanitize(r.HTML), r.HTML, "sanitising changes the HTML")
	require.True(t, isInPolicy(r.HTML), "the HTML has to be sanitised")
	again := Render(r.HTML)
	require.Equal(t, r.HTML, again.HTML, "rendering changes the HTML")
	require.Equal(t, words(r.Text), words(again.Text), "the HTML says something else")

	root := parseFragment(t, r.HTML)
	checkElements(t, root, allowedElements)

	// A browser's tree must be the one that was written.
	var out bytes.Buffer
	for n := range root.ChildNodes() {
		require.NoError(t, html.Render(&out, n))
	}
	require.Equal(t, r.HTML, strings.ReplaceAll(out.String(), "<br/>", "<br>"))
}

var markdown = goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote, extension.DefinitionList))

func checkMarkdown(t require.TestingT, r Rendered) {
	var out bytes.Buffer
	require.NoError(t, markdown.Convert([]byte(r.Markdown), &out))
	root := parseFragment(t, out.String())
	checkElements(t, root, map[string]bool{
		"p": true, "br": true, "strong": true, "em": true, "del": true, "code": true, "pre": true,
		"ul": true, "ol": true, "li": true, "blockquote": true, "a": true,
	})
	require.NotContains(t, out.String(), "<!--", "raw HTML")
	checkReferences(t, root)
	checkCommands(t, r.Markdown)
	if strings.Contains(r.Text, "\u200B") {
		return // whose are which?
	}
	shown := strings.ReplaceAll(out.String(), "\u200B", "")
	require.Equal(t, words(r.Text), words(Render(shown).Text), "text of the Markdown %q, rendered as %q", r.Markdown, shown)
}

var references = regexp.MustCompile(`(?:^|\W)@\w|[#!$&]\d|(?:^|\W)[%~][\w"]|(?i:\bgh-\d)`)

// checkReferences checks that there is nothing in the visible text that
// GitHub or GitLab would turn into a mention or reference.
func checkReferences(t require.TestingT, n *html.Node) {
	switch {
	case n.Type == html.TextNode:
		require.NotRegexp(t, references, n.Data)
	case n.Data != "code" && n.Data != "pre":
		for c := range n.ChildNodes() {
			checkReferences(t, c)
		}
	}
}

var markers = regexp.MustCompile(`^(?:> |>$|[-*] |\d+[.)] | )*`)

// checkCommands checks that no line is one of GitLab's quick actions.
func checkCommands(t require.TestingT, markdown string) {
	fence := ""
	for line := range strings.Lines(markdown) {
		line = strings.TrimSpace(markers.ReplaceAllString(line, ""))
		switch {
		case fence != "":
			if line == fence {
				fence = ""
			}
		case strings.HasPrefix(line, "```") && strings.Trim(line, "`") == "":
			fence = line
		default:
			require.False(t, strings.HasPrefix(line, "/"), "a quick action in %q", markdown)
		}
	}
}

// words is text without the white space, and without a quote's blank lines.
func words(s string) string {
	return strings.Join(strings.Fields(blankQuote.ReplaceAllString(s, "")), " ")
}

var blankQuote = regexp.MustCompile(`(?m)^[> ]+$`)

func parseFragment(t require.TestingT, s string) *html.Node {
	root := &html.Node{Type: html.ElementNode, Data: "div", DataAtom: atom.Div}
	nodes, err := html.ParseFragment(strings.NewReader(s), root)
	require.NoError(t, err)
	for _, n := range nodes {
		root.AppendChild(n)
	}
	return root
}

func checkElements(t require.TestingT, root *html.Node, elements map[string]bool) {
	for n := range root.Descendants() {
		switch n.Type {
		case html.TextNode:
		case html.ElementNode:
			require.True(t, elements[n.Data], "element %s", n.Data)
			for _, a := range n.Attr {
				require.Equal(t, "a", n.Data, "attribute %s", a.Key)
				switch a.Key {
				case "rel":
					require.Equal(t, "nofollow noopener noreferrer", a.Val)
				case "href":
					u, err := url.Parse(a.Val)
					require.NoError(t, err)
					require.Contains(t, []string{"http", "https", "mailto", "tel"}, u.Scheme)
				default:
					require.Fail(t, "attribute "+a.Key)
				}
			}
		default:
			require.Fail(t, "neither text nor an element", "%v", n)
		}
	}
}
