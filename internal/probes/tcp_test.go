package probes_test

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper/internal/probes"
)

// smbServer takes a negotiation apart as [MS-SMB2] 2.2.3 has it and answers as
// change wants it.
func smbServer(t testing.TB, change func(answer []byte) []byte) func(net.Conn) {
	return func(conn net.Conn) {
		var length [4]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		request := make([]byte, binary.BigEndian.Uint32(length[:]))
		if _, err := io.ReadFull(conn, request); err != nil {
			t.Errorf("the request is shorter than its length: %v", err)
			return
		}
		u16 := func(at int) int { return int(binary.LittleEndian.Uint16(request[at:])) }
		contexts := int(binary.LittleEndian.Uint32(request[64+28:]))
		if string(request[:4]) != "\xfeSMB" || u16(4) != 64 || u16(12) != 0 || u16(64) != 36 || u16(66) != 5 || contexts%8 != 0 || u16(64+32) != 1 {
			t.Errorf("the request is malformed: % x", request)
			return
		}
		if last := u16(100 + 2*4); last != 0x0311 {
			t.Errorf("the last dialect is %#x", last)
		}
		if kind, size, count, salt := u16(contexts), u16(contexts+2), u16(contexts+8), u16(contexts+10); kind != 1 || size != len(request)-contexts-8 || count != 1 || salt != size-6 {
			t.Errorf("the context at %d is malformed: % x", contexts, request[contexts:])
		}
		answer := make([]byte, 64+65)
		copy(answer, "\xfeSMB")
		binary.LittleEndian.PutUint16(answer[4:], 64)
		binary.LittleEndian.PutUint32(answer[16:], 1)
		binary.LittleEndian.PutUint16(answer[64:], 65)
		binary.LittleEndian.PutUint16(answer[68:], 0x0311)
		answer = change(answer)
		_, _ = conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...))
	}
}

func says(s string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = io.WriteString(conn, s)
	}
}

func afpServer(code uint32, length uint32, body int) func(net.Conn) {
	return func(conn net.Conn) {
		header := make([]byte, 16)
		if _, err := io.ReadFull(conn, header); err != nil || header[0] != 0 || header[1] != 3 {
			return
		}
		header[0] = 1
		binary.BigEndian.PutUint32(header[4:], code)
		binary.BigEndian.PutUint32(header[8:], length)
		_, _ = conn.Write(append(header, make([]byte, body)...))
	}
}

func TestTCP(t *testing.T) {
	same := func(b []byte) []byte { return b }
	set := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte {
			binary.LittleEndian.PutUint32(b[at:], v)
			return b
		}
	}
	const bad = "probe_success 0, problem "
	tests := []struct {
		name, speak string
		server      func(net.Conn) // none listens if nil
		want        string
	}{
		{"a port that is open", "", silent, "probe_success 1"},
		{"a port that is closed", "", nil, bad + "refused"},
		{"SMB", "smb", smbServer(t, same), "probe_success 1"},
		{"SMB that says no", "smb", smbServer(t, set(8, 0xC0000022)), bad + "protocol"},
		{"SMB without a dialect of ours", "smb", smbServer(t, set(8, 0xC00000BB)), bad + "protocol"},
		{"SMB with an invented dialect", "smb", smbServer(t, set(68, 0x0999)), bad + "protocol"},
		{"SMB that echoes the request", "smb", smbServer(t, set(16, 0)), bad + "protocol"},
		{"SMB of another command", "smb", smbServer(t, set(12, 1)), bad + "protocol"},
		{"SMB 1", "smb", smbServer(t, func(b []byte) []byte { b[0] = 0xff; return b }), bad + "protocol"},
		{"SMB that stops", "smb", smbServer(t, func(b []byte) []byte { return b[:66] }), bad + "protocol"},
		{"SMB that hangs", "smb", silent, bad + "timeout"},
		{"SMB that hangs up", "smb", func(net.Conn) {}, bad + "closed"},
		{"a web server on the port of SMB", "smb", says("HTTP/1.1 400 Bad Request\r\n\r\n"), bad + "protocol"},
		{"a length without end", "smb", says("\x00\xff\xff\xff"), bad + "protocol"},
		{"AFP", "afp", afpServer(0, 300, 300), "probe_success 1"},
		{"AFP that says no", "afp", afpServer(0xFFFFEC6A, 0, 0), bad + "protocol"},
		{"AFP that stops", "afp", afpServer(0, 300, 20), bad + "closed"},
		{"AFP of 4 GB", "afp", afpServer(0, 0xffffffff, 20), bad + "protocol"},
		{"AFP that hangs", "afp", silent, bad + "timeout"},
		{"a web server on the port of AFP", "afp", says("HTTP/1.1 400 Bad Request\r\n\r\n"), bad + "protocol"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			address := ""
			if tt.server == nil {
				address = closedPort(t)
			} else {
				address = serve(t, tt.server)
			}
			timeout := patience
			if tt.want == bad+"timeout" {
				timeout = 200 * time.Millisecond
			}
			if got := look(t, probes.TCP{Address: address, Speak: tt.speak}, timeout); got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
	t.Run("a host without an address", func(t *testing.T) {
		if got, want := look(t, probes.TCP{Address: "none.invalid:445"}, patience), bad+"name"; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	})
}
