package nbi

import (
	"errors"
	"fmt"
	"math"
	"net"
	"strings"

	"howett.net/plist"
)

// plistLimit bounds a plist: a real one has 2 to 10 kB.
const plistLimit = 1 << 20

// A format is how a property list is written.
type format int

const (
	formatXML    format = plist.XMLFormat
	formatBinary format = plist.BinaryFormat
)

// decode reads a property list with a dictionary at its top. The decoder
// panics on some damaged input; that is an error like any other. Its messages
// are not passed on, since they may quote what a plist holds.
func decode(data []byte) (dict map[string]any, f format, err error) {
	defer func() {
		if recover() != nil {
			dict, f, err = nil, 0, errors.New("decode property list: damaged")
		}
	}()
	if len(data) > plistLimit {
		return nil, 0, fmt.Errorf("decode property list: more than %d bytes", plistLimit)
	}
	number, err := plist.Unmarshal(data, &dict)
	switch {
	case err != nil:
		return nil, 0, errors.New("decode property list: damaged")
	case number != plist.XMLFormat && number != plist.BinaryFormat:
		return nil, 0, errors.New("decode property list: neither XML nor binary")
	case dict == nil:
		return nil, 0, errors.New("decode property list: no dictionary")
	}
	return dict, format(number), nil
}

// boolOf returns v if it is a boolean, else otherwise: bootpd takes nothing
// else for one.
func boolOf(v any, otherwise bool) bool {
	if b, ok := v.(bool); ok {
		return b
	}
	return otherwise
}

// intOf returns the 32-bit integer that v is; a real number without a fraction
// is one too.
func intOf(v any) (int, bool) {
	switch n := v.(type) {
	case uint64:
		return int(n & math.MaxInt32), n <= math.MaxInt32
	case int64:
		return int(int32(n)), n >= math.MinInt32 && n <= math.MaxInt32
	case float64:
		if n != math.Trunc(n) || math.Abs(n) > math.MaxInt32 {
			return 0, false
		}
		return int(n), true
	default:
		return 0, false
	}
}

// stringsOf returns v if it is an array of strings.
func stringsOf(v any) ([]string, bool) {
	array, ok := v.([]any)
	if !ok {
		return nil, false
	}
	list := make([]string, 0, len(array))
	for _, element := range array {
		s, ok := element.(string)
		if !ok {
			return nil, false
		}
		list = append(list, s)
	}
	return list, true
}

// isMAC tells whether s is six bytes in hexadecimal with colons between them,
// where leading zeros may be missing: what ether_aton(3) takes.
func isMAC(s string) bool {
	parts := strings.Split(s, ":")
	if len(parts) != 6 {
		return false
	}
	for n, part := range parts {
		if len(part) == 1 {
			parts[n] = "0" + part
		}
	}
	_, err := net.ParseMAC(strings.Join(parts, ":"))
	return err == nil
}
