package probes

import (
	"encoding/binary"
	"io"
)

// AFP over TCP has the Data Stream Interface below it: a header of 16 bytes,
// big-endian: flags, command, request id, error or offset, length, reserved.
const (
	dsiHeader    = 16
	dsiStatus    = 3 // DSIGetStatus: what is asked before anybody logs in
	dsiReply     = 1
	dsiRequestID = 0x4D4B
	dsiMaxAnswer = 64 << 10
	afpInfoLeast = 10 // offsets of machine type, versions, methods, icon; flags
)

// statusAFP asks for the server's information, as a client does before it logs
// in.
func statusAFP(conn io.ReadWriter) error {
	request := make([]byte, dsiHeader)
	request[1] = dsiStatus
	binary.BigEndian.PutUint16(request[2:], dsiRequestID)
	if _, err := conn.Write(request); err != nil {
		return err
	}
	header := make([]byte, dsiHeader)
	if _, err := io.ReadFull(conn, header); err != nil {
		return err
	}
	if err := checkAFP(header); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(header[8:])))
	return err
}

// checkAFP says what is wrong with the header of an answer to DSIGetStatus. It
// is pure.
func checkAFP(header []byte) error {
	if len(header) != dsiHeader || header[0] != dsiReply || header[1] != dsiStatus || binary.BigEndian.Uint16(header[2:]) != dsiRequestID {
		return wrongWords("the answer begins with %x, which is not AFP", header)
	}
	if code := int32(binary.BigEndian.Uint32(header[4:])); code != 0 {
		return wrongWords("it refuses to tell its status: error %d", code)
	}
	if n := binary.BigEndian.Uint32(header[8:]); n < afpInfoLeast || n > dsiMaxAnswer {
		return wrongWords("its status has %d bytes", n)
	}
	return nil
}
