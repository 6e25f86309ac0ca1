package redact

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The reference says what is recognised as simply as can be: an expression for
// the form, and the check written down as its definition reads. It tries every
// place in a text, and the longest form there first.
type reference struct {
	form  *regexp.Regexp
	check func(match string) bool
}

const gap = `(?: |-|\x{a0}|&nbsp;)`

var references = map[string]reference{
	"card": {
		regexp.MustCompile(`^(?:[0-9]{13,19}|[0-9]{4}(?:` + gap + `[0-9]+)+)$`),
		func(s string) bool {
			s = onlyAlnum(s)
			return len(s) >= 13 && len(s) <= 19 && networks.MatchString(s) && luhnByTable(s)
		},
	},
	"iban": {
		regexp.MustCompile(`^[A-Za-z]{2}[0-9]{2}(?:` + gap + `?[A-Za-z0-9])+$`),
		func(s string) bool {
			s = strings.ToUpper(onlyAlnum(s))
			if len(s) != ibanLength(s[0], s[1]) {
				return false
			}
			var decimal strings.Builder
			for _, c := range s[4:] + s[:4] {
				n, _ := strconv.ParseInt(string(c), 36, 64)
				decimal.WriteString(strconv.FormatInt(n, 10))
			}
			number, _ := new(big.Int).SetString(decimal.String(), 10)
			return new(big.Int).Mod(number, big.NewInt(97)).Int64() == 1
		},
	},
	"norwegian_id": {
		regexp.MustCompile(`^[0-9]{6}` + gap + `?[0-9]{5}$`),
		func(s string) bool {
			s = onlyAlnum(s)
			day, month := s[:2], s[2:4]
			sum := func(weights string) (sum int) {
				for i := range weights {
					sum += int(weights[i]-'0') * int(s[i]-'0')
				}
				return sum
			}
			return regexp.MustCompile(`^(0[1-9]|[12]\d|3[01]|4[1-9]|[56]\d|7[01])$`).MatchString(day) &&
				regexp.MustCompile(`^(0[1-9]|1[0-2]|4[1-9]|5[0-2]|8[1-9]|9[0-2])$`).MatchString(month) &&
				sum("3761894521")%11 <= 3 && sum("54327654321")%11 == 0
		},
	},
	"swedish_id": {
		regexp.MustCompile(`^(?:18|19|20)?[0-9]{2}(?:0[1-9]|1[0-2])(?:[06][1-9]|[1278][0-9]|3[01]|9[01])(?:\+|` + gap + `)?[0-9]{4}$`),
		func(s string) bool {
			s = onlyAlnum(s)
			return luhnByTable(s[len(s)-10:])
		},
	},
	"danish_id": {
		regexp.MustCompile(`^(?:0[1-9]|[12][0-9]|3[01])(?:0[1-9]|1[0-2])[0-9]{2}` + gap + `?[0-9]{4}$`),
		func(s string) bool {
			if s[6] == '-' {
				return true
			}
			sum := 0
			for i, c := range onlyAlnum(s) {
				sum += int("4327654321"[i]-'0') * int(c-'0')
			}
			return sum%11 == 0
		},
	},
	"finnish_id": {
		regexp.MustCompile(`^(?i)(?:0[1-9]|[12][0-9]|3[01])(?:0[1-9]|1[0-2])[0-9]{2}[-+A-FU-Y][0-9]{3}[0-9A-Y]$`),
		func(s string) bool {
			n, _ := strconv.Atoi(s[:6] + s[7:10])
			return strings.ToUpper(s[10:]) == string("0123456789ABCDEFHJKLMNPRSTUVWXY"[n%31])
		},
	},
}

// networks are the beginnings of issued, as the networks write them.
var networks = regexp.MustCompile(`^(?:` + strings.Join([]string{
	`4(?:.{12}|.{15}|.{18})`,
	`(?:5[1-5]..|222[1-9]|22[3-9].|2[3-6]..|27[01].|2720|5019).{12}`,
	`3[47].{13}`,
	`(?:30[0-5].|3095|36..|3[89]..).{10,15}`,
	`(?:220[0-4]|352[89]|35[3-8].|60..|62..|64[4-9].|65..).{12,15}`,
	`(?:5018|5020|5038|5893|6304|6759|676[1-3]).{9,15}`,
}, "|") + `)$`)

// luhnByTable is Luhn's check with the doubled digits written down.
func luhnByTable(s string) bool {
	sum := 0
	for i := range s {
		digit := s[len(s)-1-i]
		if i%2 == 1 {
			digit = "0246813579"[digit-'0']
		}
		sum += int(digit - '0')
	}
	return sum%10 == 0
}

func onlyAlnum(s string) string {
	s = strings.ReplaceAll(s, "&nbsp;", "")
	return regexp.MustCompile(`[^0-9A-Za-z]`).ReplaceAllString(s, "")
}

// maxForm is longer than any form.
const maxForm = 33 * 7

// redact is what the scan for one name has to do.
func (ref reference) redact(name, text string) string {
	word := regexp.MustCompile(`^[0-9A-Za-z]`)
	var out strings.Builder
	last := 0
	for start := 0; start < len(text); {
		end := 0
		if start == last || !word.MatchString(text[start-1:]) {
			for e := min(len(text), start+maxForm); e > start && end == 0; e-- {
				s := text[start:e]
				if ref.form.MatchString(s) && !word.MatchString(text[e:]) && ref.check(s) {
					end = e
				}
			}
		}
		if phone := start > 0 && text[start-1] == '+' && strings.HasSuffix(name, "_id"); end == 0 || phone {
			start++
			continue
		}
		out.WriteString(text[last:start] + "[" + name + "]")
		start, last = end, end
	}
	return out.String() + text[last:]
}

// numbers are pieces of text that are, or nearly are, what the scan knows.
var numbers = rapid.OneOf(
	rapid.SampledFrom([]string{
		"4111111111111111", "4111 1111 1111 1111", "3782-822463-10005", "6011 1111 1111 1117", "4222222222222", "4111", "1111", "6304000000000000",
		"NO93 8601 1117 947", "NO9386011117947", "DE89370400440532013000", "gb29&nbsp;NWBK 6016 1331 9268 19", "no93", "MT84MALT011000012345MTLCAST001S",
		"23114048690", "231140 48690", "43022014103", "15507600333", "811218-9876", "8112189876", "19811218-9876", "198112189876", "811218+9876", "701063-2391",
		"070750-1200", "0707501200", "070750 1200", "010150-4002", "131052-308T", "010594y9032", "020516C903K", "311299", "5671",
	}),
	rapid.StringMatching(`[0-3][0-9][01][0-9][0-9]{2}[-+ ]?[0-9]{4,5}`),
	rapid.StringMatching(`[0-9]{2}[01][0-9][0-3][0-9][-+ ]?[0-9]{4}`),
	rapid.StringMatching(`[0-3][0-9]0[0-9]{3}[-+A-FU-Y][0-9]{3}[0-9A-Y]`),
	rapid.StringMatching(`(4|5[1-5]|62)[0-9]{2}([ -]?[0-9]{4}){3}`),
	rapid.StringMatching(`(NO|DK|BE)[0-9]{2}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{3,6}`),
	rapid.StringMatching(`[0-9]{1,20}`),
)

// texts join such pieces with what is around them, or with nothing.
var texts = rapid.Custom(func(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.OneOf(
		numbers, numbers,
		rapid.SampledFrom([]string{" ", "-", "\u00a0", "&nbsp;", "+", ".", ",", "a", "K", "NO", "\"", "\n", "é", "@", "_", "me@example.com", "x@", "@b.no", "%40"}),
	), 0, 8).Draw(t, "pieces"), "")
})

// TestReference proves of each name that the scan finds what the reference
// does, and nothing else.
func TestReference(t *testing.T) {
	for name, ref := range references {
		r := newRedactor(t, name)
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				text := texts.Draw(t, "text")
				require.Equal(t, ref.redact(name, text), r.apply(text))
			})
		})
	}
}

// addresses are what an expression takes for e-mail addresses: a name, an at
// sign, and labels of which the last has a letter first and another character.
var addresses = regexp.MustCompile(`[\p{L}\p{N}_%+-][\p{L}\p{N}._%+'-]*(?:@|%40)(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?\.)+\p{L}(?:[\p{L}\p{N}-]*[\p{L}\p{N}])`)

func TestReference_email(t *testing.T) {
	r := newRedactor(t, "email")
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.OneOf(
			rapid.SampledFrom([]string{"me", "o'brien", "kari.nordmann", "bjørn", "a+b_c", "1", "x-"}),
			rapid.SampledFrom([]string{"@", "@example.com", "@b.no", "@blåbær.no.", "%40b.co.uk ", "@localhost", "@1.2"}),
			rapid.SampledFrom([]string{" ", "<", ">", ",", "/", "=", "«", "mailto:", "\n", ";"}),
		), 0, 9).Draw(t, "pieces"), "")
		require.Equal(t, addresses.ReplaceAllString(text, "[email]"), r.apply(text))
	})
}

// TestAll proves of all names together that what has been redacted has nothing
// left in it, and that all of it was redacted.
func TestAll(t *testing.T) {
	r := newRedactor(t, everything...)
	rapid.Check(t, func(t *rapid.T) {
		text := texts.Draw(t, "text")
		redacted := r.apply(text)
		require.Equal(t, redacted, r.apply(redacted), "again")
		for name, ref := range references {
			require.Equal(t, redacted, ref.redact(name, redacted), name)
		}
	})
}
