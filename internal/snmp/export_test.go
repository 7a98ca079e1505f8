package snmp

// DisplayHint renders octets.
func DisplayHint(hint string, octets []byte) (string, bool) { return displayHint(hint, octets) }

// ParseDate reads text by a pattern.
func ParseDate(pattern, text string) (float64, error) {
	p, err := newDatePattern(pattern)
	if err != nil {
		return 0, err
	}
	return p.parse(text)
}

// IndexText renders an index of one type.
func IndexText(index, typ string) string {
	text, _, _ := indexText(parseIndex(index), indexSpec{typ: typ})
	return text
}
