package redact

// Personal numbers of the Nordic countries. A day and a month have to be there,
// but need not be together: 31 February is taken for a date, since what is
// redacted in error costs less than what is not.

// pair returns the number that two digits are.
func pair(b []byte) int { return 10*int(b[0]-'0') + int(b[1]-'0') }

func isDay(day int) bool     { return day >= 1 && day <= 31 }
func isMonth(month int) bool { return month >= 1 && month <= 12 }

// weighted returns the sum of digits, each by its weight.
func weighted(number, weights []byte) (sum int) {
	for i, w := range weights {
		sum += int(number[i]-'0') * int(w)
	}
	return sum
}

// split copies a number of six digits and so many more after them, with or
// without a separator in between, and returns where it ends, 0 if it is none.
func split(to, text []byte, i, run int) (end int) {
	if run == len(to) {
		copy(to, text[i:])
		return i + run
	}
	if run != 6 {
		return 0
	}
	second := i + 6
	second += separator(text, second)
	if second == i+6 || digits(text, second) != len(to)-6 {
		return 0
	}
	copy(to, text[i:i+6])
	return second + copy(to[6:], text[second:])
}

// endOfNorwegian recognises the fødselsnummer, the D-number of those who are
// not resident (day + 40), the help number of hospitals (month + 40) and the
// numbers of the Tax Administration's test persons (month + 80).
func endOfNorwegian(text []byte, i, run int) int {
	var number [11]byte
	end := split(number[:], text, i, run)
	if end == 0 || !isNorwegian(number[:]) {
		return 0
	}
	return end
}

// The weights of the two check digits of a Norwegian number, which have the
// weight 1 themselves.
var (
	norwegianFirst  = []byte{3, 7, 6, 1, 8, 9, 4, 5, 2, 1}
	norwegianSecond = []byte{5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1}
)

// isNorwegian checks both digits. In numbers issued from 2032 on, the first
// sum may leave 1, 2 or 3, too: there would not be enough of them otherwise
// (skatteetaten.github.io/folkeregisteret-api-dokumentasjon, "Nytt fødselsnummer
// fra 2032").
func isNorwegian(number []byte) bool {
	day, month := pair(number), pair(number[2:])
	if day > 40 {
		day -= 40
	}
	switch {
	case month > 80:
		month -= 80
	case month > 40:
		month -= 40
	}
	return isDay(day) && isMonth(month) && weighted(number, norwegianFirst)%11 <= 3 && weighted(number, norwegianSecond)%11 == 0
}

// endOfSwedish recognises the personnummer and the samordningsnummer (day +
// 60), with the century or without. The separator is a hyphen, or a plus from
// the year on in which somebody becomes 100.
func endOfSwedish(text []byte, i, run int) int {
	first := i
	if run == 8 || run == 12 {
		if century := pair(text[i:]); century < 18 || century > 20 {
			return 0
		}
		i, run = i+2, run-2
	}
	var number [10]byte
	var end int
	if plus := i + 6; run == 6 && plus < len(text) && text[plus] == '+' && digits(text, plus+1) == 4 {
		copy(number[:], text[i:plus])
		copy(number[6:], text[plus+1:])
		end = plus + 5
	} else {
		end = split(number[:], text, i, run)
	}
	if end <= first || !isSwedish(number[:]) {
		return 0
	}
	return end
}

func isSwedish(number []byte) bool {
	day := pair(number[4:])
	if day > 60 {
		day -= 60
	}
	return isMonth(pair(number[2:])) && isDay(day) && luhn(number)
}

// endOfDanish recognises the CPR number. Since 2007 there are some whose last
// digit checks nothing, so written with a hyphen, as usual, the date is enough;
// without one it has to check: else every tenth telephone number or time in
// seconds would be one.
func endOfDanish(text []byte, i, run int) int {
	var number [10]byte
	end := split(number[:], text, i, run)
	if end == 0 || !isDay(pair(number[:])) || !isMonth(pair(number[2:])) {
		return 0
	}
	if run == 6 && text[i+6] == '-' || weighted(number[:], danishWeights)%11 == 0 {
		return end
	}
	return 0
}

var danishWeights = []byte{4, 3, 2, 7, 6, 5, 4, 3, 2, 1}

// endOfFinnish recognises the henkilötunnus: the date, a sign for the century
// (more of them since 2023), three digits and a character that checks them.
func endOfFinnish(text []byte, i, run int) int {
	const length = 11
	if run != 6 || len(text)-i < length || !isDay(pair(text[i:])) || !isMonth(pair(text[i+2:])) {
		return 0
	}
	switch century := text[i+6]; {
	case century == '-', century == '+':
	case isLetter(century) && (century|0x20 <= 'f' || century|0x20 >= 'u' && century|0x20 <= 'y'):
	default:
		return 0
	}
	rest := 0
	for _, at := range [...]int{0, 1, 2, 3, 4, 5, 7, 8, 9} {
		c := text[i+at]
		if !isDigit(c) {
			return 0
		}
		rest = (10*rest + int(c-'0')) % 31
	}
	check := text[i+10]
	if isLetter(check) {
		check &^= 0x20
	}
	if check != "0123456789ABCDEFHJKLMNPRSTUVWXY"[rest] {
		return 0
	}
	return i + length
}
