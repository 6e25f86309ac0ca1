// Package redact takes out of JSON what should be neither stored nor passed on:
// numbers of cards and accounts, the personal numbers of the Nordic countries,
// e-mail addresses, and what regular expressions match.
//
// What has a name is recognised in one scan over a text (scan.go): one
// expression for each would cost as much as all the rest of a webhook's way.
package redact

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// Rule is what is redacted, and what stands in its place.
type Rule struct {
	// Pattern is one of the [Names], or a regular expression in the syntax of
	// package regexp, which looks at each text of a document by itself.
	Pattern string
	// Replacement of each match; in that of an expression, $1 and ${name} are
	// what its groups have matched, and $$ is a dollar sign. nil: the name in
	// brackets, or [redacted].
	Replacement *string
}

// kind is something that the scan recognises.
type kind uint8

const (
	card kind = iota
	iban
	email
	norwegian
	swedish
	danish
	finnish
	kinds
)

// named are the kinds by the names that operators write.
var named = map[string][]kind{
	"card":         {card},
	"iban":         {iban},
	"email":        {email},
	"norwegian_id": {norwegian},
	"swedish_id":   {swedish},
	"danish_id":    {danish},
	"finnish_id":   {finnish},
	"national_id":  {norwegian, swedish, danish, finnish},
}

// Names are those that a [Rule] can have as its pattern.
func Names() []string {
	return []string{"card", "iban", "email", "national_id", "norwegian_id", "swedish_id", "danish_id", "finnish_id"}
}

// Redactor redacts by its rules. It is safe for concurrent use. A nil Redactor
// changes nothing.
type Redactor struct {
	scanner     scanner
	replacement [kinds]string
	expressions []expression
}

type expression struct {
	*regexp.Regexp

	template []byte
}

// maxReplacement is how long a replacement may be, in bytes.
const maxReplacement = 256

// New returns a Redactor, nil if there are no rules.
func New(rules []Rule) (*Redactor, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	r := new(Redactor)
	for _, rule := range rules {
		if err := r.add(rule); err != nil {
			return nil, err
		}
	}
	return r, nil
}

var (
	errNoPattern = errors.New("the pattern is empty: write one of " + strings.Join(Names(), ", ") + ", or a regular expression")
	bareWord     = regexp.MustCompile(`^[A-Za-z_-]+$`)
)

func (r *Redactor) add(rule Rule) error {
	if rule.Pattern == "" {
		return errNoPattern
	}
	replacement := "[" + rule.Pattern + "]"
	all, isName := named[rule.Pattern]
	if !isName {
		replacement = "[redacted]"
	}
	if rule.Replacement != nil {
		replacement = *rule.Replacement
	}
	if len(replacement) > maxReplacement {
		return fmt.Errorf("%q: the replacement is longer than %d bytes", rule.Pattern, maxReplacement)
	}
	for _, k := range all {
		if r.scanner.wanted[k] {
			return fmt.Errorf("%q is there twice, or is a part of national_id, which is there, too: leave one of them out", rule.Pattern)
		}
		r.scanner.wanted[k], r.scanner.any = true, true
		r.replacement[k] = replacement
	}
	if isName {
		return nil
	}
	if bareWord.MatchString(rule.Pattern) {
		return fmt.Errorf("%q is unknown: write one of %s; for a regular expression that is this word, write (?:%s)",
			rule.Pattern, strings.Join(Names(), ", "), rule.Pattern)
	}
	compiled, err := compile(rule.Pattern)
	if err != nil {
		return err
	}
	r.expressions = append(r.expressions, expression{compiled, []byte(replacement)})
	return nil
}

func compile(pattern string) (*regexp.Regexp, error) {
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		wrong, _ := errors.AsType[*syntax.Error](err)
		return nil, fmt.Errorf("%q is neither one of %s nor a regular expression: %s: write it in Go's syntax (RE2), which has no look-around and no back-references",
			pattern, strings.Join(Names(), ", "), wrong.Code)
	}
	if parsed, err := syntax.Parse(pattern, syntax.Perl); err == nil && matchesNothing(parsed) {
		return nil, fmt.Errorf("%q matches where there is nothing: write an expression whose matches have a character at least, such as x+ for x*", pattern)
	}
	return compiled, nil
}

// matchesNothing tells whether an expression can match an empty text, or the
// place between two characters.
func matchesNothing(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL, syntax.OpNoMatch:
		return false
	case syntax.OpCapture, syntax.OpPlus:
		return matchesNothing(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min == 0 || matchesNothing(re.Sub[0])
	case syntax.OpConcat:
		return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !matchesNothing(sub) })
	case syntax.OpAlternate:
		return slices.ContainsFunc(re.Sub, matchesNothing)
	default: // assertions, and what may be left out
		return true
	}
}

// text appends a text as it is to be, to to, and tells whether that is another
// one; if it is not, nothing is appended. Names come first, in one scan, then
// expressions in their order, each over what the ones before have left. room
// is by how much a document may still grow.
func (r *Redactor) text(to, text []byte, scan bool, room *int) ([]byte, bool) {
	begin, changed := len(to), false
	if scan && r.scanner.any {
		if to, changed = r.names(to, text, room); changed && len(r.expressions) > 0 {
			text = bytes.Clone(to[begin:])
		}
	}
	for _, e := range r.expressions {
		matches := e.FindAllSubmatchIndex(text, -1)
		if len(matches) == 0 {
			continue
		}
		to, changed = to[:begin], true
		at := 0
		for _, m := range matches {
			to = append(to, text[at:m[0]]...)
			to = within(room, m[1]-m[0], e.Expand(to, e.template, text, m), len(to))
			at = m[1]
		}
		to = append(to, text[at:]...)
		text = bytes.Clone(to[begin:])
	}
	return to, changed
}

// names is text for what has a name.
func (r *Redactor) names(to, text []byte, room *int) ([]byte, bool) {
	at := 0
	for {
		start, end, k := r.scanner.next(text, at)
		if end == 0 {
			break
		}
		to = append(to, text[at:start]...)
		to = within(room, end-start, append(to, r.replacement[k]...), len(to))
		at = end
	}
	if at == 0 {
		return to, false
	}
	return append(to, text[at:]...), true
}

// within takes back what was appended after begin in place of so many bytes,
// if a document would grow too much by it: strangers write it.
func within(room *int, replaced int, to []byte, begin int) []byte {
	grown := len(to) - begin - replaced
	if grown > *room {
		return to[:begin]
	}
	*room -= max(grown, 0)
	return to
}
