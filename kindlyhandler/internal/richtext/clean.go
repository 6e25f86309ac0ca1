package richtext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// class says what a character is to the reader of a message.
type class uint8

const (
	visible   class = iota
	space           // white space of which several count as one
	wideSpace       // white space that keeps its width, such as U+00A0
	newline
	dropped // controls, and what reorders text
)

var asciiClasses = func() (classes [utf8.RuneSelf]class) {
	for c := range ' ' {
		classes[c] = dropped
	}
	classes[0x7F] = dropped
	classes['\n'], classes['\r'] = newline, newline
	for _, c := range " \t\v\f" {
		classes[c] = space
	}
	return classes
}()

func classify(r rune) class {
	switch {
	case r < utf8.RuneSelf:
		return asciiClasses[r]
	case r == '\u0085', r == '\u2028', r == '\u2029': // next line, line and paragraph separator
		return newline
	case r < '\u00A0': // C1 controls
		return dropped
	case r >= '\u202A' && r <= '\u202E', r >= '\u2066' && r <= '\u2069': // bidirectional controls
		return dropped
	case unicode.IsSpace(r):
		return wideSpace
	}
	return visible
}

// visiblePrefix is the length of the visible characters that s starts with.
func visiblePrefix(s string) int {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if asciiClasses[c] != visible {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if classify(r) != visible {
			return i
		}
		i += size
	}
	return len(s)
}

// valid returns s with what is no UTF-8 replaced. Almost nothing is, and to find
// that out is several times as fast as to look for where.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Line returns plain text, such as a name, cleaned and on one line.
func Line(s string) string {
	s = valid(s)
	if isClean(s, false) {
		return s
	}
	return rebuild(s, false)
}

// cleanLines cleans plain text and keeps its lines. It returns s itself if
// there is nothing to clean.
func cleanLines(s string) string {
	if isClean(s, true) {
		return s
	}
	return rebuild(s, true)
}

// isClean reports whether rebuild would return s itself.
func isClean(s string, lines bool) bool {
	last, newlines := newline, 2 // as if after a blank line
	for i := 0; i < len(s); {
		if n := visiblePrefix(s[i:]); n > 0 {
			last, newlines = visible, 0
			i += n
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch classify(r) {
		case space:
			if r != ' ' || last == newline || last == space {
				return false
			}
			last = space
		case wideSpace:
			if last == newline {
				return false
			}
			last = wideSpace
		case newline:
			if !lines || r != '\n' || last == space || last == wideSpace || newlines == 2 {
				return false
			}
			last = newline
			newlines++
		default: // dropped
			return false
		}
	}
	return len(s) == 0 || last == visible
}

// rebuild writes s anew: without dropped characters, white space collapsed
// and removed at the ends of lines, and at most one blank line in a row.
func rebuild(s string, lines bool) string {
	var out strings.Builder
	out.Grow(len(s))
	var spaces []byte
	newlines := 0
	for len(s) > 0 {
		if n := visiblePrefix(s); n > 0 {
			if out.Len() > 0 {
				if newlines > 0 {
					out.WriteString("\n\n"[:min(newlines, 2)])
				} else {
					out.Write(spaces)
				}
			}
			out.WriteString(s[:n])
			spaces, newlines = spaces[:0], 0
			s = s[n:]
			continue
		}
		r, size := utf8.DecodeRuneInString(s)
		switch c := classify(r); {
		case c == newline && lines:
			if !strings.HasPrefix(s, "\r\n") { // its newline counts
				newlines++
			}
		case c != dropped:
			spaces = appendSpace(spaces, r)
		}
		s = s[size:]
	}
	return out.String()
}

// appendSpace appends one character of white space. ASCII white space is one
// space, however much of it there is.
func appendSpace(spaces []byte, r rune) []byte {
	if classify(r) == wideSpace {
		return utf8.AppendRune(spaces, r)
	}
	if n := len(spaces); n > 0 && spaces[n-1] == ' ' {
		return spaces
	}
	return append(spaces, ' ')
}
