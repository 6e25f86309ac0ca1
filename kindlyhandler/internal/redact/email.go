package redact

import (
	"unicode"
	"unicode/utf8"
)

const (
	maxLocal  = 64  // RFC 5321, section 4.5.3.1.1
	maxDomain = 255 // section 4.5.3.1.2
	maxLabel  = 63  // RFC 1035, section 2.3.4
)

// findEmail returns the e-mail address around an at sign, which is text[at:rest]
// and may be escaped, as in URLs. end is 0 if there is none. Characters that a
// name before the at sign may have, and that are more often something else
// there, such as = and /, are left out: what is before them is not redacted.
func findEmail(text []byte, from, at, rest int) (start, end int) {
	start = at
	for start > from {
		r, size := utf8.DecodeLastRune(text[from:start])
		if !isLocal(r, size) || at-(start-size) > maxLocal {
			break
		}
		start -= size
	}
	for start < at && (text[start] == '.' || text[start] == '\'') {
		start++
	}
	if start == at {
		return 0, 0
	}
	return start, endOfDomain(text, rest)
}

func isLocal(r rune, size int) bool {
	switch r {
	case '.', '_', '%', '+', '-', '\'':
		return true
	}
	return isWord(r, size)
}

// isWord tells whether r is a letter or a digit of any script.
func isWord(r rune, size int) bool {
	if r < utf8.RuneSelf {
		return isAlnum(byte(r))
	}
	return (r != utf8.RuneError || size > 1) && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r))
}

// endOfDomain returns where the domain ends that begins at i, 0 if there is
// none of at least two labels, the last of which begins with a letter and has
// two characters or more. A dot after it ends a sentence.
func endOfDomain(text []byte, i int) (end int) {
	limit := min(len(text), i+maxDomain)
	for labels := 0; ; labels++ {
		begin := i
		for i < limit {
			r, size := utf8.DecodeRune(text[i:])
			if r != '-' && !isWord(r, size) {
				break
			}
			i += size
		}
		label := text[begin:min(i, len(text))]
		for len(label) > 0 && label[len(label)-1] == '-' {
			label = label[:len(label)-1]
		}
		if len(label) == 0 || len(label) > maxLabel || label[0] == '-' {
			return end
		}
		if labels > 0 && len(label) >= 2 && !isDigit(label[0]) {
			end = begin + len(label)
		}
		if begin+len(label) != i || i >= limit || text[i] != '.' {
			return end
		}
		i++
	}
}
