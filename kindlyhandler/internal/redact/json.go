package redact

import (
	"sync"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/loose"
)

// JSON returns a document with its texts redacted: strings, as they read
// without escapes, and numbers, which become strings then. Keys, the structure
// and everything else stay as they are, to the byte. A document in which
// something is found is overwritten.
//
// What is not JSON, or not UTF-8, or nests deeper than [loose.MaxNesting], does
// not become so: who reads it has to refuse it.
func (r *Redactor) JSON(document []byte, shape *Shape) []byte {
	if r == nil {
		return document
	}
	w := writers.Get().(*writer)
	defer w.release()
	w.Redactor, w.source, w.room = r, document, max(len(document), leastRoom)
	w.walk(shape)
	if w.copied == 0 {
		return document
	}
	return append(w.out, document[w.copied:]...)
}

// leastRoom is by how much any document may grow, in bytes; a long one may
// become twice as long. What would make it longer is replaced by nothing.
const leastRoom = 4 << 10

// writer makes a document from another one, in its place as long as it does
// not become longer.
type writer struct {
	*Redactor

	source []byte
	out    []byte // what is written
	copied int    // how much of the source is in out
	moved  bool   // out has a place of its own
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
	place  place
	object bool
}

// walk redacts the source as far as that may be JSON.
func (w *writer) walk(shape *Shape) {
	var levels [loose.MaxNesting + 1]level
	depth := 0
	key := false  // the next string is a key
	value := root // where the next value is
	for i := 0; i < len(w.source); i++ {
		switch c := w.source[i]; c {
		case '{', '[':
			if depth++; depth == len(levels) {
				return
			}
			levels[depth] = level{value, c == '{'}
			key = c == '{'
		case '}', ']':
			if depth--; depth < 0 {
				return
			}
			value = levels[depth].place //nolint:gosec // it is within
		case ',':
			key, value = levels[depth].object, levels[depth].place
		case '"':
			end, has := endOfString(w.source, i+1)
			switch {
			case end < 0:
				return
			case key:
				value = shape.field(levels[depth].place, w.source[i+1:end])
				key = false
			case value != kept && (has&hint != 0 || len(w.expressions) > 0):
				w.redactString(i, end, has)
			}
			i = end
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			end, fraction := endOfNumber(w.source, i)
			if value != kept && !key {
				w.redactNumber(i, end, !fraction)
			}
			i = end - 1
		}
	}
}

// What there can be in a string.
const (
	quote   = 1 << iota // its end
	escape              // a backslash
	control             // what has to be escaped, and is not
	hint                // that by which something is noticed
)

var classes = func() (classes [256]uint8) {
	for c := range classes {
		if c < ' ' {
			classes[c] = control
		}
		if begins[c] {
			classes[c] = hint
		}
	}
	classes['"'], classes['\\'] = quote, escape
	return classes
}()

// endOfString returns where the quotation mark is that ends a string, which
// begins at i, and what there is in it. -1: there is none.
func endOfString(b []byte, i int) (end int, has uint8) {
	for ; i < len(b); i++ {
		class := classes[b[i]]
		if class == quote {
			return i, has
		}
		if class == escape {
			i++
		}
		has |= class
	}
	return -1, has
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
func (w *writer) redactString(open, end int, has uint8) {
	text := w.source[open+1 : end]
	if has&control != 0 {
		return
	}
	if has&escape != 0 {
		var valid bool
		if w.plain, valid = unescape(w.plain[:0], text); !valid {
			return
		}
		text = w.plain
	}
	if w.redact(text, true) {
		w.replace(open, end+1)
	}
}

// shortest is how short nothing is that has a name, in digits.
const shortest = 10

// redactNumber redacts a number. One with a fraction is no card number.
func (w *writer) redactNumber(begin, end int, scan bool) {
	if len(w.expressions) == 0 && end-begin < shortest {
		return
	}
	if w.redact(w.source[begin:end], scan) && gjson.ValidBytes(w.source[begin:end]) {
		w.replace(begin, end)
	}
}

func (w *writer) redact(text []byte, scan bool) (changed bool) {
	w.text, changed = w.Redactor.text(w.text[:0], text, scan, &w.room)
	return changed
}

// replace puts the text, as a string, in place of a part of the source.
func (w *writer) replace(begin, end int) {
	if w.copied == 0 {
		if !utf8.Valid(w.source) {
			return
		}
		w.out = w.source[:0]
	}
	if !w.moved && len(w.out)+begin-w.copied+sizeOfString(w.text) > end {
		w.out = append(make([]byte, 0, len(w.source)+len(w.source)/8+len(w.text)), w.out...)
		w.moved = true
	}
	w.out = append(w.out, w.source[w.copied:begin]...)
	w.out = appendString(w.out, w.text)
	w.copied = end
}
