package probes

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
)

// SMB over TCP ([MS-SMB2]): four bytes of length, a header of 64 bytes, then
// the body. Numbers are little-endian but for the length before it all.
const (
	smbHeader      = 64
	smbMaxAnswer   = 64 << 10
	smbNegotiate   = 0
	smbIsResponse  = 1 << 0 // in the flags
	smbOK          = 0
	smbNoDialect   = 0xC00000BB // STATUS_NOT_SUPPORTED: it is SMB, but with other dialects
	smbSigning     = 1          // the client can sign
	smbBodySize    = 36
	smbContextFrom = smbHeader + smbBodySize + 2*5 + 2 // where the contexts begin; a multiple of 8
)

// spoken is the problem that err of a conversation shows.
func spoken(ctx context.Context, doing string, err error) *Problem {
	if is[*protocolError](err) {
		return problemf(Protocol, "%s: %w", doing, err)
	}
	return connection(ctx, doing, err)
}

// negotiateSMB asks for the dialect and expects one. Nobody is logged in.
func negotiateSMB(conn io.ReadWriter) error {
	if _, err := conn.Write(smbRequest()); err != nil {
		return err
	}
	var length [4]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(length[:])
	if length[0] != 0 || n < smbHeader || n > smbMaxAnswer {
		return wrongWords("the answer begins with %x, which is no SMB message", length)
	}
	answer := make([]byte, n)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	return checkSMB(answer)
}

// smbRequest asks for any dialect from 2.0.2 to 3.1.1.
func smbRequest() []byte {
	b := make([]byte, 4, 256)
	b = append(b, 0xFE, 'S', 'M', 'B')
	b = binary.LittleEndian.AppendUint16(b, smbHeader)
	b = append(b, make([]byte, 8)...) // credit charge, status, command: negotiate
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = append(b, make([]byte, smbHeader-16)...) // flags, next command, ids, signature

	dialects := []uint16{0x0202, 0x0210, 0x0300, 0x0302, 0x0311}
	b = binary.LittleEndian.AppendUint16(b, smbBodySize)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(dialects)))
	b = binary.LittleEndian.AppendUint16(b, smbSigning)
	b = append(b, make([]byte, 2+4)...)  // reserved, capabilities
	b = append(b, "minikeeper-probe"...) // the client's id, 16 bytes
	b = binary.LittleEndian.AppendUint32(b, smbContextFrom)
	b = binary.LittleEndian.AppendUint16(b, 1) // contexts
	b = append(b, 0, 0)
	for _, d := range dialects {
		b = binary.LittleEndian.AppendUint16(b, d)
	}
	b = append(b, 0, 0) // up to a multiple of 8

	// 3.1.1 needs one context: the hash that guards the negotiation, SHA-512.
	const salt = 32
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint16(b, 6+salt)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint16(b, salt)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = append(b, make([]byte, salt)...) // no secret is made from it
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// checkSMB says what is wrong with an answer to smbRequest. It is pure.
func checkSMB(answer []byte) error {
	switch {
	case len(answer) < smbHeader:
		return wrongWords("the answer has %d bytes, which is no SMB message", len(answer))
	case bytes.HasPrefix(answer, []byte("\xFFSMB")):
		return wrongWords("it speaks SMB 1 only, which present clients refuse")
	case !bytes.HasPrefix(answer, []byte("\xFESMB")):
		return wrongWords("the answer begins with %x, which is not SMB", answer[:4])
	}
	status := binary.LittleEndian.Uint32(answer[8:])
	command := binary.LittleEndian.Uint16(answer[12:])
	flags := binary.LittleEndian.Uint32(answer[16:])
	switch {
	case command != smbNegotiate || flags&smbIsResponse == 0:
		return wrongWords("the answer is no answer to a negotiation (command %d, flags %#x)", command, flags)
	case status == smbNoDialect:
		return wrongWords("it speaks none of the dialects 2.0.2 to 3.1.1")
	case status != smbOK:
		return wrongWords("it refuses to negotiate: status %#x", status)
	case len(answer) < smbHeader+6:
		return wrongWords("the answer ends before it names a dialect")
	}
	switch dialect := binary.LittleEndian.Uint16(answer[smbHeader+4:]); dialect {
	case 0x0202, 0x0210, 0x0300, 0x0302, 0x0311:
		return nil
	default:
		return wrongWords("it chose the dialect %#x, which nobody offered", dialect)
	}
}
