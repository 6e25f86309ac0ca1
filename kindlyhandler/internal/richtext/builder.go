package richtext

import (
	"math/bits"
	"strings"
	"unicode/utf8"
)

// maxDepth is how many lists and quotes may be inside each other. Every line
// starts with a prefix for each of them, so the depth bounds the output.
const maxDepth = 4

// tabWidth is how many spaces a tab in preformatted text becomes.
const tabWidth = 4

// builder makes a document of what the parser reads. It writes nothing before
// there is visible text for it, so there are no empty leaves and containers.
type builder struct {
	doc  document
	text strings.Builder

	frames   []frame
	depth    int // lists and quotes in frames
	overflow int // lists and quotes open beyond maxDepth

	inLeaf bool
	leaf   nodeKind // of the current or last leaf

	// What comes before the next visible text.
	lines  int    // newlines
	frozen bool   // an item starts, lines stay as they are
	spaces []byte // white space

	styles      [8]int // how often each style is open
	style       style
	link        int  // the current one, 0 for none
	linkShown   bool // it has a label
	inParagraph bool
	pre         int // how many are open
}

// frame is a container that is open in the message.
type frame struct {
	container container
	opened    bool // in the document, too
	implied   bool // a list for an item that has none
	alternate bool
	items     int // how many of a list's are in the document
}

func (b *builder) finish() *document {
	b.popTo(0)
	b.doc.text = b.text.String()
	return &b.doc
}

// start begins an element that has only its name to it.
func (b *builder) start(e element) {
	switch e.role {
	case styleRole:
		b.changeStyle(e.style, 1)
	case blockRole:
		b.boundary(1)
		b.inParagraph = false
	case paragraphRole:
		b.boundary(2)
		b.inParagraph = true
	case headingRole:
		b.boundary(2)
		b.inParagraph = true
		b.changeStyle(bold, 1)
	case ruleRole:
		b.boundary(2)
		b.inParagraph = false
	case breakRole:
		b.lineBreak()
	case cellRole:
		b.space(' ')
	case quoteRole:
		b.push(quote)
	case bulletListRole:
		b.push(bulletList)
	case orderedListRole:
		b.push(orderedList)
	case itemRole:
		b.startItem()
	case preRole:
		b.boundary(2)
		b.inParagraph, b.inLeaf = false, false
		b.pre++
	default: // only the content counts
	}
}

// end ends an element. What was never started is ignored, as in a browser.
func (b *builder) end(e element) {
	switch e.role {
	case styleRole:
		b.changeStyle(e.style, -1)
	case blockRole:
		b.boundary(1)
	case paragraphRole:
		b.boundary(2)
		b.inParagraph = false
	case headingRole:
		b.boundary(2)
		b.inParagraph = false
		b.changeStyle(bold, -1)
	case breakRole:
		b.lineBreak()
	case cellRole:
		b.space(' ')
	case quoteRole:
		b.pop(quote)
	case bulletListRole:
		b.pop(bulletList)
	case orderedListRole:
		b.pop(orderedList)
	case itemRole:
		b.pop(item)
	case preRole:
		b.boundary(2)
		b.inLeaf = false
		b.pre = max(b.pre-1, 0)
	case linkRole:
		b.link = 0
	default: // nothing to end
	}
}

func (b *builder) changeStyle(s style, by int) {
	n := &b.styles[bits.TrailingZeros8(uint8(s))]
	*n = max(*n+by, 0)
	if *n > 0 {
		b.style |= s
	} else {
		b.style &^= s
	}
}

// openLink begins a link. Links do not nest.
func (b *builder) openLink(written string) {
	b.link, b.linkShown = 0, false
	if u, ok := readURL(written); ok {
		b.doc.links = append(b.doc.links, u)
		b.link = len(b.doc.links)
	}
}

// showImage shows an image as a link to it, or as its alternative text if it
// is not on the web or part of a link's label.
func (b *builder) showImage(alt, source string) {
	u, ok := readURL(source)
	if alt == "" {
		alt = u
	}
	b.space(' ')
	if b.link != 0 || !ok {
		b.visibleText(alt)
	} else {
		b.openLink(source)
		b.visibleText(alt)
		b.link = 0
	}
	b.space(' ')
}

// addText adds text as it stands in the message.
func (b *builder) addText(raw string) {
	b.visibleText(decodeEntities(raw))
}

// visibleText adds decoded text.
func (b *builder) visibleText(s string) {
	for len(s) > 0 {
		if n := visiblePrefix(s); n > 0 {
			b.visible(s[:n])
			s = s[n:]
			continue
		}
		r, size := utf8.DecodeRuneInString(s)
		switch c := classify(r); {
		case c == newline && b.pre > 0:
			if !strings.HasPrefix(s, "\r\n") { // its newline counts
				b.newline()
			}
		case c != dropped:
			b.space(r)
		}
		s = s[size:]
	}
}

func (b *builder) space(r rune) {
	switch {
	case b.pre == 0:
		b.spaces = appendSpace(b.spaces, r)
	case r == '\t':
		b.spaces = append(b.spaces, "        "[:tabWidth]...)
	case classify(r) == wideSpace:
		b.spaces = utf8.AppendRune(b.spaces, r)
	default:
		b.spaces = append(b.spaces, ' ')
	}
}

// lineBreak is a <br>. In a link's label it is a space, since a link is on
// one line.
func (b *builder) lineBreak() {
	if b.link != 0 && b.linkShown && b.pre == 0 {
		b.space(' ')
		return
	}
	b.newline()
}

func (b *builder) newline() {
	b.boundary(min(b.lines+1, 2))
}

// boundary puts at least so many newlines before the next text.
func (b *builder) boundary(lines int) {
	if b.linkShown {
		b.link, b.linkShown = 0, false
	}
	b.spaces = b.spaces[:0]
	if !b.frozen {
		b.lines = max(b.lines, lines)
	}
}

// visible adds text without white space at its ends.
func (b *builder) visible(s string) {
	if b.startLine() && b.pre == 0 {
		b.spaces = b.spaces[:0]
	}
	style, link := b.style, b.link
	if b.leaf == preNode {
		style = 0
	}
	if len(b.spaces) > 0 {
		b.addSpaces(style, link)
	}
	b.append(s, style, link)
	b.linkShown = link != 0
}

// addSpaces writes the white space before text. It has only those styles and
// that link which the text on both its sides has.
func (b *builder) addSpaces(style style, link int) {
	last := b.doc.nodes[len(b.doc.nodes)-1]
	if last.kind == textNode {
		style &= last.style
		if last.link != link {
			link = 0
		}
	}
	b.append(string(b.spaces), style, link)
	b.spaces = b.spaces[:0]
}

func (b *builder) append(s string, style style, link int) {
	start := b.text.Len()
	b.text.WriteString(s)
	if last := &b.doc.nodes[len(b.doc.nodes)-1]; last.kind == textNode && last.style == style && last.link == link {
		last.end = b.text.Len()
		return
	}
	b.add(node{kind: textNode, style: style, link: link, start: start, end: b.text.Len()})
}

func (b *builder) add(n node) {
	b.doc.nodes = append(b.doc.nodes, n)
}

// startLine writes what comes before visible text: a break, or the end of the
// last leaf, new containers and a new leaf. It reports whether the text is
// the first on its line.
func (b *builder) startLine() bool {
	b.settle()
	leaf := paragraphNode
	if b.pre > 0 {
		leaf = preNode
	}
	lines := b.lines
	b.lines, b.frozen = 0, false
	if b.inLeaf && b.leaf == leaf && (lines < 2 || leaf == preNode) {
		if lines > 0 {
			b.add(node{kind: breakNode, lines: lines})
		}
		return lines > 0
	}
	b.openFrames(lines)
	b.add(node{kind: leaf, wrapped: b.inParagraph && leaf == paragraphNode})
	b.inLeaf, b.leaf = true, leaf
	return true
}
