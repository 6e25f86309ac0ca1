package jq

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// note tells the reader that something is missing.
const note = "[… cut here: it is longer than the help desk takes]"

// length counts the characters of a text as most help desks do: one that needs
// two UTF-16 units, such as an emoji, counts twice.
func length(s string) (n int) {
	for _, r := range s {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

// head returns as much of the start of a text as has at most n characters.
func head(s string, n int) string {
	for i, r := range s {
		if n -= max(utf16.RuneLen(r), 1); n < 0 {
			return s[:i]
		}
	}
	return s
}

// truncate cuts a text that has more than n characters, the note included, at
// the end of a line if there is one near.
func truncate(s string, n int) any {
	if len(s) <= n || length(s) <= n {
		return s
	}
	const tail = "\n\n" + note
	if n < 4*len(tail) { // for a title, a sign is enough
		return strings.TrimRight(head(s, max(n-1, 0)), " \n") + head("…", n)
	}
	kept := head(s, n-length(tail))
	if end := strings.LastIndexByte(kept, '\n'); end > len(kept)/10*9 {
		kept = kept[:end]
	}
	return strings.TrimRight(kept, " \n\\") + tail
}

// truncateHTML cuts HTML that has more than n characters, the note included,
// between two elements or in a text, and closes what is open then.
func truncateHTML(s string, n int) any {
	if len(s) <= n || length(s) <= n {
		return s
	}
	const tail = "<p>" + note + "</p>"
	left := n - length(tail)
	if left < 0 {
		return ""
	}
	var out strings.Builder
	var open []string // the end tags that are due, the outermost first
	due := 0          // their length
	tokens := html.NewTokenizer(strings.NewReader(s))
	for {
		kind := tokens.Next()
		if kind == html.ErrorToken {
			break
		}
		raw := string(tokens.Raw())
		room := left - due
		switch kind {
		case html.StartTagToken:
			name, _ := tokens.TagName()
			end := "</" + string(name) + ">"
			if !isVoid(string(name)) {
				room -= length(end)
			}
			if length(raw) > room {
				return finish(&out, open, tail)
			}
			if !isVoid(string(name)) {
				open = append(open, end)
				due += length(end)
			}
		case html.EndTagToken:
			name, _ := tokens.TagName()
			if last := len(open) - 1; last >= 0 && open[last] == "</"+string(name)+">" {
				due -= length(open[last])
				open = open[:last]
			} else {
				continue // ends nothing
			}
		default:
			if length(raw) > room {
				out.WriteString(cutText(raw, room))
				return finish(&out, open, tail)
			}
		}
		out.WriteString(raw)
		left -= length(raw)
	}
	return finish(&out, open, "") // it only was too long for what ends nothing
}

// cutText cuts a text of HTML, but no entity in it.
func cutText(raw string, n int) string {
	kept := head(raw, n)
	if start := strings.LastIndexByte(kept, '&'); start >= 0 && strings.IndexByte(kept[start:], ';') < 0 {
		kept = kept[:start]
	}
	for !utf8.ValidString(kept) {
		kept = kept[:len(kept)-1]
	}
	return kept
}

func finish(out *strings.Builder, open []string, tail string) string {
	for i := len(open) - 1; i >= 0; i-- {
		out.WriteString(open[i])
	}
	out.WriteString(tail)
	return out.String()
}

// isVoid tells whether an element has no end tag.
func isVoid(name string) bool { return name == "br" || name == "hr" || name == "img" || name == "wbr" }
