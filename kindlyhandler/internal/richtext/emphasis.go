package richtext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// fitEmphasis takes the emphasis from where Markdown's delimiters would not
// work: from white space, from neighbours with different emphasis, and from
// what is so close to other text that the delimiters would be shown.
//
// What counts as punctuation differs between versions of the specification.
// So only letters and digits count as text, and only ASCII as punctuation.
func (w *markdownWriter) fitEmphasis() {
	w.parts = w.parts[:0]
	for _, s := range w.spans {
		w.parts = w.trim(w.parts, s)
	}
	w.spans, w.parts = w.parts, w.spans
	for i := 0; i < len(w.spans); {
		end, common := i, emphasis
		for end < len(w.spans) && w.spans[end].style&emphasis != 0 && w.spans[end].link == w.spans[i].link {
			common &= w.spans[end].style
			end++
		}
		if end == i {
			i++
			continue
		}
		if !w.canOpen(i, common) || !w.canClose(end-1, common) {
			common = 0
		}
		for ; i < end; i++ {
			w.spans[i].style = w.spans[i].style&^emphasis | common
		}
	}
}

// trim appends a span whose white space at the ends is on its own and without
// style. Emphasis does not work there, and code loses it.
func (w *markdownWriter) trim(spans []span, s span) []span {
	if s.style == 0 {
		return appendSpan(spans, s)
	}
	text := w.doc.text[s.start:s.end]
	start := s.end - len(strings.TrimLeftFunc(text, unicode.IsSpace))
	end := max(start, s.start+len(strings.TrimRightFunc(text, unicode.IsSpace)))
	spans = appendSpan(spans, span{s.start, start, 0, s.link})
	spans = appendSpan(spans, span{start, end, s.style, s.link})
	return appendSpan(spans, span{end, s.end, 0, s.link})
}

// canOpen reports whether delimiters before the span at i are taken as such.
func (w *markdownWriter) canOpen(i int, s style) bool {
	if i == 0 || w.spans[i-1].link != w.spans[i].link || w.spans[i-1].style&code != 0 {
		return true // after the start, a bracket or a backtick
	}
	before, _ := utf8.DecodeLastRuneInString(w.doc.text[:w.spans[i].start])
	first, _ := utf8.DecodeRuneInString(w.doc.text[w.spans[i].start:])
	return partsWords(before) || isWord(first) && w.isPlain(i, s)
}

// canClose reports whether delimiters after the span at i are taken as such.
func (w *markdownWriter) canClose(i int, s style) bool {
	if i+1 == len(w.spans) || w.spans[i+1].link != w.spans[i].link || w.spans[i+1].style&code != 0 {
		return true // before the end, a bracket or a backtick
	}
	last, _ := utf8.DecodeLastRuneInString(w.doc.text[:w.spans[i].end])
	after, _ := utf8.DecodeRuneInString(w.doc.text[w.spans[i].end:])
	return partsWords(after) || isWord(last) && w.isPlain(i, s)
}

// isPlain reports whether a span's text comes right after its delimiter,
// without another one or a backtick.
func (w *markdownWriter) isPlain(i int, s style) bool {
	return w.spans[i].style&code == 0 && (s&strike == 0 || s == strike)
}

func isWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

// partsWords reports whether r is a space, or punctuation by any version of
// the specification. What becomes an entity is punctuation, too.
func partsWords(r rune) bool {
	return r == ' ' || r < utf8.RuneSelf && !isAlphanumeric(byte(r))
}
