package jq

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

// Encode returns a result as JSON, with the keys of objects in order: what
// gojq.Marshal returns, which grows its buffer many times where the size is known
// here.
func Encode(v any) ([]byte, error) {
	left := maxWeight
	if err := weigh(v, &left, maxNesting); err != nil {
		return nil, fmt.Errorf("its result %w", err)
	}
	size := maxWeight - left
	e := encoder{out: make([]byte, 0, size+size/16)} // and what has to be escaped
	e.encode(v)
	return e.out, nil
}

type encoder struct {
	out  []byte
	keys []string // of the objects that are being written, the outermost first
}

func (e *encoder) encode(v any) {
	switch v := v.(type) {
	case nil:
		e.out = append(e.out, "null"...)
	case bool:
		e.out = strconv.AppendBool(e.out, v)
	case int:
		e.out = strconv.AppendInt(e.out, int64(v), 10)
	case json.Number:
		e.out = append(e.out, v...)
	case encoded:
		e.out = append(e.out, v...)
	case string:
		e.encodeString(v)
	case []any:
		e.out = append(e.out, '[')
		for i, element := range v {
			e.separate(i)
			e.encode(element)
		}
		e.out = append(e.out, ']')
	case map[string]any:
		e.encodeObject(v)
	default:
		number, _ := gojq.Marshal(v)
		e.out = append(e.out, number...)
	}
}

func (e *encoder) separate(i int) {
	if i > 0 {
		e.out = append(e.out, ',')
	}
}

func (e *encoder) encodeObject(object map[string]any) {
	start := len(e.keys)
	for key := range object {
		e.keys = append(e.keys, key)
	}
	keys := e.keys[start:]
	slices.Sort(keys)
	e.out = append(e.out, '{')
	for i, key := range keys {
		e.separate(i)
		e.encodeString(key)
		e.out = append(e.out, ':')
		e.encode(object[key])
	}
	e.out = append(e.out, '}')
	e.keys = e.keys[:start]
}

func (e *encoder) encodeString(s string) {
	e.out = append(e.out, '"')
	start := 0 // of what is not yet written
	for i := 0; i < len(s); {
		size, escaped := 1, ""
		if c := s[i]; c < utf8.RuneSelf {
			escaped = escapes[c]
		} else if r, n := utf8.DecodeRuneInString(s[i:]); n > 1 || r != utf8.RuneError {
			size = n
		} else {
			escaped = `\ufffd`
		}
		if escaped != "" {
			e.out = append(append(e.out, s[start:i]...), escaped...)
			start = i + size
		}
		i += size
	}
	e.out = append(append(e.out, s[start:]...), '"')
}

// escapes are how ASCII characters are written that cannot stand for themselves.
var escapes = func() (all [utf8.RuneSelf]string) {
	for c := range all {
		if c < ' ' || c == 0x7f {
			all[c] = fmt.Sprintf(`\u%04x`, c)
		}
	}
	for c, escaped := range map[byte]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`} {
		all[c] = escaped
	}
	return all
}()
