package richtext

import (
	"slices"
	"strings"
)

// markdownLines returns clean plain text as Markdown.
func markdownLines(text string) string {
	if !strings.Contains(text, "\n") && !strings.Contains(text, "://") {
		return escapeLine(text, 0)
	}
	return writeMarkdown(plainDocument(text))
}

// plainDocument is the document of clean plain text.
func plainDocument(text string) *document {
	d := document{text: text}
	d.nodes = append(make([]node, 0, 2*strings.Count(text, "\n")+2), node{kind: paragraphNode})
	for start := 0; start < len(text); {
		end := len(text)
		if i := strings.IndexByte(text[start:], '\n'); i >= 0 {
			end = start + i
		}
		d.nodes = append(d.nodes, node{kind: textNode, start: start, end: end})
		start = end + 1
		switch {
		case end == len(text):
		case text[start] == '\n':
			d.nodes = append(d.nodes, node{kind: gapNode, lines: 2}, node{kind: paragraphNode})
			start++
		default:
			d.nodes = append(d.nodes, node{kind: breakNode, lines: 1})
		}
	}
	return &d
}

func writeMarkdown(d *document) string {
	w := markdownWriter{doc: d, links: slices.Clip(d.links)}
	w.out = make([]byte, 0, len(d.text)+len(d.text)/2)
	for i := 0; i < len(d.nodes); {
		i = w.node(i)
	}
	return string(w.out)
}

type markdownWriter struct {
	layout
	doc   *document
	links []string // the document's, and those that text makes by itself
	spans []span   // of the current line
	parts []span   // scratch
}

// node writes the node at i and returns the place of the next one.
func (w *markdownWriter) node(i int) int {
	n := w.doc.nodes[i]
	switch n.kind {
	case gapNode:
		// Only an item may follow without a blank line; anything else would
		// go on with the paragraph before it.
		if n.lines == 1 && n.opensItem {
			w.newlines(1)
		} else {
			w.newlines(2)
		}
	case openNode:
		w.open(n)
	case closeNode:
		w.close()
	case preNode:
		return w.fence(i + 1)
	case textNode:
		return w.line(i)
	case breakNode:
		w.out = append(w.out, '\\')
		w.newlines(1)
	case paragraphNode: // has no mark
	}
	return i + 1
}

// line writes the text nodes from i on.
func (w *markdownWriter) line(i int) int {
	w.spans = w.spans[:0]
	for ; i < len(w.doc.nodes) && w.doc.nodes[i].kind == textNode; i++ {
		n := w.doc.nodes[i]
		// Underlining has no Markdown.
		w.spans = appendSpan(w.spans, span{n.start, n.end, n.style &^ underline, n.link})
	}
	w.findURLs()
	w.fitEmphasis()
	w.writeSpans()
	return i
}

// writeSpans writes the spans of a line, those that belong together as one.
func (w *markdownWriter) writeSpans() {
	w.parts = w.parts[:0]
	for _, s := range w.spans {
		w.parts = appendSpan(w.parts, s)
	}
	var last span
	for i, s := range w.parts {
		if s.link != last.link {
			w.endEmphasis(last.style)
			w.endLink(last.link)
			if s.link > 0 {
				w.out = append(w.out, '[')
			}
			w.startEmphasis(s.style)
		} else if s.style&emphasis != last.style&emphasis {
			w.endEmphasis(last.style)
			w.startEmphasis(s.style)
		}
		w.writeSpan(i)
		last = s
	}
	w.endEmphasis(last.style)
	w.endLink(last.link)
}

func (w *markdownWriter) writeSpan(i int) {
	s := w.parts[i]
	text := w.doc.text[s.start:s.end]
	if s.style&code != 0 {
		w.codeSpan(text)
		return
	}
	if x := w.checkBox(i); x != "" {
		w.out = append(w.out, x...)
		return
	}
	t := inertText{text: text, leader: -1}
	if i == 0 {
		t.leader = leader(text)
	}
	if i+1 < len(w.parts) && w.parts[i+1].link > 0 && w.parts[i+1].link != s.link {
		t.next = '['
	}
	w.out = t.appendTo(w.out)
}

// checkBox returns what to write for a link at the start of a line whose
// label is but an X: in a list item, [x] may be taken for a check box.
func (w *markdownWriter) checkBox(i int) string {
	s := w.parts[i]
	if i > 0 || s.link == 0 || len(w.parts) > 1 && w.parts[1].link == s.link {
		return ""
	}
	switch w.doc.text[s.start:s.end] {
	case "x":
		return "&#120;"
	case "X":
		return "&#88;"
	}
	return ""
}

func (w *markdownWriter) startEmphasis(s style) {
	if s&strike != 0 {
		w.out = append(w.out, "~~"...)
	}
	w.out = append(w.out, stars(s)...)
}

func (w *markdownWriter) endEmphasis(s style) {
	w.out = append(w.out, stars(s)...)
	if s&strike != 0 {
		w.out = append(w.out, "~~"...)
	}
}

func stars(s style) string {
	switch s & (bold | italic) {
	case bold | italic:
		return "***"
	case bold:
		return "**"
	case italic:
		return "*"
	default:
		return ""
	}
}

// endLink ends a link's label and writes where it goes. Its URL has no white
// space, and of the characters with a meaning there only these.
func (w *markdownWriter) endLink(id int) {
	if id == 0 {
		return
	}
	w.out = append(w.out, "]("...)
	url := w.links[id-1]
	for i := range len(url) {
		switch c := url[i]; c {
		case '(', ')':
			w.out = append(w.out, '\\', c)
		case '&':
			w.out = append(w.out, "&amp;"...)
		default:
			w.out = append(w.out, c)
		}
	}
	w.out = append(w.out, ')')
}

// codeSpan writes text between more backticks than there are in it.
func (w *markdownWriter) codeSpan(text string) {
	delimiter := strings.Repeat("`", longestBackticks(text)+1)
	pad := ""
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		pad = " "
	}
	w.out = append(w.out, delimiter...)
	w.out = append(w.out, pad...)
	w.out = append(w.out, text...)
	w.out = append(w.out, pad...)
	w.out = append(w.out, delimiter...)
}

// fence writes the preformatted text from i on. There are no links in it, so
// they are written as in plain text.
func (w *markdownWriter) fence(i int) int {
	end := i
	for end < len(w.doc.nodes) && (w.doc.nodes[end].kind == textNode || w.doc.nodes[end].kind == breakNode) {
		end++
	}
	text := w.doc.text[w.doc.nodes[i].start:w.doc.nodes[end-1].end]
	fence := strings.Repeat("`", max(3, longestBackticks(text)+1))
	w.out = append(w.out, fence...)
	w.newlines(1)
	content := textWriter{layout: w.layout, doc: w.doc}
	for i < end {
		i = content.node(i)
	}
	w.layout = content.layout
	w.newlines(1)
	w.out = append(w.out, fence...)
	return end
}

func longestBackticks(s string) int {
	longest, run := 0, 0
	for i := range len(s) {
		if s[i] == '`' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	return longest
}
