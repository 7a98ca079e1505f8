package snmpsim

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// OID is an object identifier.
type OID []uint32

// maxOID is how many numbers an OID may have (RFC 2578, section 3.5).
const maxOID = 128

// ParseOID reads "1.3.6.1" or ".1.3.6.1".
func ParseOID(s string) (OID, error) {
	var oid OID
	for part := range strings.SplitSeq(strings.TrimPrefix(s, "."), ".") {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("bad OID %q", s)
		}
		oid = append(oid, uint32(n))
	}
	if len(oid) < 2 || len(oid) > maxOID || oid[0] > 2 {
		return nil, fmt.Errorf("bad OID %q", s)
	}
	return oid, nil
}

// String shows oid without a leading dot.
func (oid OID) String() string {
	var b []byte
	for i, n := range oid {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendUint(b, uint64(n), 10)
	}
	return string(b)
}

// Compare orders OIDs as agents do.
func (oid OID) Compare(other OID) int { return slices.Compare(oid, other) }

// appendOID appends the BER content of oid.
func appendOID(b []byte, oid OID) []byte {
	b = appendBase128(b, oid[0]*40+oid[1])
	for _, n := range oid[2:] {
		b = appendBase128(b, n)
	}
	return b
}

func appendBase128(b []byte, n uint32) []byte {
	for shift := 28; shift > 0; shift -= 7 {
		if n>>shift != 0 {
			b = append(b, byte(n>>shift)|0x80)
		}
	}
	return append(b, byte(n)&0x7f)
}

// decodeOID reads the BER content of an OID.
func decodeOID(content []byte) (OID, error) {
	var oid OID
	for len(content) > 0 {
		var n uint64
		size := 0
		for {
			if size == len(content) || size == binary.MaxVarintLen32 {
				return nil, errMessage
			}
			n = n<<7 | uint64(content[size]&0x7f)
			size++
			if content[size-1] < 0x80 {
				break
			}
		}
		content = content[size:]
		if n > 1<<32-1 || len(oid) == maxOID {
			return nil, errMessage
		}
		if oid == nil {
			first := min(n/40, 2)
			oid = append(oid, uint32(first), uint32(n-first*40))
			continue
		}
		oid = append(oid, uint32(n))
	}
	if oid == nil {
		return nil, errMessage
	}
	return oid, nil
}
