package redact

// The lengths of card numbers (ISO/IEC 7812-1), in digits. Nobody issues those
// any more that were shorter than 13.
const (
	minCard = 13
	maxCard = 19
)

// endOfCard returns where the card number ends that begins with a group of
// digits: unbroken, or in groups of which the first has four digits. Of several
// the longest counts.
func endOfCard(text []byte, i int) (end int) {
	var number [maxCard]byte
	n := 0
	for {
		run := digits(text, i)
		if run == 0 || n+run > maxCard {
			return end
		}
		n += copy(number[n:], text[i:i+run])
		i += run
		if n >= minCard && !isAlnumAt(text, i) && isCard(number[:n]) {
			end = i
		}
		gap := separator(text, i)
		if gap == 0 || n >= minCard && n == run {
			return end
		}
		i += gap
	}
}

func isCard(number []byte) bool { return isIssued(number) && luhn(number) }

// isIssued tells whether there are cards of this length that begin so. These
// are the ranges that the networks publish: without them, a tenth of all
// numbers would be cards.
func isIssued(number []byte) bool {
	head, n := 0, len(number)
	for _, c := range number[:4] {
		head = 10*head + int(c-'0')
	}
	for _, r := range &issued {
		if head >= r.from && head <= r.to && n >= r.shortest && n <= r.longest {
			return true
		}
	}
	return false
}

// issued are ranges of the first four digits, and the lengths that are in use.
var issued = [...]struct{ from, to, shortest, longest int }{
	{2200, 2204, 16, 19}, // Mir
	{2221, 2720, 16, 16}, // Mastercard
	{3000, 3059, 14, 19}, // Diners Club
	{3095, 3095, 14, 19},
	{3400, 3499, 15, 15}, // American Express
	{3528, 3589, 16, 19}, // JCB
	{3600, 3699, 14, 19}, // Diners Club
	{3700, 3799, 15, 15}, // American Express
	{3800, 3999, 14, 19}, // Diners Club
	{4000, 4999, 13, 13}, // Visa
	{4000, 4999, 16, 16},
	{4000, 4999, 19, 19},
	{5018, 5018, 13, 19}, // Maestro
	{5019, 5019, 16, 16}, // Dankort
	{5020, 5020, 13, 19}, // Maestro
	{5038, 5038, 13, 19},
	{5100, 5599, 16, 16}, // Mastercard
	{5893, 5893, 13, 19}, // Maestro
	{6000, 6099, 16, 19}, // Discover, RuPay, and Forbrugsforeningen
	{6200, 6299, 16, 19}, // UnionPay
	{6304, 6304, 13, 19}, // Maestro
	{6440, 6599, 16, 19}, // Discover
	{6759, 6759, 13, 19}, // Maestro
	{6761, 6763, 13, 19},
}

// luhn checks the last digit of a number (ISO/IEC 7812-1, annex B).
func luhn(number []byte) bool {
	sum := 0
	for i, c := range number {
		d := int(c - '0')
		if (len(number)-i)%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
