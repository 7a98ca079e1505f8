package snmp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gosnmp/gosnmp"

	"github.com/minikeeper/minikeeper/internal/snmp/poll"
)

// mantissa is where float64 begins to lose whole numbers. Counters are wrapped
// there, which rate() takes as a reset rather than as a jump.
const mantissa = 1 << 53

// number returns the value of o; false if o is not a number.
func number(o *poll.Object) (float64, bool) {
	switch v := o.Value.(type) {
	case int:
		return float64(v), true
	case uint:
		return float64(v), true
	case uint32:
		return float64(v), true
	case uint64:
		if o.Type == gosnmp.Counter64 {
			v %= mantissa
		}
		return float64(v), true
	case float32:
		return float64(v), true
	case float64:
		return v, true
	default:
		return 0, false
	}
}

// integer returns the value of o as the part of an OID would have it; 0 if it
// is not a whole number.
func integer(o *poll.Object) int64 {
	switch v := o.Value.(type) {
	case int:
		return int64(v)
	case uint:
		return int64(v) //nolint:gosec // 32 bits on the wire
	case uint32:
		return int64(v)
	case uint64:
		return int64(v) //nolint:gosec // what does not fit is no part of an OID
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return 0
		}
		return n
	default:
		return 0
	}
}

// A manner says how a value becomes a text.
type manner struct {
	typ  string
	hint string // DISPLAY-HINT
	enum map[int]string
}

// text returns the value of o. clean is false if it was not UTF-8 and had to
// be changed.
func (m manner) text(o *poll.Object) (s string, clean bool) {
	switch v := o.Value.(type) {
	case int, uint, uint32, uint64:
		if m.typ == "EnumAsInfo" && m.enum != nil {
			n := integer(o)
			if name, ok := m.enum[int(n)]; ok {
				return name, true
			}
			return strconv.FormatInt(n, 10), true
		}
		if u, ok := v.(uint64); ok {
			return strconv.FormatUint(u, 10), true
		}
		return strconv.FormatInt(integer(o), 10), true
	case float32:
		return strconv.FormatFloat(float64(v), 'f', -1, 32), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case string:
		if o.Type == gosnmp.ObjectIdentifier {
			v = strings.TrimPrefix(v, ".")
		}
		return valid(v)
	case []byte:
		return valid(m.octets(v))
	default:
		return "", true
	}
}

// octets renders a string of octets.
func (m manner) octets(v []byte) string {
	typ := m.typ
	switch typ {
	case "", "Bits", "OctetString":
		if m.hint != "" {
			if s, ok := displayHint(m.hint, v); ok {
				return s
			}
		}
		return octetString(v)
	case "DisplayString":
		return string(v)
	}
	if !isIndexType(typ) {
		return octetString(v)
	}
	// As in an index, each octet is a number.
	numbers := make([]int, len(v))
	for i, octet := range v {
		numbers[i] = int(octet)
	}
	s, _, _ := indexText(numbers, indexSpec{typ: typ})
	return s
}

func octetString(v []byte) string {
	if len(v) == 0 {
		return ""
	}
	return fmt.Sprintf("0x%X", v)
}

// valid replaces what is not UTF-8.
func valid(s string) (text string, clean bool) {
	if utf8.ValidString(s) {
		return s, true
	}
	return strings.ToValidUTF8(s, "\uFFFD"), false
}

// dateAndTime reads DateAndTime of RFC 2579 as seconds since 1970.
func dateAndTime(o *poll.Object) (float64, error) {
	v, ok := o.Value.([]byte)
	if !ok {
		return 0, fmt.Errorf("a date is a string of octets, not %v", o.Type)
	}
	zone := time.UTC
	switch len(v) {
	case 8: // without a zone; that it is UTC is a guess
	case 11:
		text := fmt.Sprintf("%c%02d%02d", v[8], v[9], v[10])
		t, err := time.Parse("-0700", text)
		if err != nil {
			return 0, fmt.Errorf("bad zone %q", text)
		}
		zone = t.Location()
	default:
		return 0, fmt.Errorf("a date has 8 or 11 octets, not %d", len(v))
	}
	t := time.Date(int(binary.BigEndian.Uint16(v)), time.Month(v[2]), int(v[3]),
		int(v[4]), int(v[5]), int(v[6]), int(v[7])*1e8, zone)
	return float64(t.Unix()), nil
}

// ntpTimestamp reads the seconds of a timestamp of NTP (RFC 5905) as seconds
// since 1970.
func ntpTimestamp(o *poll.Object) (float64, error) {
	const between1900And1970 = 2_208_988_800
	v, ok := o.Value.([]byte)
	if !ok || len(v) < 8 {
		return 0, errors.New("a timestamp has 8 octets")
	}
	return float64(int64(binary.BigEndian.Uint32(v)) - between1900And1970), nil
}
