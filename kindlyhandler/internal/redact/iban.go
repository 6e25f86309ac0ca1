package redact

// endOfIBAN returns where the IBAN ends that begins at i with two letters and
// two digits, 0 if it is none. Single spaces or hyphens may be anywhere after
// these.
func endOfIBAN(text []byte, i int) int {
	length := ibanLength(text[i], text[i+1])
	if length == 0 {
		return 0
	}
	var number [maxIBAN]byte
	n := copy(number[:], text[i:i+4])
	for i += 4; n < length; n++ {
		i += separator(text, i)
		if !isAlnumAt(text, i) {
			return 0
		}
		number[n] = text[i]
		i++
	}
	if isAlnumAt(text, i) || !mod97(number[:n]) {
		return 0
	}
	return i
}

// mod97 checks an IBAN (ISO 13616-1, by ISO/IEC 7064 MOD 97-10).
func mod97(number []byte) bool {
	rest := 0
	for i := range number {
		if c := number[(i+4)%len(number)]; isDigit(c) {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c|0x20-'a') + 10) % 97
		}
	}
	return rest == 1
}

const maxIBAN = 33

// ibanLength returns how long the IBANs of a country are, 0 if it has none.
func ibanLength(a, b byte) int {
	a, b = a|0x20-'a', b|0x20-'a'
	if a >= 26 || b >= 26 {
		return 0
	}
	return int(ibanLengths[a][b])
}

// ibanLengths are those of the IBAN registry that SWIFT keeps for ISO 13616, by
// the two letters of the country.
var ibanLengths = func() (lengths [26][26]uint8) {
	for length, countries := range map[uint8]string{
		15: "NO",
		16: "BE",
		18: "DK FI FK FO GL NL SD",
		19: "MK SI",
		20: "AT BA EE KZ LT LU MN XK",
		21: "CH HR LI LV",
		22: "BG BH CR DE GB GE IE ME RS VA",
		23: "AE GI IL IQ OM SO TL",
		24: "AD CZ ES MD PK RO SA SE SK TN VG",
		25: "LY PT ST",
		26: "IS TR",
		27: "BI DJ FR GR IT MC MR SM",
		28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
		29: "BR EG PS QA UA",
		30: "JO KW MU YE",
		31: "MT SC",
		32: "LC",
		33: "RU",
	} {
		for i := 0; i < len(countries); i += 3 {
			lengths[countries[i]-'A'][countries[i+1]-'A'] = length
		}
	}
	return lengths
}()
