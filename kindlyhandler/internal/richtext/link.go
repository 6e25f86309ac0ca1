package richtext

import (
	"net/url"
	"strings"
)

// readURL reads where a link or image is, as the message has it. It reports
// whether one may go there: an absolute URL with one of a few schemes. What it
// returns is ASCII, without white space, quotes, angle brackets, backslashes
// and the like.
func readURL(written string) (string, bool) {
	written = strings.TrimFunc(written, func(r rune) bool { return r <= ' ' })
	encoded := encodeURL(written)
	u, ok := canonicalURL(encoded)
	if !ok {
		return "", false
	}
	// Readers of the canonical form must not understand it in another way.
	if u != encoded {
		if again, ok := canonicalURL(u); !ok || again != u {
			return "", false
		}
	}
	return u, true
}

func canonicalURL(s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil {
		return "", false
	}
	switch u.Scheme {
	case "http", "https":
		if u.Hostname() == "" {
			return "", false
		}
	case "mailto", "tel":
		if u.Opaque == "" {
			return "", false
		}
	default:
		return "", false
	}
	s = u.String()
	return s, encodeURL(s) == s
}

// urlBytes are the bytes that URLs consist of. Square brackets are not among
// them, since they would be left only in hosts that are bare IPv6 addresses,
// and Markdown has another meaning for them.
var urlBytes = func() (set [256]bool) {
	for c := range 256 {
		set[c] = isAlphanumeric(byte(c)) || strings.IndexByte("-._~:/?#@!$&'()*+,;=", byte(c)) >= 0
	}
	return set
}()

// encodeURL percent-encodes what does not belong into a URL, as browsers do.
func encodeURL(s string) string {
	i := 0
	for i < len(s) && (urlBytes[s[i]] || isEncoded(s[i:])) {
		i++
	}
	if i == len(s) {
		return s
	}
	const hex = "0123456789ABCDEF"
	var out strings.Builder
	out.Grow(len(s) + 64)
	out.WriteString(s[:i])
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case urlBytes[c] || isEncoded(s[i:]):
			out.WriteByte(c)
		case c == '\t' || c == '\n' || c == '\r': // ignored
		default:
			out.WriteByte('%')
			out.WriteByte(hex[c>>4])
			out.WriteByte(hex[c&15])
		}
	}
	return out.String()
}

// isEncoded reports whether s starts with a percent-encoded byte.
func isEncoded(s string) bool {
	return len(s) > 2 && s[0] == '%' && isHex(s[1]) && isHex(s[2])
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// isShownBy reports whether a link's label already says where it goes.
func isShownBy(u, label string) bool {
	if label == u {
		return true
	}
	for _, scheme := range []string{"mailto:", "tel:"} {
		if address, ok := strings.CutPrefix(u, scheme); ok && address == encodeURL(label) {
			return true
		}
	}
	if !strings.Contains(label, ":") {
		return false
	}
	shown, ok := readURL(label)
	return ok && shown == u
}
