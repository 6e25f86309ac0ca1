// Package loose reads JSON that somebody else wrote: exact about the encoding,
// which may be passed on as it came, and tolerant about everything in it.
package loose

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// MaxNesting is how deep the JSON that we take from strangers may nest: what
// we pass on must not break the readers behind us, many of which recurse.
const MaxNesting = 64

var (
	errNotUTF8   = errors.New("not valid UTF-8")
	errNesting   = errors.New("nested deeper than 64 levels")
	errNotObject = errors.New("not a JSON object")
)

// Object reads a JSON object. It fails if b is anything else, is not valid
// UTF-8, or nests too deep.
func Object(b []byte) (gjson.Result, error) {
	if !utf8.Valid(b) {
		return gjson.Result{}, errNotUTF8
	}
	if tooDeep(b) {
		return gjson.Result{}, errNesting
	}
	if !gjson.ValidBytes(b) {
		return gjson.Result{}, errNotObject
	}
	object := gjson.ParseBytes(b)
	if !object.IsObject() {
		return gjson.Result{}, errNotObject
	}
	return object, nil
}

// tooDeep tells whether JSON nests deeper than MaxNesting. Its answer about
// text that is no JSON means nothing, but it comes without recursion.
func tooDeep(b []byte) bool {
	if bytes.Count(b, []byte("{"))+bytes.Count(b, []byte("[")) <= MaxNesting {
		return false // as usual, and quickly counted
	}
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
			if c == '\\' {
				i++
			}
		case c == '{' || c == '[':
			if depth++; depth > MaxNesting {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// Field returns an object's field, the last one if there are several of that
// name, as most readers have it. What is no object has no fields.
func Field(v gjson.Result, name string) gjson.Result {
	var field gjson.Result
	if v.IsObject() {
		v.ForEach(func(key, v gjson.Result) bool {
			if key.Str == name {
				field = v
			}
			return true
		})
	}
	return field
}

// Text reads a field that should be a string, and may be a number or a
// boolean: it is what one would print. null, objects and arrays are empty.
func Text(v gjson.Result) string {
	switch v.Type {
	case gjson.String:
		return v.Str
	case gjson.Number, gjson.True, gjson.False:
		return v.Raw
	default:
		return ""
	}
}

// Integer reads a field that should be a number, and may be a string of
// digits. Anything else is absent.
func Integer(v gjson.Result) *int64 {
	s := Text(v)
	if s == "" || len(s) > 18 || strings.Trim(s, "0123456789") != "" {
		return nil
	}
	n := v.Int()
	return &n
}

// List reads a field that should be an array; anything else is empty.
func List(v gjson.Result) string {
	if !v.IsArray() {
		return "[]"
	}
	return v.Raw
}

// Map reads a field that should be an object; anything else is empty.
func Map(v gjson.Result) string {
	if !v.IsObject() {
		return "{}"
	}
	return v.Raw
}
