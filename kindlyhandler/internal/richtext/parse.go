package richtext

import (
	"strings"

	"golang.org/x/net/html"
)

// maxNodesAhead is how many nodes there is room for before any is there: a
// stranger may write what only looks like tags.
const maxNodesAhead = 256

// parse reads a message and reports whether it contains a tag or a comment.
func parse(message string) (doc *document, markup bool) {
	p := parser{message: message}
	if doc, markup = p.parse(); doc == nil {
		p = parser{message: message, tokens: html.NewTokenizer(strings.NewReader(message))}
		doc, markup = p.parse()
	}
	return doc, markup
}

// parse returns nil without a tokenizer if the message is not strict.
func (p *parser) parse() (doc *document, markup bool) {
	message := p.message
	p.text.Grow(len(message))
	// Most tags become one node, and the text after them another.
	p.doc.nodes = make([]node, 0, min(3*strings.Count(message, "<")/2+4, maxNodesAhead))
	for p.next() {
		markup = markup || p.kind != html.TextToken
		p.token()
	}
	if p.tokens == nil && p.offset < len(p.message) {
		return nil, false
	}
	if !p.hiding() {
		p.addText(p.message[p.offset:]) // a tag that never ends
	}
	return p.finish(), markup
}

// parser turns tokens into calls of its builder. It goes from start to end
// and keeps no tree.
type parser struct {
	builder
	message string
	tokens  *html.Tokenizer // nil while it is strict
	offset  int             // of the token after the current one

	// The current token. What only looks like a tag or comment is text.
	kind html.TokenType
	raw  string
	name []byte // of a tag that the tokenizer has read
	tag  element
	href string // of a strict tag

	hidden string // the element whose content is being dropped
	depth  int    // how many of that name are open
}

func (p *parser) hiding() bool {
	return p.hidden != ""
}

// next goes to the next token and reports whether there is one.
func (p *parser) next() bool {
	if p.tokens == nil {
		return p.nextStrict()
	}
	p.kind = p.tokens.Next()
	if p.kind == html.ErrorToken {
		return false
	}
	p.raw = p.message[p.offset : p.offset+len(p.tokens.Raw())]
	p.offset += len(p.raw)
	switch p.kind {
	case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
		p.name, _ = p.tokens.TagName()
		if !isElementName(p.name) {
			p.kind = html.TextToken
		}
		p.tag = elements[string(p.name)]
	case html.CommentToken:
		if strings.HasPrefix(p.raw, "</") || !strings.HasSuffix(p.raw, ">") {
			p.kind = html.TextToken
		}
	default: // text and document types are what they seem to be
	}
	return true
}

// isElementName tells elements' names from addresses and URLs in angle
// brackets.
func isElementName(name []byte) bool {
	for _, c := range name {
		if !isAlphanumeric(c) && c != '-' && c != '_' && c != ':' {
			return false
		}
	}
	return len(name) > 0 && name[len(name)-1] != ':'
}

func (p *parser) token() {
	switch p.kind {
	case html.TextToken:
		if !p.hiding() {
			p.addText(p.raw)
		}
	case html.StartTagToken, html.SelfClosingTagToken:
		p.startTag()
	case html.EndTagToken:
		p.endTag()
	default: // comments and document types are not shown
	}
}

func (p *parser) startTag() {
	if p.hiding() {
		if string(p.name) == p.hidden {
			p.depth++
		}
		return
	}
	switch p.tag.role {
	case hiddenRole:
		// Only in foreign content does a slash at its end close an element.
		if name := string(p.name); p.kind == html.StartTagToken || name != "svg" && name != "math" {
			p.hidden, p.depth = name, 1
		}
	case linkRole:
		if p.tokens != nil {
			p.href = p.attribute("href")
		}
		p.openLink(p.href)
	case imageRole:
		p.image()
	default:
		p.start(p.tag)
	}
}

func (p *parser) endTag() {
	if p.hiding() {
		if string(p.name) == p.hidden {
			if p.depth--; p.depth == 0 {
				p.hidden = ""
			}
		}
		return
	}
	p.end(p.tag)
}

// image reads an image as a link to it. A remote image would tell its owner
// who opens the ticket and when.
func (p *parser) image() {
	var alt, source string
	for key, value, more := p.tokens.TagAttr(); ; key, value, more = p.tokens.TagAttr() {
		switch string(key) {
		case "alt":
			alt = Line(string(value))
		case "src":
			source = string(value)
		}
		if !more {
			break
		}
	}
	p.showImage(alt, source)
}

func (p *parser) attribute(name string) string {
	for {
		key, value, more := p.tokens.TagAttr()
		if string(key) == name {
			return string(value)
		}
		if !more {
			return ""
		}
	}
}
