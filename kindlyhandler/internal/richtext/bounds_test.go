package richtext

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const megabyte = 1 << 20

// hostile are pieces that, repeated, have brought down other renderers, or
// make much output of little input here.
var hostile = map[string]string{
	"bold":              "<b>",
	"bold, ended":       "</b>",
	"styles":            "<b><i><u><s><code>x",
	"restyled":          "<b>x</b>x",
	"unclosed link":     `<a href="`,
	"links":             "<a href=tel:1>x",
	"images":            "<img src=tel:1>",
	"ampersands":        "&",
	"entities":          "&amp;",
	"long entity":       "&CounterClockwiseContourIntegral",
	"cdata":             "<![CDATA[",
	"comments":          "<!--",
	"ended comments":    "<!---->x",
	"tags":              "<",
	"angles":            "<>",
	"broken hearts":     "</3",
	"quotes":            "<blockquote>",
	"quotes with text":  "<blockquote>x",
	"quotes, ended":     "<blockquote>x</blockquote>",
	"lists":             "<ul>",
	"lists with text":   "<ul><li>x",
	"nested items":      "<ol><li>",
	"ended lists":       "<ol><li>x</ol>",
	"items":             "<li>x",
	"breaks":            "<br>",
	"breaks and text":   "<br>x",
	"paragraphs":        "<p>x",
	"preformatted":      "<pre>x",
	"preformatted tabs": "<pre>\tx",
	"attributes":        "<p a b c d e f",
	"script":            "<script>",
	"templates":         "<template>",
	"svg":               "<svg><svg/>",
	"textareas":         "<textarea>",
	"backticks":         "`",
	"backslashes":       `\`,
	"brackets":          "[",
	"exclamations":      "![",
	"stars":             "*a",
	"code":              "<code>`",
	"mentions":          "@a",
	"quotes ASCII":      `"`,
	"schemes":           "http://",
	"URLs":              "http://a ",
	"bad URLs":          "http://[.",
	"other schemes":     "a://",
	"dots":              "http://a...",
	"brackets in URLs":  "http://a()))",
	"newlines":          "\n",
	"lines":             "-\n",
	"returns":           "\r",
	"spaces":            " ",
	"wide spaces":       "\u00A0",
	"controls":          "\x01",
	"invalid":           "\xff ",
	"letters":           "ø",
	"word":              "a",
	"digits":            "1",
}

// contexts are what hostile pieces come after.
var contexts = map[string]string{
	"":        "",
	"markup ": "<i>",
	"nested ": strings.Repeat("<blockquote><ol><li>", maxDepth),
	"code ":   "<pre>",
	"link ":   "<a href=http://example.no/>",
	"styled ": "<b><u><s><code><i>",

	// As deep as it goes, and with numbers that indent by a lot.
	"numbered ": strings.Repeat("<ol>"+strings.Repeat("<li>x", 500)+"<li>", maxDepth),
	"indented ": strings.Repeat("<ol>"+strings.Repeat("<li>x", 500)+"<li>", maxDepth) + "<pre>",
	"quoted ":   strings.Repeat("<ol>"+strings.Repeat("<li>x", 500)+"<li><blockquote>", maxDepth/2),
}

func TestTimeIsLinear(t *testing.T) {
	for prefix, context := range contexts {
		size := megabyte
		if context != "" {
			size /= 64 // enough to see how much longer the output is
		}
		for name, piece := range hostile {
			t.Run(prefix+name, func(t *testing.T) {
				start := time.Now()
				checkSize(t, context+strings.Repeat(piece, size/len(piece)))
				// Linear takes less than a second on an idle machine, quadratic takes
				// a quarter of an hour.
				require.Less(t, time.Since(start), time.Minute)
			})
		}
	}
}

func TestLongAddresses(t *testing.T) {
	const length = megabyte / 4
	address := "https://example.no/" + strings.Repeat("ø", length/2)
	for name, message := range map[string]string{
		"in text":           address,
		"of a link":         `<a href="` + address + `">x</a>`,
		"of lines":          `<a href="` + address + `">` + strings.Repeat("<p>x", length/4),
		"of breaks":         `<a href="` + address + `">` + strings.Repeat("<br>x", length/4),
		"of images":         `<a href="` + address + `">` + strings.Repeat("<img src=tel:1>x", length/16),
		"of preformatted":   `<pre><a href="` + address + `">` + strings.Repeat("\nx", length/2),
		"of changing style": `<a href="` + address + `">` + strings.Repeat("<b>x</b>x", length/8),
	} {
		t.Run(name, func(t *testing.T) {
			checkSize(t, message)
		})
	}
}

func checkSize(t *testing.T, message string) {
	r := Render(message)
	checkSizes(t, message, r)
	t.Logf("%d bytes, Text %.2f, Markdown %.2f, HTML %.2f times that", len(message),
		float64(len(r.Text))/float64(len(message)), float64(len(r.Markdown))/float64(len(message)), float64(len(r.HTML))/float64(len(message)))
}
