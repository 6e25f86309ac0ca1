package richtext

import "slices"

// settle sees to it that text does not come right into a list: it gets an
// item of its own, or ends a list that was only implied.
func (b *builder) settle() {
	n := len(b.frames)
	if n == 0 || !b.frames[n-1].container.isList() {
		return
	}
	if b.frames[n-1].implied {
		b.popTo(n - 1)
		return
	}
	b.pushFrame(frame{container: item})
}

// push starts a list or quote.
func (b *builder) push(c container) {
	lines := 2
	if c.isList() && b.inItem() {
		lines = 1
	}
	b.boundary(lines)
	b.inParagraph = false
	if b.depth == maxDepth {
		b.overflow++
		return
	}
	b.settle()
	b.pushFrame(frame{container: c})
}

// startItem starts a list item, which ends the one before it.
func (b *builder) startItem() {
	b.boundary(1)
	b.inParagraph = false
	if b.overflow > 0 {
		return
	}
	list := b.nearestList()
	if list < 0 {
		if b.depth == maxDepth {
			return
		}
		b.boundary(2)
		b.pushFrame(frame{container: bulletList, implied: true})
		list = len(b.frames) - 1
	}
	b.popTo(list + 1)
	b.pushFrame(frame{container: item})
	if b.frames[list].opened {
		b.lines = 1 // also if the items are paragraphs
	}
	b.frozen = true
}

// pop ends the nearest container of a kind, and what is inside it.
func (b *builder) pop(c container) {
	lines := 1
	if c == quote {
		lines = 2
	}
	b.boundary(lines)
	b.inParagraph = false
	if b.overflow > 0 {
		if c != item {
			b.overflow--
		}
		return
	}
	for i, f := range slices.Backward(b.frames) {
		switch {
		case f.container == c:
			b.popTo(i)
			return
		case c == item && f.container.isList():
			return // an outer list's item
		}
	}
}

// popTo ends all containers but the first n.
func (b *builder) popTo(n int) {
	for len(b.frames) > n {
		f := b.frames[len(b.frames)-1]
		b.frames = b.frames[:len(b.frames)-1]
		b.frozen = false
		if f.container != item {
			b.depth--
		}
		if f.container == quote || f.container.isList() && !b.inItem() {
			b.boundary(2)
		}
		if f.opened {
			b.add(node{kind: closeNode, container: f.container, alternate: f.alternate})
			b.inLeaf = false
		}
	}
}

func (b *builder) pushFrame(f frame) {
	b.frames = append(b.frames, f)
	if f.container != item {
		b.depth++
	}
	b.inLeaf = false
}

// openFrames writes the containers that have no text yet, and the gap before
// them.
func (b *builder) openFrames(lines int) {
	first := len(b.frames)
	for first > 0 && !b.frames[first-1].opened {
		first--
	}
	alternate := false
	if n := len(b.doc.nodes); n > 0 {
		// Two lists of a kind in a row must not become one.
		if last := b.doc.nodes[n-1]; last.kind == closeNode && last.container.isList() &&
			first < len(b.frames) && last.container == b.frames[first].container {
			alternate = !last.alternate
		}
		gap := node{kind: gapNode, lines: max(lines, 1)}
		for _, f := range b.frames[first:] {
			gap.opensItem = gap.opensItem || f.container == item
		}
		b.add(gap)
	}
	for i := first; i < len(b.frames); i++ {
		f := &b.frames[i]
		f.opened = true
		open := node{kind: openNode, container: f.container}
		switch f.container {
		case bulletList, orderedList:
			f.alternate, alternate = alternate, false
			open.alternate = f.alternate
		case item:
			list := &b.frames[i-1]
			list.items++
			open.alternate = list.alternate
			if list.container == orderedList {
				open.number = list.items
			}
		case quote:
		}
		b.add(open)
	}
}

// nearestList is the place of the list that a new item belongs to, or -1. A
// quote between the item and the list does not part them.
func (b *builder) nearestList() int {
	for i, f := range slices.Backward(b.frames) {
		if f.container.isList() {
			return i
		}
	}
	return -1
}

func (b *builder) inItem() bool {
	for _, f := range b.frames {
		if f.container == item {
			return true
		}
	}
	return false
}
