package richtext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// EscapeMarkdown returns plain text, such as a name, on one line and as
// Markdown that shows it as it is, at the start of a line and in it. Besides
// what has a meaning in CommonMark and in GitHub's extensions of it, these
// lose their effect:
//
//   - mentions and references by @, #, !, $, %, ~, & and GH-; e-mail
//     addresses stay free of invisible characters, for those who copy them
//   - URLs without markup (://, www.)
//   - mathematics between dollar signs
//   - GitLab's quick actions, such as a line that says "/close", and front
//     matter
//
// These keep it, since there is no way to take it that would not damage what
// people copy: names of commits (hexadecimal numbers), references by prefixes
// that a repository's owner chose, and emoji by name (":+1:").
func EscapeMarkdown(s string) string {
	return escapeLine(Line(s), '[')
}

// escapeLine escapes clean text on one line. It returns the text itself if
// there is nothing to escape.
func escapeLine(s string, next byte) string {
	t := inertText{text: s, leader: leader(s), next: next}
	if t.isInert() {
		return s
	}
	return string(t.appendTo(make([]byte, 0, len(s)+len(s)/8+16)))
}

// zeroWidthSpace parts a sigil from the name or number that it would refer to.
//
// GitHub and GitLab look for mentions and references in the HTML that they
// made of the Markdown, when backslashes and entities are long gone: \@name
// and &#64;name still ping. An invisible character after the sigil is what
// stops them. It is written as an entity, so that who reads the source sees it.
const zeroWidthSpace = "&#8203;"

// inertText is text on one line that is to be written as Markdown.
type inertText struct {
	text   string
	leader int  // the place of what has a meaning at the start of a line, or -1
	next   byte // what comes after the text, 0 if it does not matter
}

// isInert reports whether nothing in the text has a meaning.
func (t inertText) isInert() bool {
	for i := range len(t.text) {
		if mayHaveMeaning[t.text[i]] && (t.escape(i) != "" || t.refers(i)) {
			return false
		}
	}
	return true
}

func (t inertText) appendTo(out []byte) []byte {
	done := 0
	for i := range len(t.text) {
		if !mayHaveMeaning[t.text[i]] {
			continue
		}
		escape, refers := t.escape(i), t.refers(i)
		if escape == "" && !refers {
			continue
		}
		out = append(out, t.text[done:i]...)
		if escape == "" {
			escape = t.text[i : i+1]
		}
		out = append(out, escape...)
		if refers {
			out = append(out, zeroWidthSpace...)
		}
		done = i + 1
	}
	return append(out, t.text[done:]...)
}

// Entities are for the characters that make delimiters of any length, and for
// those that are also looked for before backslashes are taken into account.
var escapes = [utf8.RuneSelf]string{
	'\\': `\\`, '*': `\*`, '_': `\_`, '[': `\[`, ']': `\]`, '|': `\|`, '^': `\^`,
	'&': "&amp;", '<': "&lt;", '>': "&gt;", '`': "&#96;", '~': "&#126;", '$': "&#36;",

	// Only at the start of a line, see leader.
	'#': `\#`, '+': `\+`, '-': `\-`, '=': `\=`, ':': `\:`, ';': `\;`, '/': `\/`, '.': `\.`, ')': `\)`,
	// Only in some places, see escape.
	'!': `\!`, '@': "&#64;",
}

// mayHaveMeaning are the bytes to look at more closely.
var mayHaveMeaning = func() (set [256]bool) {
	for c, escape := range escapes {
		set[c] = escape != "" || c == '%'
	}
	return set
}()

// escape returns what to write for the byte at i, "" for the byte itself.
func (t inertText) escape(i int) string {
	c := t.text[i]
	switch c {
	case '\\': // at the end, it may be taken as part of a line break
		if i == len(t.text)-1 {
			return "&#92;"
		}
	case '#', '+', '-', '=', ';', '/', ')':
		if i != t.leader {
			return ""
		}
	case ':':
		if strings.HasPrefix(t.text[i:], "://") {
			return "&#58;"
		}
		if i != t.leader {
			return ""
		}
	case '.':
		if i >= 3 && isW(t.text[i-3]) && isW(t.text[i-2]) && isW(t.text[i-1]) {
			return "&#46;"
		}
		if i != t.leader {
			return ""
		}
	case '!': // a link after it would be an image
		if t.next != '[' || i != len(t.text)-1 {
			return ""
		}
	case '@': // of an address; those that mention are kept from it otherwise
		if !t.afterWord(i) || !t.beforeWord(i) {
			return ""
		}
	}
	return escapes[c]
}

// refers reports whether the byte at i makes a mention or reference of what
// comes after it.
func (t inertText) refers(i int) bool {
	switch t.text[i] {
	case '@':
		return !t.afterWord(i) && t.beforeVisible(i)
	case '#', '!', '$', '&':
		return i+1 < len(t.text) && isDigit(t.text[i+1])
	case '%', '~':
		return !t.afterWord(i) && i+1 < len(t.text) && (isWordByte(t.text[i+1]) || t.text[i+1] == '"')
	case '-':
		return i >= 2 && t.text[i-2]|0x20 == 'g' && t.text[i-1]|0x20 == 'h' && !t.afterWord(i-2) &&
			i+1 < len(t.text) && isDigit(t.text[i+1])
	}
	return false
}

func (t inertText) afterWord(i int) bool {
	return i > 0 && isWordByte(t.text[i-1])
}

func (t inertText) beforeWord(i int) bool {
	return i+1 < len(t.text) && isWordByte(t.text[i+1])
}

func (t inertText) beforeVisible(i int) bool {
	r, _ := utf8.DecodeRuneInString(t.text[i+1:])
	return i+1 < len(t.text) && !unicode.IsSpace(r)
}

// leader returns the place of the byte at the start of a line that would make
// a heading, list, table or the like of it, or -1.
func leader(line string) int {
	i := 0
	for i < len(line) && isDigit(line[i]) {
		i++
	}
	if i == len(line) {
		return -1
	}
	switch line[i] {
	case '.', ')':
		if i > 0 {
			return i
		}
	case '#', '+', '-', '=', ':', ';', '/':
		if i == 0 {
			return 0
		}
	}
	return -1
}

func isWordByte(c byte) bool {
	return isAlphanumeric(c) || c == '_'
}

func isW(c byte) bool {
	return c == 'w' || c == 'W'
}
