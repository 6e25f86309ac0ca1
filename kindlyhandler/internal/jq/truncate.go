package jq

import (
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// note tells the reader that something is missing.
const note = "[… cut here: it is longer than the help desk takes]"

// unit is what a system counts when it limits a text: characters, of which an
// emoji is two for most, or bytes.
type unit struct{ bytes bool }

func (u unit) of(r rune) int {
	if u.bytes {
		return max(utf8.RuneLen(r), 1)
	}
	return max(utf16.RuneLen(r), 1)
}

// length returns how long a text is.
func (u unit) length(s string) (n int) {
	if u.bytes {
		return len(s)
	}
	for _, r := range s {
		n += u.of(r)
	}
	return n
}

// fits tells whether a text has at most n.
func (u unit) fits(s string, n int) bool { return len(s) <= n || u.length(s) <= n }

// head returns as much of the start of a text as has at most n.
func (u unit) head(s string, n int) string {
	for i, r := range s {
		if n -= u.of(r); n < 0 {
			return s[:i]
		}
	}
	return s
}

// Truncate is the function of that name.
func Truncate(s string, n int, bytes bool) string { return truncate(s, n, unit{bytes}) }

// TruncateHTML is the function truncate_html.
func TruncateHTML(s string, n int, bytes bool) string { return truncateHTML(s, n, unit{bytes}) }

// truncate cuts a text that is longer than n, the note included, at the end of
// a line if there is one near.
func truncate(s string, n int, u unit) string {
	if u.fits(s, n) {
		return s
	}
	const tail = "\n\n" + note
	if n < 4*len(tail) { // for a title, a sign is enough
		return strings.TrimRight(u.head(s, max(n-u.length("…"), 0)), " \n") + u.head("…", n)
	}
	kept := u.head(s, n-u.length(tail))
	if end := strings.LastIndexByte(kept, '\n'); end > len(kept)/10*9 {
		kept = kept[:end]
	}
	return strings.TrimRight(kept, " \n\\") + tail
}

// truncateHTML cuts HTML that is longer than n, the note included, between two
// elements or in a text, and closes what is open then.
func truncateHTML(s string, n int, u unit) string {
	if u.fits(s, n) {
		return s
	}
	const tail = "<p>" + note + "</p>"
	c := htmlCutter{unit: u, left: n - u.length(tail)}
	if c.left < 0 {
		return ""
	}
	c.cut(html.NewTokenizer(strings.NewReader(s)))
	return c.out.String() + tail
}

// htmlCutter copies the start of a fragment.
type htmlCutter struct {
	unit unit
	out  strings.Builder
	left int
	open []string // the end tags that are due, the outermost first
	due  int      // their length
}

// cut copies until something does not fit, and closes what is open.
func (c *htmlCutter) cut(tokens *html.Tokenizer) {
	for c.copy(tokens.Next(), tokens) {
	}
	for _, end := range slices.Backward(c.open) {
		c.out.WriteString(end)
	}
}

// copy copies a token, and tells whether it fitted.
func (c *htmlCutter) copy(kind html.TokenType, tokens *html.Tokenizer) bool {
	raw := string(tokens.Raw())
	room := c.left - c.due
	switch kind {
	case html.ErrorToken:
		return false
	case html.StartTagToken:
		if name, _ := tokens.TagName(); string(name) != "br" {
			end := "</" + string(name) + ">"
			if c.unit.length(raw+end) > room {
				return false
			}
			c.open = append(c.open, end)
			c.due += c.unit.length(end)
		} else if c.unit.length(raw) > room {
			return false
		}
	case html.EndTagToken:
		last := len(c.open) - 1
		if name, _ := tokens.TagName(); last < 0 || c.open[last] != "</"+string(name)+">" {
			return true // ends nothing
		}
		c.due -= c.unit.length(c.open[last])
		c.open = c.open[:last]
	default:
		if c.unit.length(raw) > room {
			c.out.WriteString(c.cutText(raw, room))
			return false
		}
	}
	c.out.WriteString(raw)
	c.left -= c.unit.length(raw)
	return true
}

// cutText cuts a text of HTML, but no entity in it.
func (c *htmlCutter) cutText(raw string, n int) string {
	kept := c.unit.head(raw, n)
	if start := strings.LastIndexByte(kept, '&'); start >= 0 && strings.IndexByte(kept[start:], ';') < 0 {
		kept = kept[:start]
	}
	return kept
}
