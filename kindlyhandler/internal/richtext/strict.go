package richtext

import (
	"strings"

	"golang.org/x/net/html"
)

// Most of what is read is in a small part of HTML: what this package writes, and
// what Kindly does. That part is read here, several times as fast as by the
// tokenizer that reads everything. Both read it as the same.

// strictElements are the elements of that part. None changes how what is in it is
// read.
var strictElements = func() map[string]element {
	strict := map[string]element{"span": {}}
	for name, e := range elements {
		if e.role != hiddenRole && e.role != imageRole && name != "textarea" && name != "xmp" {
			strict[name] = e
		}
	}
	return strict
}()

// strictTag is a tag of one of them.
type strictTag struct {
	length  int
	kind    html.TokenType
	element element
	href    string // of a link
}

// readStrictTag reads what begins with an angle bracket.
func readStrictTag(s string) (tag strictTag, ok bool) {
	tag.kind = html.StartTagToken
	i := 1
	if strings.HasPrefix(s, "</") {
		tag.kind, i = html.EndTagToken, 2
	}
	start := i
	for i < len(s) && (s[i] >= 'a' && s[i] <= 'z' || i > start && s[i] >= '1' && s[i] <= '6') {
		i++
	}
	if tag.element, ok = strictElements[s[start:i]]; !ok {
		return tag, false
	}
	hasHref := false
	for tag.kind == html.StartTagToken && strings.HasPrefix(s[i:], " ") && !strings.HasPrefix(s[i:], " /") {
		name, value, length, ok := readStrictAttribute(s[i:])
		if !ok {
			return tag, false
		}
		if name == "href" && !hasHref {
			tag.href, hasHref = value, true
		}
		i += length
	}
	if tag.kind == html.StartTagToken && (strings.HasPrefix(s[i:], "/>") || strings.HasPrefix(s[i:], " />")) {
		tag.kind = html.SelfClosingTagToken
		i += strings.IndexByte(s[i:], '>')
	}
	tag.length = i + 1
	return tag, i < len(s) && s[i] == '>'
}

// readStrictAttribute reads an attribute such as ` href="https://…"`.
func readStrictAttribute(s string) (name, value string, length int, ok bool) {
	i := 1
	for i < len(s) && (s[i] >= 'a' && s[i] <= 'z' || s[i] == '-') {
		i++
	}
	name, rest := s[1:i], s[i:]
	if name == "" || !strings.HasPrefix(rest, `="`) {
		return "", "", 0, false
	}
	rest = rest[len(`="`):]
	end := strings.IndexAny(rest, "\"<>\r\x00")
	if end < 0 || rest[end] != '"' {
		return "", "", 0, false
	}
	value = rest[:end]
	if n := strings.Count(value, "&"); n > 0 {
		if n != strings.Count(value, "&amp;") {
			return "", "", 0, false
		}
		value = strings.ReplaceAll(value, "&amp;", "&")
	}
	return name, value, 1 + len(name) + len(`="`) + end + 1, true
}

// nextStrict is next for a message that is strict. It stops before what is not.
func (p *parser) nextStrict() bool {
	rest := p.message[p.offset:]
	if rest == "" {
		return false
	}
	if rest[0] != '<' {
		end := strings.IndexByte(rest, '<')
		if end < 0 {
			end = len(rest)
		}
		p.kind, p.raw = html.TextToken, rest[:end]
	} else {
		tag, ok := readStrictTag(rest)
		if !ok {
			return false
		}
		p.kind, p.raw, p.tag, p.href = tag.kind, rest[:tag.length], tag.element, tag.href
	}
	p.offset += len(p.raw)
	return true
}
