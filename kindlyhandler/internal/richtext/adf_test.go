package richtext

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestADF(t *testing.T) {
	paragraph := func(content string) string { return `{"type":"paragraph","content":[` + content + `]}` }
	text := func(s string, marks ...string) string {
		if len(marks) == 0 {
			return `{"type":"text","text":"` + s + `"}`
		}
		return `{"type":"text","text":"` + s + `","marks":[` + strings.Join(marks, ",") + `]}`
	}
	const (
		strong = `{"type":"strong"}`
		em     = `{"type":"em"}`
		code   = `{"type":"code"}`
		link   = `{"type":"link","attrs":{"href":"https://example.no/a"}}`
		br     = `{"type":"hardBreak"}`
	)
	for name, c := range map[string]struct{ message, want string }{
		"nothing":       {"", ``},
		"white space":   {" \n ", ``},
		"plain text":    {"a <3 b\nc\n\nd", paragraph(text("a <3 b")+","+br+","+text("c")) + "," + paragraph(text("d"))},
		"styles":        {"<p>a <b>b <i>c</i></b></p>", paragraph(text("a ") + "," + text("b ", strong) + "," + text("c", strong, em))},
		"code alone":    {"<b><code>x</code></b>", paragraph(text("x", code))},
		"link":          {`<a href="https://example.no/a"><code>x</code></a>`, paragraph(text("x", code, link))},
		"bad link":      {`<a href="javascript:x">y</a>`, paragraph(text("y"))},
		"preformatted":  {"<pre>a\n b\n\nc</pre>", `{"type":"codeBlock","content":[` + text(`a\n b\n\nc`) + `]}`},
		"quote":         {"<blockquote>a</blockquote>", `{"type":"blockquote","content":[` + paragraph(text("a")) + `]}`},
		"quote in it":   {"<blockquote>a<blockquote>b</blockquote></blockquote>", `{"type":"blockquote","content":[` + paragraph(text("a")) + "," + paragraph(text("b")) + `]}`},
		"list":          {"<ol><li>a</ol>", `{"type":"orderedList","content":[{"type":"listItem","content":[` + paragraph(text("a")) + `]}]}`},
		"quote in item": {"<ul><li><blockquote>a</blockquote></ul>", `{"type":"bulletList","content":[{"type":"listItem","content":[` + paragraph(text("a")) + `]}]}`},
		"list in item": {
			"<ul><li><ul><li>a</ul></ul>",
			`{"type":"bulletList","content":[{"type":"listItem","content":[` + paragraph("") +
				`,{"type":"bulletList","content":[{"type":"listItem","content":[` + paragraph(text("a")) + `]}]}]}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(ADF(c.message))
			require.NoError(t, err)
			assert.JSONEq(t, "["+c.want+"]", string(got))
		})
	}
}

// What may be in what, after Atlassian's JSON schema of the format.
var adfGrammar = map[string][]string{
	"":            {"paragraph", "codeBlock", "blockquote", "bulletList", "orderedList"},
	"blockquote":  {"paragraph", "codeBlock", "bulletList", "orderedList"},
	"bulletList":  {"listItem"},
	"orderedList": {"listItem"},
	"listItem":    {"paragraph", "codeBlock", "bulletList", "orderedList"},
	"paragraph":   {"text", "hardBreak"},
	"codeBlock":   {"text"},
}

func TestADFIsValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		message := messages.Draw(t, "message")
		var said strings.Builder
		for _, block := range ADF(message) {
			checkADF(t, "", block.(map[string]any), &said)
		}
		var shown strings.Builder
		for n := range parseFragment(t, Render(message).HTML).Descendants() {
			if n.Data == "br" || n.FirstChild != nil {
				shown.WriteByte(' ')
			} else {
				shown.WriteString(n.Data)
			}
		}
		require.Equal(t, letters(shown.String()), letters(said.String()))
	})
}

func letters(s string) string { return strings.Join(strings.Fields(s), "") }

// checkADF checks a node and what is in it, and writes down its text.
func checkADF(t require.TestingT, parent string, node map[string]any, text *strings.Builder) {
	kind := node["type"].(string)
	require.Contains(t, adfGrammar[parent], kind)
	switch kind {
	case "hardBreak":
		text.WriteByte('\n')
		return
	case "text":
		require.NotEmpty(t, node["text"])
		checkCharacters(t, node["text"].(string))
		marks, _ := node["marks"].([]any)
		names := make(map[string]bool)
		for _, mark := range marks {
			name := mark.(map[string]any)["type"].(string)
			require.False(t, names[name], "twice %s", name)
			names[name] = true
		}
		require.False(t, parent == "codeBlock" && len(names) > 0)
		require.False(t, names["code"] && (names["strong"] || names["em"] || names["strike"] || names["underline"]))
		text.WriteString(node["text"].(string))
		return
	}
	content := node["content"].([]any)
	switch kind {
	case "blockquote", "bulletList", "orderedList", "listItem":
		require.NotEmpty(t, content)
	case "codeBlock":
		require.Len(t, content, 1)
	}
	for i, child := range content {
		if kind == "listItem" && i == 0 {
			require.Contains(t, []string{"paragraph", "codeBlock"}, child.(map[string]any)["type"])
		}
		checkADF(t, kind, child.(map[string]any), text)
	}
	text.WriteByte('\n')
}
