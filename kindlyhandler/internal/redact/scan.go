package redact

// scanner recognises what is wanted, from left to right. Everything but an
// e-mail address has to be a word of its own: no ASCII letter or digit is
// right before or after it.
type scanner struct {
	wanted [kinds]bool
	any    bool
}

// begins are the bytes by which something is noticed: all that is recognised
// has a digit or an at sign.
var begins = func() (b [256]bool) {
	for c := '0'; c <= '9'; c++ {
		b[c] = true
	}
	b['@'] = true
	return b
}()

// next returns where the next match in text is that does not begin before
// from, and what it is. end is 0 if there is none.
func (s *scanner) next(text []byte, from int) (start, end int, k kind) {
	for i := from; i < len(text); i++ {
		if !begins[text[i]] {
			continue
		}
		if text[i] == '@' {
			if s.wanted[email] {
				if start, end := findEmail(text, from, i, i+1); end > 0 {
					return start, end, email
				}
			}
			continue
		}
		run := digits(text, i)
		if s.wanted[email] && run >= 2 && i > from && string(text[i-1:i+2]) == "%40" {
			if start, end := findEmail(text, from, i-1, i+2); end > 0 {
				return start, end, email
			}
		}
		if start, end, k := s.number(text, from, i, run); end > 0 {
			return start, end, k
		}
		i += run - 1
	}
	return 0, 0, 0
}

// number recognises what begins with a run of digits, or, an IBAN, with two
// letters before them.
func (s *scanner) number(text []byte, from, i, run int) (start, end int, k kind) {
	if i > from && isAlnum(text[i-1]) {
		if s.wanted[iban] && run >= 2 && i-2 >= from && (i-2 == from || !isAlnum(text[i-3])) {
			if end := endOfIBAN(text, i-2); end > 0 {
				return i - 2, end, iban
			}
		}
		return 0, 0, 0
	}
	switch {
	case run == 4 || run >= minCard && run <= maxCard:
		if s.wanted[card] {
			return i, endOfCard(text, i), card
		}
		return 0, 0, 0
	case run < 6 || run > 12 || i > 0 && text[i-1] == '+': // a telephone number
		return 0, 0, 0
	}
	for _, id := range ids {
		if s.wanted[id.kind] {
			if end := id.end(text, i, run); end > 0 && !isAlnumAt(text, end) {
				return i, end, id.kind
			}
		}
	}
	return 0, 0, 0
}

// ids are the personal numbers. Those with the better checks come first.
var ids = [...]struct {
	kind kind
	// end returns where one ends that begins with a run of digits, 0 if there
	// is none.
	end func(text []byte, i, run int) int
}{
	{finnish, endOfFinnish},
	{norwegian, endOfNorwegian},
	{swedish, endOfSwedish},
	{danish, endOfDanish},
}

// digits returns how many digits follow each other from i on.
func digits(text []byte, i int) int {
	n := i
	for n < len(text) && isDigit(text[n]) {
		n++
	}
	return n - i
}

// separator returns the length of what people put between groups of digits: a
// space, which may be one that does not break, or a hyphen. 0: there is none.
func separator(text []byte, i int) int {
	if i >= len(text) {
		return 0
	}
	switch text[i] {
	case ' ', '-':
		return 1
	case 0xc2:
		if i+1 < len(text) && text[i+1] == 0xa0 {
			return 2
		}
	case '&':
		const entity = "&nbsp;"
		if len(text)-i >= len(entity) && string(text[i:i+len(entity)]) == entity {
			return len(entity)
		}
	}
	return 0
}

func isDigit(c byte) bool  { return c-'0' < 10 }
func isLetter(c byte) bool { return c|0x20-'a' < 26 }
func isAlnum(c byte) bool  { return isDigit(c) || isLetter(c) }

func isAlnumAt(text []byte, i int) bool { return i < len(text) && isAlnum(text[i]) }
