package richtext

import (
	"html"
	"strings"
)

// EscapeHTML returns plain text, such as a name, on one line and as HTML.
func EscapeHTML(s string) string {
	return html.EscapeString(Line(s))
}

// htmlLines returns clean plain text as HTML.
func htmlLines(text string) string {
	return strings.ReplaceAll(html.EscapeString(text), "\n", "<br>")
}

func writeHTML(d *document) string {
	w := htmlWriter{doc: d}
	w.out.Grow(len(d.text) * 2)
	for _, n := range d.nodes {
		w.node(n)
	}
	w.endLeaf()
	return w.out.String()
}

type htmlWriter struct {
	doc  *document
	out  strings.Builder
	link int
	open []style // inside the link, from outside to inside

	leaf node // the current one
	in   bool // a leaf
	bare bool // what comes last is a paragraph without an element
}

func (w *htmlWriter) node(n node) {
	switch n.kind {
	case gapNode:
		w.endLeaf()
	case openNode:
		w.endLeaf()
		w.tag("<", n)
		w.bare = false
	case closeNode:
		w.endLeaf()
		w.tag("</", n)
		w.bare = false
	case paragraphNode, preNode:
		w.startLeaf(n)
	case textNode:
		w.restyle(n.style, n.link)
		w.out.WriteString(html.EscapeString(w.doc.text[n.start:n.end]))
	case breakNode:
		if w.link > 0 {
			w.restyle(0, 0)
		}
		if w.leaf.kind == preNode {
			w.out.WriteString("\n\n"[:n.lines])
		} else {
			w.out.WriteString("<br>")
		}
	}
}

func (w *htmlWriter) tag(start string, n node) {
	names := [...]string{quote: "blockquote", bulletList: "ul", orderedList: "ol", item: "li"}
	w.out.WriteString(start)
	w.out.WriteString(names[n.container])
	w.out.WriteByte('>')
}

func (w *htmlWriter) startLeaf(n node) {
	switch {
	case n.kind == preNode:
		w.out.WriteString("<pre>")
	case n.wrapped:
		w.out.WriteString("<p>")
	case w.bare:
		w.out.WriteString("<br><br>")
	}
	w.leaf, w.in = n, true
}

func (w *htmlWriter) endLeaf() {
	if !w.in {
		return
	}
	w.restyle(0, 0)
	switch {
	case w.leaf.kind == preNode:
		w.out.WriteString("</pre>")
	case w.leaf.wrapped:
		w.out.WriteString("</p>")
	}
	w.bare = w.leaf.kind == paragraphNode && !w.leaf.wrapped
	w.in = false
}

var styleTags = map[style]string{bold: "b>", italic: "i>", underline: "u>", strike: "s>", code: "code>"}

// restyle closes the elements that the next text is not in, and opens those
// that it is in.
func (w *htmlWriter) restyle(s style, link int) {
	keep := 0
	if link == w.link {
		for keep < len(w.open) && s&w.open[keep] != 0 {
			keep++
		}
	}
	for len(w.open) > keep {
		last := len(w.open) - 1
		w.out.WriteString("</")
		w.out.WriteString(styleTags[w.open[last]])
		w.open = w.open[:last]
	}
	if link != w.link {
		w.relink(link)
	}
	for _, o := range w.open {
		s &^= o
	}
	for o := bold; o <= code; o <<= 1 {
		if s&o != 0 {
			w.out.WriteByte('<')
			w.out.WriteString(styleTags[o])
			w.open = append(w.open, o)
		}
	}
}

func (w *htmlWriter) relink(link int) {
	if w.link > 0 {
		w.out.WriteString("</a>")
	}
	if link > 0 {
		w.out.WriteString(`<a href="`)
		w.out.WriteString(html.EscapeString(w.doc.links[link-1]))
		w.out.WriteString(`" rel="` + linkRelation + `">`)
	}
	w.link = link
}
