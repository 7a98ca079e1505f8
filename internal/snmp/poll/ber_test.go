package poll_test

import (
	"bytes"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gosnmp/gosnmp"

	"github.com/minikeeper/minikeeper/internal/snmp/poll"
	"github.com/minikeeper/minikeeper/internal/snmpsim"
)

// TestRequestIsTheLibrarys has gosnmp read our requests.
func TestRequestIsTheLibrarys(t *testing.T) {
	long := ".1.3.6.1.4.1.4294967295" + strings.Repeat(".128", 100)
	for _, version := range []gosnmp.SnmpVersion{gosnmp.Version1, gosnmp.Version2c} {
		for _, kind := range []gosnmp.PDUType{gosnmp.GetRequest, gosnmp.GetNextRequest, gosnmp.GetBulkRequest} {
			for _, oids := range [][]string{{".1.3.6.1.2.1.1.3.0"}, {".1.3.6", long, ".2.999.3", ".0.39"}, make40()} {
				rows := 0
				if kind == gosnmp.GetBulkRequest {
					rows = 25
				}
				ours, err := poll.Request(version, "public", kind, 77, rows, oids)
				if err != nil {
					t.Fatal(err)
				}
				g := &gosnmp.GoSNMP{Version: version, Community: "public"}
				decoded, err := g.SnmpDecodePacket(ours)
				if err != nil {
					t.Fatalf("gosnmp cannot read %x: %v", ours, err)
				}
				if decoded.RequestID != 77 || decoded.Community != "public" || decoded.PDUType != kind || int(decoded.MaxRepetitions) != rows || len(decoded.Variables) != len(oids) {
					t.Errorf("gosnmp reads %v", decoded)
				}
				for i, v := range decoded.Variables {
					if v.Name != oids[i] {
						t.Errorf("gosnmp reads %s, want %s", v.Name, oids[i])
					}
				}
			}
		}
	}
	for _, bad := range []string{"", "1", ".1.x", ".1.3.4294967296", ".3.1", "1..3" + strings.Repeat(".1", 200)} {
		if b, err := poll.Request(gosnmp.Version2c, "public", gosnmp.GetRequest, 1, 0, []string{bad}); err == nil {
			t.Errorf("%q is encoded as %x", bad, b)
		}
	}
}

func make40() []string {
	oids := make([]string, 40)
	for i := range oids {
		oids[i] = fmt.Sprintf(".1.3.6.1.2.1.2.2.1.%d.%d", i, i*1000)
	}
	return oids
}

// TestReplyIsTheLibrarys holds what we make of answers against gosnmp.
func TestReplyIsTheLibrarys(t *testing.T) {
	values := []struct {
		tag   int
		value string
	}{
		{snmpsim.Integer, "-2147483648"},
		{snmpsim.Integer, "-1"},
		{snmpsim.Integer, "2147483647"},
		{snmpsim.Integer, "128"},
		{snmpsim.OctetString, ""},
		{snmpsim.OctetString, strings.Repeat("x", 300)},
		{snmpsim.ObjectID, "1.3.6.1.4.1.4294967295"},
		{snmpsim.ObjectID, "0.0"},
		{snmpsim.IPAddress, "10.0.0.255"},
		{snmpsim.Counter32, "4294967295"},
		{snmpsim.Gauge32, "0"},
		{snmpsim.TimeTicks, "3000000000"},
		{snmpsim.Counter64, strconv.FormatUint(uint64(math.MaxUint64), 10)},
		{snmpsim.Opaque, "\x9f\x78\x04\x3f\xc0\x00\x00"},
		{snmpsim.Opaque, "\x9f\x79\x08\x40\x09\x21\xfb\x54\x44\x2d\x18"},
		{snmpsim.Opaque, "abc"},
		{snmpsim.Null, ""},
	}
	var binds []snmpsim.Bind
	for i, v := range values {
		binds = append(binds, bind(t, fmt.Sprintf("1.3.6.1.4.1.9.%d", i), v.tag, v.value))
	}
	a := start(t, snmpsim.NewDevice(binds...), snmpsim.Faults{})
	for _, kind := range []gosnmp.PDUType{gosnmp.GetBulkRequest, gosnmp.GetRequest} {
		answer := exchange(t, a.Addr(), kind, ".1.3.6.1.4.1.9", ".1.3.6.1.4.1.8")
		g := &gosnmp.GoSNMP{Version: gosnmp.Version2c, Community: "public"}
		want, err := g.SnmpDecodePacket(bytes.Clone(answer))
		if err != nil {
			t.Fatal(err)
		}
		id, status, index, objects, err := poll.Reply(answer, gosnmp.Version2c)
		if err != nil || id != int64(want.RequestID) || status != want.Error || index != int(want.ErrorIndex) {
			t.Errorf("%d %v %d, error %v", id, status, index, err)
		}
		if diff := cmp.Diff(want.Variables, objects); diff != "" {
			t.Errorf("(-gosnmp +ours):\n%s", diff)
		}
	}
}

// exchange sends a request and returns the answer as it came.
func exchange(t testing.TB, address string, kind gosnmp.PDUType, oids ...string) []byte {
	t.Helper()
	rows := 0
	if kind == gosnmp.GetBulkRequest {
		rows = 20
	}
	request, err := poll.Request(gosnmp.Version2c, "public", kind, 1<<30, rows, oids)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(request); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// TestLibraryLink reads over the library's sockets what our own would read.
func TestLibraryLink(t *testing.T) {
	a := start(t, table(t, 5, 30), snmpsim.Faults{})
	for _, version := range []int{1, 2} {
		s, err := client(t, poll.Limits{}).Session(poll.Target{Address: a.Addr(), Version: version, Community: "public", Unconnected: true})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := outline(s.Read(t.Context(), query(5))), "0.0:30 0.1:30 0.2:30 0.3:30 0.4:30 1.0:1 get0:1 get1:0"; got != want {
			t.Errorf("version %d: got %s, want %s", version, got, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func FuzzReply(f *testing.F) {
	a := start(f, table(f, 2, 3), snmpsim.Faults{})
	f.Add(exchange(f, a.Addr(), gosnmp.GetBulkRequest, ".1.3.6.1.2.1"))
	f.Add(exchange(f, a.Addr(), gosnmp.GetRequest, ".1.3.6.1.2.1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _, objects, err := poll.Reply(b, gosnmp.Version2c)
		if err == nil && len(objects) > len(b) {
			t.Errorf("%d objects in %d bytes", len(objects), len(b))
		}
	})
}
