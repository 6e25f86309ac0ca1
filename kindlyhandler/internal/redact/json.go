package redact

import (
	"bytes"
	"sync"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/loose"
)

// Shape says which fields of a document stay as they are: those that it has
// with nil, whatever is in them. Others are redacted, and what it says of them is
// what it has them with. An array is as its elements are.
type Shape map[string]Shape

// unknown is the shape of what nothing is said about.
var unknown = Shape{}

// JSON returns a document with its texts redacted: strings, as they read
// without escapes, and numbers, which become strings then. Keys, the structure
// and everything else stay as they are, to the byte. A document in which
// nothing is found is returned itself.
//
// What is not JSON, or not UTF-8, or nests deeper than [loose.MaxNesting], does
// not become so: who reads it has to refuse it.
func (r *Redactor) JSON(document []byte, shape Shape) []byte {
	if r == nil {
		return document
	}
	w := writers.Get().(*writer)
	defer w.release()
	w.Redactor, w.source, w.room = r, document, max(len(document), leastRoom)
	if !w.walk(shape) || w.out == nil || !utf8.Valid(document) {
		return document
	}
	return append(w.out, document[w.copied:]...)
}

// leastRoom is by how much any document may grow, in bytes; a long one may
// become twice as long. What would make it longer is replaced by nothing.
const leastRoom = 4 << 10

// writer makes a document from another one.
type writer struct {
	*Redactor

	source []byte
	out    []byte // nil as long as nothing has changed
	copied int    // how much of the source is in out
	room   int
	plain  []byte // a string without its escapes
	text   []byte // a text that is redacted
}

var writers = sync.Pool{New: func() any { return new(writer) }}

// release gives the writer back, without what is large.
func (w *writer) release() {
	const usual = 64 << 10
	kept := writer{}
	if cap(w.plain) <= usual {
		kept.plain = w.plain[:0]
	}
	if cap(w.text) <= usual {
		kept.text = w.text[:0]
	}
	*w = kept
	writers.Put(w)
}

// level is an object or an array that is open.
type level struct {
	shape  Shape // nil: it stays as it is
	object bool
}

// walk redacts the source, and tells whether that may be JSON.
func (w *writer) walk(shape Shape) bool {
	var levels [loose.MaxNesting + 1]level
	depth := 0
	key := false   // the next string is a key
	value := shape // of the next value
	for i := 0; i < len(w.source); i++ {
		switch c := w.source[i]; c {
		case '{', '[':
			if depth++; depth == len(levels) {
				return false
			}
			levels[depth] = level{value, c == '{'}
			key = c == '{'
		case '}', ']':
			if depth == 0 {
				return false
			}
			depth--
			value = levels[depth].shape
		case ',':
			key, value = levels[depth].object, levels[depth].shape
		case '"':
			end, escaped := endOfString(w.source, i+1)
			if end < 0 {
				return false
			}
			if key {
				value = levels[depth].shape.of(w.source[i+1:end], escaped)
				key = false
			} else if value != nil {
				w.redactString(i, end, escaped)
			}
			i = end
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			end, fraction := endOfNumber(w.source, i)
			if value != nil && !key {
				w.redactNumber(i, end, !fraction)
			}
			i = end - 1
		}
	}
	return true
}

// of returns the shape of a field. The name of a field that stays has no
// escapes in what Kindly sends.
func (s Shape) of(name []byte, escaped bool) Shape {
	if s == nil {
		return nil
	}
	if len(s) == 0 || escaped {
		return unknown
	}
	field, is := s[string(name)]
	if !is {
		return unknown
	}
	return field
}

// endOfString returns where the quotation mark is that ends a string, which
// begins at i, and whether there are escapes in it. -1: there is none.
func endOfString(b []byte, i int) (end int, escaped bool) {
	quote := bytes.IndexByte(b[i:], '"')
	if quote < 0 {
		return -1, false
	}
	backslash := bytes.IndexByte(b[i:i+quote], '\\')
	if backslash < 0 {
		return i + quote, false
	}
	for i += backslash; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i, true
		}
	}
	return -1, true
}

func endOfNumber(b []byte, i int) (end int, fraction bool) {
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case isDigit(c), c == '-':
		case c == '.', c == 'e', c == 'E', c == '+':
			fraction = true
		default:
			return i, fraction
		}
	}
	return i, fraction
}

// redactString redacts the string between two quotation marks.
func (w *writer) redactString(open, end int, escaped bool) {
	text := w.source[open+1 : end]
	if escaped {
		var valid bool
		if w.plain, valid = unescape(w.plain[:0], text); !valid {
			return
		}
		text = w.plain
	}
	var changed bool
	if w.text, changed = w.redact(text, true); changed && (escaped || !bytes.ContainsFunc(text, isControl)) {
		w.replace(open, end+1)
	}
}

// redactNumber redacts a number. One with a fraction is no card number.
func (w *writer) redactNumber(begin, end int, scan bool) {
	if len(w.expressions) == 0 && end-begin < 10 { // as no number that has a name
		return
	}
	var changed bool
	if w.text, changed = w.redact(w.source[begin:end], scan); changed && gjson.ValidBytes(w.source[begin:end]) {
		w.replace(begin, end)
	}
}

// isControl tells whether a string has to have r escaped.
func isControl(r rune) bool { return r < ' ' }

func (w *writer) redact(text []byte, scan bool) ([]byte, bool) {
	return w.Redactor.text(w.text[:0], text, scan, &w.room)
}

// replace puts the text, as a string, in place of a part of the source.
func (w *writer) replace(begin, end int) {
	if w.out == nil {
		w.out = make([]byte, 0, len(w.source)+len(w.source)/8)
	}
	w.out = append(w.out, w.source[w.copied:begin]...)
	w.out = appendString(w.out, w.text)
	w.copied = end
}
