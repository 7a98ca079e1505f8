package snmpsim

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A Bind is one object of a device: its OID and its value in BER.
type Bind struct {
	OID   OID
	value []byte // tag, length, content
}

// Tags of values, as .snmprec files and [NewBind] have them.
const (
	Integer     = 2
	OctetString = 4
	Null        = 5
	ObjectID    = 6
	IPAddress   = 64
	Counter32   = 65
	Gauge32     = 66
	TimeTicks   = 67
	Opaque      = 68
	Counter64   = 70
)

// NewBind returns the object at oid. value is written as in .snmprec files:
// numbers in decimals, octets as they are, OIDs and addresses dotted.
func NewBind(oid string, tag int, value string) (Bind, error) {
	parsed, err := ParseOID(oid)
	if err != nil {
		return Bind{}, err
	}
	content, err := encode(tag, value)
	if err != nil {
		return Bind{}, fmt.Errorf("value of %s: %w", oid, err)
	}
	return Bind{parsed, appendElement(nil, byte(tag), content)}, nil
}

// encode returns the BER content of value.
func encode(tag int, value string) ([]byte, error) {
	switch tag {
	case Integer:
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is not an integer", value)
		}
		return appendSigned(nil, n), nil
	case Counter32, Gauge32, TimeTicks, Counter64:
		bits := 32
		if tag == Counter64 {
			bits = 64
		}
		n, err := strconv.ParseUint(value, 10, bits)
		if err != nil {
			return nil, fmt.Errorf("%q is not an unsigned number of %d bits", value, bits)
		}
		return appendUnsigned(nil, n), nil
	case OctetString, Opaque:
		return []byte(value), nil
	case Null:
		return nil, nil
	case ObjectID:
		oid, err := ParseOID(value)
		if err != nil {
			return nil, err
		}
		return appendOID(nil, oid), nil
	case IPAddress:
		addr, err := netip.ParseAddr(value)
		if err != nil || !addr.Is4() {
			return nil, fmt.Errorf("%q is not an IPv4 address", value)
		}
		return addr.AsSlice(), nil
	default:
		return nil, fmt.Errorf("unknown tag %d", tag)
	}
}

// A Device is what agents show. It does not change, and may be shared.
type Device struct {
	oids    []OID    // in order
	names   [][]byte // the same, encoded
	binds   [][]byte // whole variable bindings, encoded
	counter []bool   // a Counter64, which v1 cannot show
}

// NewDevice returns a device that shows binds. Of two at one OID the later is
// shown.
func NewDevice(binds ...Bind) *Device {
	sorted := slices.Clone(binds)
	slices.Reverse(sorted)
	slices.SortStableFunc(sorted, func(a, b Bind) int { return a.OID.Compare(b.OID) })
	sorted = slices.CompactFunc(sorted, func(a, b Bind) bool { return a.OID.Compare(b.OID) == 0 })
	d := &Device{}
	for _, b := range sorted {
		name := appendOID(nil, b.OID)
		d.oids, d.names = append(d.oids, b.OID), append(d.names, name)
		d.binds = append(d.binds, appendBind(nil, name, b.value))
		d.counter = append(d.counter, b.value[0] == tagCounter64)
	}
	return d
}

// Len returns how many objects the device has.
func (d *Device) Len() int { return len(d.oids) }

// after returns the index of the first object behind oid, or Len.
func (d *Device) after(oid OID) int {
	i, found := slices.BinarySearchFunc(d.oids, oid, OID.Compare)
	if found {
		i++
	}
	return i
}

// at returns the index of the object at oid.
func (d *Device) at(oid OID) (int, bool) {
	return slices.BinarySearchFunc(d.oids, oid, OID.Compare)
}

// maxLine bounds a line of a recording.
const maxLine = 1 << 20

// ReadRecord reads a recording: lines of OID|TAG|VALUE as snmpsim has them. An
// "x" after the tag says that the value is in hexadecimal. Lines may stand in
// any order; empty ones and those that begin with # are skipped. Values that
// snmpsim would vary (TAG:MODULE) are refused.
func ReadRecord(r io.Reader) (*Device, error) {
	var binds []Bind
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		bind, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		binds = append(binds, bind)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	return NewDevice(binds...), nil
}

func parseLine(line string) (Bind, error) {
	oid, rest, ok := strings.Cut(line, "|")
	tag, value, ok2 := strings.Cut(rest, "|")
	if !ok || !ok2 {
		return Bind{}, errors.New("not OID|TAG|VALUE")
	}
	number, isHex := strings.CutSuffix(tag, "x")
	n, err := strconv.ParseUint(number, 10, 8)
	if err != nil {
		return Bind{}, fmt.Errorf("unknown tag %q", tag)
	}
	if !isHex {
		return NewBind(oid, int(n), value)
	}
	raw, err := hex.DecodeString(value)
	if err != nil {
		return Bind{}, fmt.Errorf("%q is not hexadecimal", value)
	}
	parsed, err := ParseOID(oid)
	if err != nil {
		return Bind{}, err
	}
	return Bind{parsed, appendElement(nil, byte(n), raw)}, nil
}
