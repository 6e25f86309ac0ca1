package richtext

import (
	"strings"
	"unicode"
)

// findURLs makes links of the URLs in a line's text. Without it GitHub would
// do so, but see the escapes in them as parts of the URL.
func (w *markdownWriter) findURLs() {
	w.parts = w.parts[:0]
	for _, s := range w.spans {
		for s.link == 0 && s.style&code == 0 && s.start < s.end {
			before, length := findURL(w.doc.text[s.start:s.end])
			if length == 0 {
				break
			}
			w.parts = appendSpan(w.parts, span{s.start, s.start + before, s.style, 0})
			s.start += before
			found := span{s.start, s.start + length, s.style, 0}
			if u, ok := readURL(w.doc.text[found.start:found.end]); ok {
				w.links = append(w.links, u)
				found.link = len(w.links)
			}
			w.parts = appendSpan(w.parts, found)
			s.start += length
		}
		w.parts = appendSpan(w.parts, s)
	}
	w.spans, w.parts = w.parts, w.spans
}

// findURL returns the place and length of the first URL in s.
func findURL(s string) (start, length int) {
	for from := 0; ; {
		i := strings.Index(s[from:], "://")
		if i < 0 {
			return 0, 0
		}
		i += from
		start := i
		for start > from && isAlphanumeric(s[start-1]) {
			start--
		}
		if scheme := s[start:i]; strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https") {
			if end := i + 3 + urlLength(s[i+3:]); end > i+3 {
				return start, end - start
			}
		}
		from = i + 3
	}
}

// urlLength is the length of the rest of a URL, without the punctuation of
// the sentence that it is in.
func urlLength(s string) int {
	end := strings.IndexFunc(s, func(r rune) bool {
		return r == '<' || r == '>' || r == '"' || r == '`' || unicode.IsSpace(r)
	})
	if end < 0 {
		end = len(s)
	}
	closing := strings.Count(s[:end], ")") - strings.Count(s[:end], "(")
	for end > 0 {
		switch s[end-1] {
		case '.', ',', ':', ';', '!', '?', '\'', '*', '_', '~', ']':
		case ')':
			if closing <= 0 {
				return end
			}
			closing--
		default:
			return end
		}
		end--
	}
	return 0
}
