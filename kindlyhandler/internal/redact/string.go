package redact

import (
	"encoding/hex"
	"unicode/utf16"
	"unicode/utf8"
)

// unescape appends what the inside of a JSON string reads, and tells whether
// its escapes are valid. Half a surrogate pair reads as U+FFFD.
func unescape(to, s []byte) ([]byte, bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < ' ' {
			return to, false
		}
		if c != '\\' {
			to = append(to, c)
			continue
		}
		if i++; i == len(s) {
			return to, false
		}
		switch s[i] {
		case '"', '\\', '/':
			to = append(to, s[i])
		case 'b':
			to = append(to, '\b')
		case 'f':
			to = append(to, '\f')
		case 'n':
			to = append(to, '\n')
		case 'r':
			to = append(to, '\r')
		case 't':
			to = append(to, '\t')
		case 'u':
			r, valid := unit(s[i+1:])
			if !valid {
				return to, false
			}
			i += 4
			if utf16.IsSurrogate(r) {
				second := rune(0)
				if i+2 < len(s) && s[i+1] == '\\' && s[i+2] == 'u' {
					second, _ = unit(s[i+3:])
				}
				if r = utf16.DecodeRune(r, second); r != utf8.RuneError {
					i += 6
				}
			}
			to = utf8.AppendRune(to, r)
		default:
			return to, false
		}
	}
	return to, true
}

// unit reads the four hexadecimal digits of an escape.
func unit(s []byte) (rune, bool) {
	var b [2]byte
	if len(s) < 4 {
		return 0, false
	}
	if _, err := hex.Decode(b[:], s[:4]); err != nil {
		return 0, false
	}
	return rune(b[0])<<8 | rune(b[1]), true
}

// sizeOfString returns how long what appendString appends can be.
func sizeOfString(text []byte) int {
	size := len(text) + 2
	for _, c := range text {
		switch class := classes[c]; {
		case class&control != 0:
			size += 5
		case class&(quote|escape) != 0:
			size++
		}
	}
	return size
}

// appendString appends a text as a JSON string, with no more escapes than it
// needs.
func appendString(to, text []byte) []byte {
	to = append(to, '"')
	for _, c := range text {
		switch {
		case c == '"', c == '\\':
			to = append(to, '\\', c)
		case c == '\n':
			to = append(to, '\\', 'n')
		case c == '\r':
			to = append(to, '\\', 'r')
		case c == '\t':
			to = append(to, '\\', 't')
		case c < ' ':
			to = append(to, '\\', 'u', '0', '0')
			to = hex.AppendEncode(to, []byte{c})
		default:
			to = append(to, c)
		}
	}
	return append(to, '"')
}
