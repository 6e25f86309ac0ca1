package richtext

import (
	"encoding/json"
	"slices"
)

// ADF returns what [AppendADF] writes, as encoding/json decodes it.
func ADF(message string) []any {
	blocks := []any{}
	if err := json.Unmarshal(AppendADF(nil, message), &blocks); err != nil {
		panic(err) // it is not JSON, whatever the message was
	}
	return blocks
}

// AppendADF appends the block nodes of an Atlassian Document Format document to
// out, as a list in JSON whose objects have their keys in order. HTML or plain
// text is rendered. What that format does not allow is arranged otherwise: a
// quote is only one where it is outside of all others and of lists, an item
// begins with a paragraph, and code has no other style.
func AppendADF(out []byte, message string) []byte {
	message = valid(message)
	doc, markup := parse(message)
	if !markup {
		if message = cleanLines(decodeEntities(message)); message == "" {
			return append(out, '[', ']')
		}
		doc = plainDocument(message)
	}
	size := len(doc.text) + adfOverhead*(len(doc.nodes)+1)
	for _, link := range doc.links {
		size += len(link)
	}
	w := adfWriter{doc: doc, out: append(slices.Grow(out, size), '[')}
	for _, n := range doc.nodes {
		w.node(n)
	}
	w.endLeaf()
	return append(w.out, ']')
}

// adfOverhead is what a node of a document takes in this format on average, in
// bytes, its text not counted.
const adfOverhead = 40

type adfWriter struct {
	doc    *document
	out    []byte
	open   []string // the containers that are open
	quotes []bool   // for each container that is open in doc, whether it is one here
	leaf   string   // "paragraph", "codeBlock" or, if none is open, ""
	inCode bool     // the code block has its text
}

// startNode begins a node in the list of the one that is open.
func (w *adfWriter) startNode(s string) {
	if !w.isFirst() {
		w.out = append(w.out, ',')
	}
	w.out = append(w.out, s...)
}

// isFirst tells whether nothing is yet in the node that is open.
func (w *adfWriter) isFirst() bool { return w.out[len(w.out)-1] == '[' }

func (w *adfWriter) endNode(kind string) {
	w.out = append(w.out, `],"type":"`...)
	w.out = append(w.out, kind...)
	w.out = append(w.out, `"}`...)
}

var adfContainers = [...]string{quote: "blockquote", bulletList: "bulletList", orderedList: "orderedList", item: "listItem"}

func (w *adfWriter) node(n node) {
	switch n.kind {
	case gapNode:
		w.endLeaf()
	case openNode:
		w.endLeaf()
		w.start(n.container)
	case closeNode:
		w.endLeaf()
		w.end()
	case paragraphNode:
		w.startLeaf("paragraph")
	case preNode:
		w.startLeaf("codeBlock")
	case textNode:
		w.text(n)
	case breakNode:
		if w.leaf == "codeBlock" {
			w.code("\n\n"[:n.lines])
			return
		}
		for range n.lines {
			w.startNode(`{"type":"hardBreak"}`)
		}
	}
}

func (w *adfWriter) start(c container) {
	shown := c != quote || len(w.open) == 0
	w.quotes = append(w.quotes, shown)
	if !shown {
		return
	}
	if len(w.open) > 0 && w.open[len(w.open)-1] == adfContainers[item] && w.isFirst() {
		w.startNode(`{"content":[`)
		w.endNode("paragraph")
	}
	w.startNode(`{"content":[`)
	w.open = append(w.open, adfContainers[c])
}

func (w *adfWriter) end() {
	shown := w.quotes[len(w.quotes)-1]
	w.quotes = w.quotes[:len(w.quotes)-1]
	if !shown {
		return
	}
	w.endNode(w.open[len(w.open)-1])
	w.open = w.open[:len(w.open)-1]
}

func (w *adfWriter) startLeaf(kind string) {
	w.endLeaf()
	w.startNode(`{"content":[`)
	w.leaf = kind
}

func (w *adfWriter) endLeaf() {
	if w.leaf == "" {
		return
	}
	if w.inCode {
		w.out = append(w.out, `","type":"text"}`...)
		w.inCode = false
	}
	w.endNode(w.leaf)
	w.leaf = ""
}

// code writes a part of the only text of a code block.
func (w *adfWriter) code(s string) {
	if !w.inCode {
		w.startNode(`{"text":"`)
		w.inCode = true
	}
	w.out = appendEscaped(w.out, s)
}

func (w *adfWriter) text(n node) {
	s := w.doc.text[n.start:n.end]
	switch {
	case s == "": // no text node may be empty
	case w.leaf == "codeBlock":
		w.code(s)
	default:
		w.startNode(`{`)
		w.marks(n)
		w.out = append(w.out, `"text":"`...)
		w.out = appendEscaped(w.out, s)
		w.out = append(w.out, `","type":"text"}`...)
	}
}

var adfMarks = []struct {
	style style
	node  string
}{
	{bold, `{"type":"strong"}`},
	{italic, `{"type":"em"}`},
	{underline, `{"type":"underline"}`},
	{strike, `{"type":"strike"}`},
	{code, `{"type":"code"}`},
}

// marks writes the styles of a text and its link, if there are any.
func (w *adfWriter) marks(n node) {
	style := n.style
	if style&code != 0 {
		style = code
	}
	if style == 0 && n.link == 0 {
		return
	}
	w.out = append(w.out, `"marks":[`...)
	for _, m := range adfMarks {
		if style&m.style != 0 {
			w.startNode(m.node)
		}
	}
	if n.link > 0 {
		w.startNode(`{"attrs":{"href":"`)
		w.out = appendEscaped(w.out, w.doc.links[n.link-1])
		w.out = append(w.out, `"},"type":"link"}`...)
	}
	w.out = append(w.out, `],`...)
}

// appendEscaped appends the inside of a JSON string, as jq writes it. Cleaned
// text has no control characters but newlines.
func appendEscaped(out []byte, s string) []byte {
	start := 0
	for i := range len(s) {
		var escaped string
		switch s[i] {
		case '"':
			escaped = `\"`
		case '\\':
			escaped = `\\`
		case '\n':
			escaped = `\n`
		default:
			continue
		}
		out = append(append(out, s[start:i]...), escaped...)
		start = i + 1
	}
	return append(out, s[start:]...)
}
