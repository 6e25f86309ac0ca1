package richtext

import (
	"strings"
	"unicode"
)

func writeText(d *document) string {
	w := textWriter{doc: d}
	w.out = make([]byte, 0, len(d.text)+len(d.text)/4)
	for i := 0; i < len(d.nodes); {
		i = w.node(i)
	}
	return strings.TrimLeftFunc(string(w.out), unicode.IsSpace) // preformatted text may be indented
}

type textWriter struct {
	layout
	doc *document
}

// node writes the node at i and returns the place of the next one.
func (w *textWriter) node(i int) int {
	n := w.doc.nodes[i]
	switch n.kind {
	case gapNode, breakNode:
		w.newlines(n.lines)
	case openNode:
		n.alternate = false
		w.open(n)
	case closeNode:
		w.close()
	case textNode:
		return w.label(i)
	case paragraphNode, preNode: // have no marks
	}
	return i + 1
}

// label writes text with the same link or none, and where the link goes.
func (w *textWriter) label(i int) int {
	end, label := w.doc.label(i)
	w.out = append(w.out, label...)
	if id := w.doc.nodes[i].link; id > 0 {
		if u := w.doc.links[id-1]; !isShownBy(u, label) {
			w.out = append(w.out, " ("...)
			w.out = append(w.out, u...)
			w.out = append(w.out, ')')
		}
	}
	return end
}
