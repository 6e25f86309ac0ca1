package richtext

import (
	"bytes"
	"strconv"
)

// layout writes lines inside quotes and list items, for the forms that mark
// them at the starts of lines.
type layout struct {
	out    []byte
	prefix []byte // what each line of the open containers starts with
	marks  []int  // the length of prefix outside of each
}

// newlines starts a new line, after a blank one if lines is 2.
func (l *layout) newlines(lines int) {
	for range lines - 1 {
		l.out = append(l.out, '\n')
		l.out = append(l.out, bytes.TrimRight(l.prefix, " ")...)
	}
	l.out = append(l.out, '\n')
	l.out = append(l.out, l.prefix...)
}

// open writes the marker of a container and indents the lines to come.
func (l *layout) open(n node) {
	l.marks = append(l.marks, len(l.prefix))
	switch n.container {
	case quote:
		l.out = append(l.out, "> "...)
		l.prefix = append(l.prefix, "> "...)
	case item:
		start := len(l.out)
		l.marker(n)
		for range len(l.out) - start {
			l.prefix = append(l.prefix, ' ')
		}
	case bulletList, orderedList: // their items have the markers
	}
}

// marker writes an item's marker. Lists that directly follow one of their
// kind get another one, by which CommonMark tells them apart.
func (l *layout) marker(n node) {
	switch {
	case n.number > 0 && n.alternate:
		l.out = append(strconv.AppendInt(l.out, int64(n.number), 10), ") "...)
	case n.number > 0:
		l.out = append(strconv.AppendInt(l.out, int64(n.number), 10), ". "...)
	case n.alternate:
		l.out = append(l.out, "* "...)
	default:
		l.out = append(l.out, "- "...)
	}
}

func (l *layout) close() {
	last := len(l.marks) - 1
	l.prefix = l.prefix[:l.marks[last]]
	l.marks = l.marks[:last]
}
