package richtext

// document is a message after reading: visible text, and nodes that say how
// it is arranged. Every container that is opened is closed, in order, and
// contains text.
type document struct {
	text  string
	links []string // URLs; node.link counts from 1
	nodes []node
}

// node is one step through a document. Containers are opened and closed;
// a leaf (paragraph or preformatted text) starts with its node and ends where
// the text and break nodes end.
type node struct {
	kind      nodeKind
	container container // open, close
	style     style     // text
	wrapped   bool      // leaf: the message had a <p> around it
	opensItem bool      // gap: a list item starts after it
	alternate bool      // open, close: the list directly follows one of its kind
	lines     int       // gap, separator: how many newlines
	number    int       // open: the item's number, 0 in a bullet list
	link      int       // text: its link, 0 for none
	start     int       // text: its place in document.text
	end       int
}

type nodeKind uint8

const (
	gapNode   nodeKind = iota // between leaves
	openNode                  // of a container
	closeNode                 // of a container
	paragraphNode
	preNode   // preformatted leaf
	textNode  // in a leaf, without newlines
	breakNode // in a leaf, between lines
)

type container uint8

const (
	quote container = iota
	bulletList
	orderedList
	item
)

func (c container) isList() bool {
	return c == bulletList || c == orderedList
}

// style is a set of inline styles.
type style uint8

const (
	bold style = 1 << iota
	italic
	underline
	strike
	code

	emphasis = bold | italic | strike // those that Markdown writes with delimiters
)

// label returns the nodes from i on that are one link's label, by their end,
// and the label.
func (d *document) label(i int) (end int, label string) {
	first := d.nodes[i]
	end = i + 1
	for end < len(d.nodes) && d.nodes[end].kind == textNode && d.nodes[end].link == first.link {
		end++
	}
	return end, d.text[first.start:d.nodes[end-1].end]
}
