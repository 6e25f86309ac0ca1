package richtext

import "strings"

// ADF renders HTML or plain text as the block nodes of an Atlassian Document
// Format document, made of maps, lists and strings as encoding/json decodes
// them. What that format does not allow is arranged otherwise: a quote is only
// one where it is outside of all others and of lists, an item begins with a
// paragraph, and code has no other style.
func ADF(message string) []any {
	message = strings.ToValidUTF8(message, "\uFFFD")
	doc, markup := parse(message)
	if !markup {
		if message = cleanLines(decodeEntities(message)); message == "" {
			return []any{}
		}
		doc = plainDocument(message)
	}
	w := adfWriter{doc: doc, open: []adfNode{{}}}
	for _, n := range doc.nodes {
		w.node(n)
	}
	w.endLeaf()
	return w.open[0].content
}

type adfWriter struct {
	doc    *document
	open   []adfNode // the document, and the containers that are open in it
	quotes []bool    // for each container that is open in doc, whether it is one here
	leaf   adfNode   // the paragraph or code block, if there is a kind
	code   strings.Builder
}

// adfNode is a node that is not complete yet.
type adfNode struct {
	kind    string
	content []any
}

func (n adfNode) complete() map[string]any {
	content := n.content
	if content == nil {
		content = []any{}
	}
	return map[string]any{"type": n.kind, "content": content}
}

func (w *adfWriter) add(node any) {
	last := &w.open[len(w.open)-1]
	last.content = append(last.content, node)
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
		w.leaf.kind = "paragraph"
	case preNode:
		w.leaf.kind = "codeBlock"
	case textNode:
		w.text(n)
	case breakNode:
		if w.leaf.kind == "codeBlock" {
			w.code.WriteString("\n\n"[:n.lines])
			return
		}
		for range n.lines {
			w.leaf.content = append(w.leaf.content, map[string]any{"type": "hardBreak"})
		}
	}
}

func (w *adfWriter) start(c container) {
	parent := w.open[len(w.open)-1].kind
	shown := c != quote || len(w.open) == 1
	w.quotes = append(w.quotes, shown)
	if !shown {
		return
	}
	if parent == adfContainers[item] && len(w.open[len(w.open)-1].content) == 0 {
		w.add(adfNode{kind: "paragraph"}.complete())
	}
	w.open = append(w.open, adfNode{kind: adfContainers[c]})
}

func (w *adfWriter) end() {
	shown := w.quotes[len(w.quotes)-1]
	w.quotes = w.quotes[:len(w.quotes)-1]
	if !shown {
		return
	}
	ended := w.open[len(w.open)-1]
	w.open = w.open[:len(w.open)-1]
	w.add(ended.complete())
}

func (w *adfWriter) endLeaf() {
	if w.leaf.kind == "" {
		return
	}
	if w.code.Len() > 0 {
		w.leaf.content = []any{map[string]any{"type": "text", "text": w.code.String()}}
		w.code.Reset()
	}
	w.add(w.leaf.complete())
	w.leaf = adfNode{}
}

func (w *adfWriter) text(n node) {
	s := w.doc.text[n.start:n.end]
	switch {
	case s == "": // no text node may be empty
	case w.leaf.kind == "codeBlock":
		w.code.WriteString(s)
	default:
		text := map[string]any{"type": "text", "text": s}
		if marks := w.marks(n); len(marks) > 0 {
			text["marks"] = marks
		}
		w.leaf.content = append(w.leaf.content, text)
	}
}

var adfMarks = []struct {
	style style
	name  string
}{{bold, "strong"}, {italic, "em"}, {underline, "underline"}, {strike, "strike"}, {code, "code"}}

func (w *adfWriter) marks(n node) []any {
	style := n.style
	if style&code != 0 {
		style = code
	}
	var marks []any
	for _, m := range adfMarks {
		if style&m.style != 0 {
			marks = append(marks, map[string]any{"type": m.name})
		}
	}
	if n.link > 0 {
		marks = append(marks, map[string]any{"type": "link", "attrs": map[string]any{"href": w.doc.links[n.link-1]}})
	}
	return marks
}
