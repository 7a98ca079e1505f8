package snmp

import (
	"strconv"
	"strings"
)

// A hintPart is one specification of a DISPLAY-HINT (RFC 2579, section 3.1).
type hintPart struct {
	repeats   bool // the first octet says how often
	length    int  // octets that each application takes
	format    byte // d, x, o, a or t
	separator string
	end       string // after the repetitions
}

// displayHint renders octets as hint says. The last part is repeated as long
// as there are octets. It returns false if the hint is not understood.
func displayHint(hint string, octets []byte) (string, bool) {
	var b strings.Builder
	var part hintPart
	for rest := hint; len(octets) > 0; {
		if rest != "" {
			var ok bool
			if part, rest, ok = nextHintPart(rest); !ok {
				return "", false
			}
		} else if part.length == 0 && !part.repeats {
			return "", false // it would go on for ever
		}
		var ok bool
		if octets, ok = part.apply(&b, octets); !ok {
			return "", false
		}
	}
	return b.String(), hint != "" && b.Len() > 0
}

// nextHintPart splits the first part off hint.
func nextHintPart(hint string) (part hintPart, rest string, ok bool) {
	hint, part.repeats = strings.CutPrefix(hint, "*")
	digits := len(hint) - len(strings.TrimLeft(hint, "0123456789"))
	length, err := strconv.ParseUint(hint[:digits], 10, 16)
	if err != nil || digits == len(hint) || !strings.Contains("dxoat", hint[digits:digits+1]) {
		return part, "", false
	}
	part.length, part.format = int(length), hint[digits]
	hint = hint[digits+1:]
	part.separator, hint = literal(hint)
	if part.repeats && part.separator != "" {
		part.end, hint = literal(hint)
	}
	return part, hint, true
}

// literal splits a character off hint that begins no new part.
func literal(hint string) (char, rest string) {
	if hint == "" || hint[0] == '*' || '0' <= hint[0] && hint[0] <= '9' {
		return "", hint
	}
	return hint[:1], hint[1:]
}

// apply renders the octets that the part is for, and returns the others.
func (p hintPart) apply(b *strings.Builder, octets []byte) (rest []byte, ok bool) {
	times := 1
	if p.repeats {
		times, octets = int(octets[0]), octets[1:]
	}
	for i := 0; i < times && len(octets) > 0; i++ {
		chunk := octets[:min(p.length, len(octets))]
		octets = octets[len(chunk):]
		if !p.write(b, chunk) {
			return nil, false
		}
		if last := i == times-1; len(octets) > 0 && (!last || p.end == "") {
			b.WriteString(p.separator)
		}
	}
	if len(octets) > 0 {
		b.WriteString(p.end)
	}
	return octets, true
}

// write renders the octets of one application.
func (p hintPart) write(b *strings.Builder, chunk []byte) bool {
	const digits = "0123456789ABCDEF"
	switch p.format {
	case 'x':
		for _, octet := range chunk {
			b.WriteByte(digits[octet>>4])
			b.WriteByte(digits[octet&15])
		}
	case 'd', 'o':
		if len(chunk) > 8 {
			return false
		}
		var n uint64
		for _, octet := range chunk {
			n = n<<8 | uint64(octet)
		}
		base := 10
		if p.format == 'o' {
			base = 8
		}
		b.WriteString(strconv.FormatUint(n, base))
	default:
		b.Write(chunk)
	}
	return true
}
