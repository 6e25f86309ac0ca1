package richtext

import (
	"strings"

	"golang.org/x/net/html"
)

// maxEntity is the length of the longest name of an entity.
const maxEntity = len("CounterClockwiseContourIntegral")

// decodeEntities decodes the entities in s that end with a semicolon.
func decodeEntities(s string) string {
	var out strings.Builder
	done := 0
	for i := strings.IndexByte(s, '&'); i >= 0 && i < len(s); {
		n := entityLength(s[i:])
		if decoded, ok := decodeEntity(s[i : i+n]); ok {
			out.WriteString(s[done:i])
			out.WriteString(decoded)
			done = i + n
		}
		i += n
		next := strings.IndexByte(s[i:], '&')
		if next < 0 {
			break
		}
		i += next
	}
	if done == 0 {
		return s
	}
	out.WriteString(s[done:])
	return out.String()
}

// decodeEntity decodes what looks like an entity, unless it is not known, or
// known only in part.
func decodeEntity(s string) (string, bool) {
	if len(s) == 1 {
		return "", false
	}
	decoded := html.UnescapeString(s)
	return decoded, !strings.HasSuffix(decoded, ";") || decoded == ";"
}

// entityLength is the length of what looks like an entity at the start of s,
// or 1 for a mere ampersand.
func entityLength(s string) int {
	for i := 1; i < len(s) && i <= maxEntity+1; i++ {
		switch c := s[i]; {
		case c == ';' && i > 1:
			return i + 1
		case !isAlphanumeric(c) && (c != '#' || i > 1):
			return 1
		}
	}
	return 1
}

func isAlphanumeric(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isDigit(c byte) bool {
	return '0' <= c && c <= '9'
}
