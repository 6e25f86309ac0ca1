package kindlyhandler

import (
	"fmt"
	"iter"
	"regexp"
	"strings"
)

// maxTag is the longest language tag that is looked at, in bytes. RFC 5646,
// section 4.4.1, needs 35.
const maxTag = 64

var languageTag = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$`)

// CheckLanguage tells whether tag is a language tag (BCP 47) as [Texts] takes
// it, or what to write instead.
func CheckLanguage(tag string) error {
	if len(tag) <= maxTag && languageTag.MatchString(tag) {
		return nil
	}
	if hyphens := strings.ReplaceAll(tag, "_", "-"); hyphens != tag && CheckLanguage(hyphens) == nil {
		return fmt.Errorf("%q is not a language tag: write %s", tag, hyphens)
	}
	return fmt.Errorf("%q is not a language tag: write one such as nb, sv or pt-BR", tag)
}

// norwegian has what a chat in one form of Norwegian falls back to: whoever
// reads one reads the others, and would rather than a foreign language. `no`
// does not say which form it is; most that is called so is Bokmål.
var norwegian = map[string][]string{
	"nb": {"no", "nn"},
	"nn": {"no", "nb"},
	"no": {"nb", "nn"},
}

// fallbacks yields the tags, in lower case, of the texts for a chat in a
// language, the best one first: nb-NO, nb, the other forms of Norwegian, and
// the empty tag. Kindly documents two letters; underscores are taken for
// hyphens.
func fallbacks(language string) iter.Seq[string] {
	return func(yield func(string) bool) {
		tag := ""
		if len(language) <= maxTag {
			tag = strings.ToLower(strings.ReplaceAll(language, "_", "-"))
		}
		for {
			if !yield(tag) || tag == "" {
				return
			}
			cut := strings.LastIndexByte(tag, '-')
			if cut < 0 {
				break
			}
			tag = tag[:cut]
		}
		for _, other := range norwegian[tag] {
			if !yield(other) {
				return
			}
		}
		yield("")
	}
}
