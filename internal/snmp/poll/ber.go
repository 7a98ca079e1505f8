package poll

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"

	"github.com/gosnmp/gosnmp"
)

// errReply refuses what is not an answer.
var errReply = errors.New("not an SNMP reply")

// maxNumbers is how many numbers an OID may have (RFC 2578, section 3.5).
const maxNumbers = 128

// appendRequest appends a message of version 1 or 2c. For GETBULK rows are the
// repetitions; else it is 0.
func appendRequest(b []byte, version gosnmp.SnmpVersion, community string, kind gosnmp.PDUType, id int32, rows int, oids []string) ([]byte, error) {
	var err error
	at := make([]int, 0, 4) // where the open elements begin
	open := func(tag byte) { b = append(b, tag); at = append(at, len(b)) }
	closed := func() { b, at = enclose(b, at[len(at)-1]), at[:len(at)-1] }
	open(byte(gosnmp.Sequence))
	b = appendInt(b, int64(version))
	open(byte(gosnmp.OctetString))
	b = append(b, community...)
	closed()
	open(byte(kind))
	b = appendInt(b, int64(id))
	b = appendInt(b, 0)
	b = appendInt(b, int64(rows))
	open(byte(gosnmp.Sequence))
	for _, oid := range oids {
		open(byte(gosnmp.Sequence))
		open(byte(gosnmp.ObjectIdentifier))
		if b, err = appendOID(b, oid); err != nil {
			return nil, err
		}
		closed()
		b = append(b, byte(gosnmp.Null), 0)
		closed()
	}
	closed()
	closed()
	closed()
	return b, nil
}

// enclose puts the length of what begins at from before it.
func enclose(b []byte, from int) []byte {
	switch n := len(b) - from; {
	case n < 0x80:
		return slices.Insert(b, from, byte(n))
	case n < 0x100:
		return slices.Insert(b, from, 0x81, byte(n))
	default:
		return slices.Insert(b, from, 0x82, byte(n>>8), byte(n)) //nolint:gosec // a request fits a datagram
	}
}

func appendInt(b []byte, n int64) []byte {
	size := 1
	for size < 8 && (n < -1<<(8*size-1) || n >= 1<<(8*size-1)) {
		size++
	}
	b = append(b, byte(gosnmp.Integer), byte(size))
	for i := size - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i))) //nolint:gosec // one byte of it
	}
	return b
}

// appendOID appends the content of an OID that may have a leading dot.
func appendOID(b []byte, oid string) ([]byte, error) {
	first, count := uint64(0), 0
	for rest := trimDot(oid); rest != ""; rest = trimDot(rest) {
		var digits string
		digits, rest = number(rest)
		n, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || count == maxNumbers {
			return nil, fmt.Errorf("bad OID %q", oid)
		}
		switch count {
		case 0:
			first = n
		case 1:
			b = appendNumber(b, first*40+n)
		default:
			b = appendNumber(b, n)
		}
		count++
	}
	if count < 2 || first > 2 {
		return nil, fmt.Errorf("bad OID %q", oid)
	}
	return b, nil
}

func appendNumber(b []byte, n uint64) []byte {
	for shift := 35; shift > 0; shift -= 7 {
		if n>>shift != 0 {
			b = append(b, byte(n>>shift)|0x80)
		}
	}
	return append(b, byte(n)&0x7f)
}

// element splits the first element off b.
func element(b []byte) (tag byte, content, rest []byte, err error) {
	if len(b) < 2 {
		return 0, nil, nil, errReply
	}
	tag, length, b := b[0], int(b[1]), b[2:]
	if length >= 0x80 {
		size := length & 0x7f
		if size == 0 || size > 4 || size > len(b) {
			return 0, nil, nil, errReply
		}
		length = 0
		for _, digit := range b[:size] {
			length = length<<8 | int(digit)
		}
		b = b[size:]
	}
	if length > len(b) {
		// MikroTik says one byte more than there is in a string.
		if tag != byte(gosnmp.OctetString) || length != len(b)+1 {
			return 0, nil, nil, errReply
		}
		length = len(b)
	}
	return tag, b[:length], b[length:], nil
}

// elementOf is element for one that must have tag.
func elementOf(b []byte, want byte) (content, rest []byte, err error) {
	tag, content, rest, err := element(b)
	if err == nil && tag != want {
		err = errReply
	}
	return content, rest, err
}

// integerOf splits a number off b.
func integerOf(b []byte) (n int64, rest []byte, err error) {
	content, rest, err := elementOf(b, byte(gosnmp.Integer))
	if err != nil {
		return 0, nil, err
	}
	n, err = signed(content)
	return n, rest, err
}

func signed(content []byte) (int64, error) {
	if len(content) == 0 || len(content) > 8 {
		return 0, errReply
	}
	n := int64(int8(content[0])) //nolint:gosec // the sign
	for _, digit := range content[1:] {
		n = n<<8 | int64(digit)
	}
	return n, nil
}

func unsigned(content []byte) (uint64, error) {
	if len(content) == 9 && content[0] == 0 {
		content = content[1:]
	}
	if len(content) == 0 || len(content) > 8 {
		return 0, errReply
	}
	var n uint64
	for _, digit := range content {
		n = n<<8 | uint64(digit)
	}
	return n, nil
}

// A reply is an answer to a request.
type reply struct {
	status  gosnmp.SNMPError
	index   int
	objects []gosnmp.SnmpPDU
}

// envelope returns the id of an answer and its PDU behind that.
func envelope(b []byte, version gosnmp.SnmpVersion) (id int64, pdu []byte, err error) {
	message, _, err := elementOf(b, byte(gosnmp.Sequence))
	if err != nil {
		return 0, nil, err
	}
	said, message, err := integerOf(message)
	if err != nil || said != int64(version) {
		return 0, nil, errReply
	}
	if _, message, err = elementOf(message, byte(gosnmp.OctetString)); err != nil {
		return 0, nil, err
	}
	if pdu, _, err = elementOf(message, byte(gosnmp.GetResponse)); err != nil {
		return 0, nil, err
	}
	return integerOf(pdu)
}

// decode reads what stands behind the id. Values are as gosnmp has them. hint
// is how many objects there likely are.
func decode(pdu []byte, hint int) (reply, error) {
	status, pdu, err := integerOf(pdu)
	if err != nil {
		return reply{}, err
	}
	index, pdu, err := integerOf(pdu)
	if err != nil {
		return reply{}, err
	}
	binds, _, err := elementOf(pdu, byte(gosnmp.Sequence))
	if err != nil {
		return reply{}, err
	}
	r := reply{status: gosnmp.SNMPError(status), index: int(index), objects: make([]gosnmp.SnmpPDU, 0, hint)} //nolint:gosec // a small number
	names, ends := make([]byte, 0, len(binds)), make([]int, 0, hint)
	for len(binds) > 0 {
		var bind, name []byte
		if bind, binds, err = elementOf(binds, byte(gosnmp.Sequence)); err != nil {
			return reply{}, err
		}
		if name, bind, err = elementOf(bind, byte(gosnmp.ObjectIdentifier)); err != nil {
			return reply{}, err
		}
		if names, err = appendDotted(names, name); err != nil {
			return reply{}, err
		}
		tag, content, _, err := element(bind)
		if err != nil {
			return reply{}, err
		}
		object := gosnmp.SnmpPDU{Type: gosnmp.Asn1BER(tag)}
		if err := decodeValue(&object, content); err != nil {
			return reply{}, err
		}
		r.objects, ends = append(r.objects, object), append(ends, len(names))
	}
	all, from := string(names), 0 // one piece of memory for the names of all
	for i, end := range ends {
		r.objects[i].Name, from = all[from:end], end
	}
	return r, nil
}

// appendDotted appends an OID as text, with a leading dot.
func appendDotted(b, content []byte) ([]byte, error) {
	if len(content) == 0 {
		return nil, errReply
	}
	for count := 0; len(content) > 0; count++ {
		var n uint64
		size := 0
		for {
			if size == len(content) || size == 5 || count == maxNumbers {
				return nil, errReply
			}
			n = n<<7 | uint64(content[size]&0x7f)
			size++
			if content[size-1] < 0x80 {
				break
			}
		}
		if n > math.MaxUint32 {
			return nil, errReply
		}
		content = content[size:]
		b = append(b, '.')
		if count == 0 {
			first := min(n/40, 2)
			b = strconv.AppendUint(b, first, 10)
			b = append(b, '.')
			n -= first * 40
		}
		b = strconv.AppendUint(b, n, 10)
	}
	return b, nil
}

// decodeValue sets the value of an object that has its type already.
func decodeValue(o *gosnmp.SnmpPDU, content []byte) error {
	switch o.Type { //nolint:exhaustive // the others have no value
	case gosnmp.Integer:
		n, err := signed(content)
		o.Value = int(n)
		return err
	case gosnmp.OctetString:
		o.Value = slices.Clone(content)
		if len(content) == 0 {
			o.Value = []byte{}
		}
	case gosnmp.ObjectIdentifier:
		text, err := appendDotted(nil, content)
		o.Value = string(text)
		return err
	case gosnmp.IPAddress:
		return decodeAddress(o, content)
	case gosnmp.Counter32, gosnmp.Gauge32:
		n, err := unsigned(content)
		o.Value = uint(n)
		return err
	case gosnmp.TimeTicks, gosnmp.Uinteger32:
		n, err := unsigned(content)
		o.Value = uint32(n) //nolint:gosec // 32 bits by its type
		return err
	case gosnmp.Counter64:
		n, err := unsigned(content)
		o.Value = n
		return err
	case gosnmp.Opaque:
		return decodeOpaque(o, content)
	}
	return nil
}

func decodeAddress(o *gosnmp.SnmpPDU, content []byte) error {
	if len(content) == 0 {
		return nil // some devices have none
	}
	addr, ok := netip.AddrFromSlice(content)
	if !ok {
		return errReply
	}
	o.Value = addr.Unmap().String()
	return nil
}

// decodeOpaque unwraps the numbers that net-snmp puts into an Opaque.
func decodeOpaque(o *gosnmp.SnmpPDU, content []byte) error {
	if len(content) < 3 || content[0] != gosnmp.AsnExtensionTag {
		o.Value = slices.Clone(content)
		return nil
	}
	tag, inner, _, err := element(content[1:])
	switch {
	case err != nil:
		return err
	case tag == byte(gosnmp.OpaqueFloat) && len(inner) == 4:
		o.Type, o.Value = gosnmp.OpaqueFloat, math.Float32frombits(binary.BigEndian.Uint32(inner))
	case tag == byte(gosnmp.OpaqueDouble) && len(inner) == 8:
		o.Type, o.Value = gosnmp.OpaqueDouble, math.Float64frombits(binary.BigEndian.Uint64(inner))
	default:
		o.Value = slices.Clone(content)
	}
	return nil
}
