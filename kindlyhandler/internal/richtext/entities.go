package richtext

import (
	"strings"

	"golang.org/x/net/html"
)

// maxEntity is the length of the longest name of an entity.
const maxEntity = len("CounterClockwiseContourIntegral")

// decodeEntities decodes the entities in s that end with a semicolon.
func decodeEntities(s string) string {
	i := strings.IndexByte(s, '&')
	if i < 0 {
		return s
	}
	var out strings.Builder
	out.Grow(len(s))
	for ; i >= 0; i = strings.IndexByte(s, '&') {
		out.WriteString(s[:i])
		s = s[i:]
		n := entityLength(s)
		decoded := s[:n]
		if n > 1 {
			decoded = html.UnescapeString(decoded)
			if strings.HasSuffix(decoded, ";") && decoded != ";" {
				decoded = s[:n] // not known, or known only in part
			}
		}
		out.WriteString(decoded)
		s = s[n:]
	}
	out.WriteString(s)
	return out.String()
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
