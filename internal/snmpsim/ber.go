package snmpsim

import (
	"errors"
	"fmt"
)

// errMessage refuses what is not a request that this agent understands.
var errMessage = errors.New("not an SNMP request")

// Tags of SNMP messages (RFC 3416, RFC 3417).
const (
	tagInteger     = 0x02
	tagOctetString = 0x04
	tagNull        = 0x05
	tagOID         = 0x06
	tagSequence    = 0x30
	tagCounter64   = 0x46

	tagNoSuchObject   = 0x80
	tagNoSuchInstance = 0x81
	tagEndOfMIBView   = 0x82

	pduGet      = 0xa0
	pduGetNext  = 0xa1
	pduResponse = 0xa2
	pduGetBulk  = 0xa5
)

// A request is what an agent is asked.
type request struct {
	version      int // 0: v1, 1: v2c
	community    []byte
	kind         byte
	id           []byte // content of the request id, which is sent back as it came
	nonRepeaters int
	repetitions  int
	oids         []OID
	names        [][]byte // the same, as they were sent
}

// next splits the first element off b.
func next(b []byte) (tag byte, content, rest []byte, err error) {
	if len(b) < 2 {
		return 0, nil, nil, errMessage
	}
	tag, length, b := b[0], int(b[1]), b[2:]
	if length >= 0x80 {
		size := length & 0x7f
		if size == 0 || size > 3 || size > len(b) {
			return 0, nil, nil, errMessage
		}
		length = 0
		for _, digit := range b[:size] {
			length = length<<8 | int(digit)
		}
		b = b[size:]
	}
	if length > len(b) {
		return 0, nil, nil, errMessage
	}
	return tag, b[:length], b[length:], nil
}

// expect is next for an element that must have tag.
func expect(b []byte, want byte) (content, rest []byte, err error) {
	tag, content, rest, err := next(b)
	if err == nil && tag != want {
		err = fmt.Errorf("%w: tag %#x instead of %#x", errMessage, tag, want)
	}
	return content, rest, err
}

// integer is next for a small number.
func integer(b []byte) (n int, rest []byte, err error) {
	content, rest, err := expect(b, tagInteger)
	if err != nil || len(content) == 0 || len(content) > 5 {
		return 0, nil, errMessage
	}
	n = int(int8(content[0]))
	for _, digit := range content[1:] {
		n = n<<8 | int(digit)
	}
	return n, rest, nil
}

// parseRequest reads a message. What it returns shares memory with b.
func parseRequest(b []byte) (request, error) {
	var r request
	message, _, err := expect(b, tagSequence)
	if err != nil {
		return r, err
	}
	if r.version, message, err = integer(message); err != nil {
		return r, err
	}
	if r.version != 0 && r.version != 1 {
		return r, fmt.Errorf("%w: version %d", errMessage, r.version)
	}
	if r.community, message, err = expect(message, tagOctetString); err != nil {
		return r, err
	}
	kind, pdu, _, err := next(message)
	if err != nil {
		return r, err
	}
	r.kind = kind
	return r, r.parsePDU(pdu)
}

func (r *request) parsePDU(pdu []byte) (err error) {
	if r.id, pdu, err = expect(pdu, tagInteger); err != nil {
		return err
	}
	if r.nonRepeaters, pdu, err = integer(pdu); err != nil {
		return err
	}
	if r.repetitions, pdu, err = integer(pdu); err != nil {
		return err
	}
	binds, _, err := expect(pdu, tagSequence)
	for err == nil && len(binds) > 0 {
		var bind, name []byte
		if bind, binds, err = expect(binds, tagSequence); err != nil {
			break
		}
		if name, _, err = expect(bind, tagOID); err != nil {
			break
		}
		var oid OID
		if oid, err = decodeOID(name); err == nil {
			r.oids, r.names = append(r.oids, oid), append(r.names, name)
		}
	}
	return err
}

// appendElement appends a tag, a length and content.
func appendElement(b []byte, tag byte, content []byte) []byte {
	return append(appendHeader(b, tag, len(content)), content...)
}

func appendHeader(b []byte, tag byte, length int) []byte {
	b = append(b, tag)
	switch {
	case length < 0x80:
		return append(b, byte(length))
	case length < 0x100:
		return append(b, 0x81, byte(length))
	case length < 0x10000:
		return append(b, 0x82, byte(length>>8), byte(length))
	default:
		return append(b, 0x83, byte(length>>16), byte(length>>8), byte(length))
	}
}

// appendSigned appends n as the content of an INTEGER.
func appendSigned(b []byte, n int64) []byte {
	size := 1
	for size < 8 && (n < -1<<(8*size-1) || n >= 1<<(8*size-1)) {
		size++
	}
	for i := size - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}

// appendUnsigned appends n as the content of a counter or gauge.
func appendUnsigned(b []byte, n uint64) []byte {
	size := 1
	for size < 8 && n>>(8*size) != 0 {
		size++
	}
	if n>>(8*size-1) == 1 { // else it would be negative
		b = append(b, 0)
	}
	for i := size - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}

// appendBind appends a variable binding.
func appendBind(b, name []byte, value []byte) []byte {
	var inner []byte
	inner = appendElement(inner, tagOID, name)
	inner = append(inner, value...)
	return appendElement(b, tagSequence, inner)
}

// appendResponse appends the answer to r.
func appendResponse(b []byte, r request, status, index int, binds []byte) []byte {
	var pdu []byte
	pdu = appendElement(pdu, tagInteger, r.id)
	pdu = appendElement(pdu, tagInteger, appendSigned(nil, int64(status)))
	pdu = appendElement(pdu, tagInteger, appendSigned(nil, int64(index)))
	pdu = appendElement(pdu, tagSequence, binds)
	var message []byte
	message = appendElement(message, tagInteger, []byte{byte(r.version)})
	message = appendElement(message, tagOctetString, r.community)
	message = appendElement(message, pduResponse, pdu)
	return appendElement(b, tagSequence, message)
}
