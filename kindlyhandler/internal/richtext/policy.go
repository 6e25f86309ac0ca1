package richtext

import (
	"html"
	"regexp"
	"strings"

	"github.com/microcosm-cc/bluemonday"
)

const linkRelation = "nofollow noopener noreferrer"

// policy is what a ticket's HTML may consist of.
var policy = func() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "b", "strong", "i", "em", "u", "s", "code", "pre", "ul", "ol", "li", "blockquote")
	p.AllowAttrs("href").OnElements("a")
	p.AllowAttrs("rel").Matching(regexp.MustCompile("^" + linkRelation + "$")).OnElements("a")
	p.AllowURLSchemes("http", "https", "mailto", "tel")
	p.RequireNoFollowOnLinks(true)
	p.RequireNoReferrerOnLinks(true)
	return p
}()

// sanitize enforces the policy on what the HTML writer has written. The writer
// keeps to it by itself, so this changes nothing; it is there for the day on
// which the writer has a mistake.
func sanitize(fragment string) string {
	if isInPolicy(fragment) {
		return fragment
	}
	return policy.Sanitize(fragment)
}

// isInPolicy tells whether a fragment is nothing but text and tags of the
// policy, exactly as the writer writes them. Reading as strictly as that costs
// a hundredth of what sanitising does.
func isInPolicy(fragment string) bool {
	for {
		text, rest, found := strings.Cut(fragment, "<")
		if strings.IndexByte(text, '>') >= 0 {
			return false
		}
		if !found {
			return true
		}
		tag, rest, found := strings.Cut(rest, ">")
		if !found || !isTag(tag) {
			return false
		}
		fragment = rest
	}
}

// isTag tells whether a tag, given without its angle brackets, is one that the
// writer writes.
func isTag(tag string) bool {
	switch strings.TrimPrefix(tag, "/") {
	case "p", "b", "i", "u", "s", "code", "pre", "ul", "ol", "li", "blockquote":
		return true
	}
	switch tag {
	case "br", "/a":
		return true
	}
	written, isLink := strings.CutPrefix(tag, `a href="`)
	written, isRelated := strings.CutSuffix(written, `" rel="`+linkRelation+`"`)
	if !isLink || !isRelated {
		return false
	}
	address := html.UnescapeString(written)
	canonical, ok := canonicalURL(address)
	return ok && canonical == address && html.EscapeString(address) == written
}
