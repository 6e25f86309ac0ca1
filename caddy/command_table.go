package kindly

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// table writes lines of columns that are aligned.
type table struct{ *tabwriter.Writer }

func newTable(out io.Writer) table { return table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)} }

// line writes one line. Empty cells become "-".
func (t table) line(cells ...string) {
	for i, cell := range cells {
		if cell = printed(cell); cell == "" {
			cell = "-"
		}
		cells[i] = cell
	}
	fmt.Fprintln(t, strings.Join(cells, "\t"))
}

// maxCell is the length of a cell, in runes.
const maxCell = 60

// printed returns text for the terminal in one line. Some of it is a
// stranger's, who may know what control characters do to terminals.
func printed(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.TrimSpace(s))
}

// short cuts off what would make a table unreadable.
func short(s string) string {
	if runes := []rune(s); len(runes) > maxCell {
		return string(runes[:maxCell-1]) + "…"
	}
	return s
}

// stamp returns a time in UTC, to the second, empty if it is zero.
func stamp(m moment) string {
	if m.IsZero() {
		return ""
	}
	return m.UTC().Format(time.RFC3339)
}
