// Package dnstest runs a small DNS server on loopback, for tests.
package dnstest

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Serve answers what zone says until the test ends, over UDP and TCP, and
// returns its HOST:PORT. A line of zone is "NAME KIND VALUE", where KIND is A,
// AAAA, PTR or CNAME; or "NAME FAULT", where FAULT is SERVFAIL, REFUSED, SILENT
// (no answer at all), LONG (only TCP has the whole answer), FORGED (the answer
// comes after others that are to something else) or EMPTY. Names that it does
// not hold do not exist.
func Serve(t testing.TB, zone string) string {
	t.Helper()
	s := server{t: t, records: make(map[string][]record), faults: make(map[string]string)}
	for line := range strings.Lines(zone) {
		switch fields := strings.Fields(strings.ToLower(line)); len(fields) {
		case 2:
			s.faults[fields[0]] = fields[1]
		case 3:
			s.records[fields[0]] = append(s.records[fields[0]], record{fields[1], fields[2]})
		}
	}
	tcp, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tcp.Close() })
	udp, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = udp.Close() })
	go s.serveUDP(udp)
	go s.serveTCP(tcp)
	return tcp.Addr().String()
}

type record struct{ kind, value string }

type server struct {
	t       testing.TB
	records map[string][]record // by name, in lower case
	faults  map[string]string
}

func (s server) serveUDP(conn net.PacketConn) {
	data := make([]byte, 512)
	for {
		n, from, err := conn.ReadFrom(data)
		if err != nil {
			return
		}
		for _, answer := range s.answer(data[:n], true) {
			_, _ = conn.WriteTo(answer, from)
		}
	}
}

func (s server) serveTCP(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = conn.Close() }()
			var length [2]byte
			if _, err := io.ReadFull(conn, length[:]); err != nil {
				return
			}
			data := make([]byte, binary.BigEndian.Uint16(length[:]))
			if _, err := io.ReadFull(conn, data); err != nil {
				return
			}
			for _, answer := range s.answer(data, false) {
				_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
			}
		}()
	}
}

// answer returns the messages to send.
func (s server) answer(data []byte, datagram bool) [][]byte {
	var m dnsmessage.Message
	if err := m.Unpack(data); err != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	m.Response, m.RecursionAvailable = true, true
	var before [][]byte
	switch fault := s.faults[name]; fault {
	case "silent":
		return nil
	case "servfail":
		m.RCode = dnsmessage.RCodeServerFailure
	case "refused":
		m.RCode = dnsmessage.RCodeRefused
	case "long":
		if datagram {
			m.Truncated = true
			return [][]byte{s.pack(m)}
		}
	case "forged":
		other := m
		other.ID++
		other.Answers = []dnsmessage.Resource{resource(q.Name, record{"a", "203.0.113.66"})}
		before = [][]byte{{1, 2, 3}, s.pack(other)}
	}
	if m.RCode == dnsmessage.RCodeSuccess {
		m.Answers = s.chain(q, name)
		_, faulty := s.faults[name]
		if _, held := s.records[name]; !held && !faulty {
			m.RCode = dnsmessage.RCodeNameError
		}
	}
	return append(before, s.pack(m))
}

// chain follows aliases to the records that are asked for.
func (s server) chain(q dnsmessage.Question, name string) []dnsmessage.Resource {
	var found []dnsmessage.Resource
	owner := q.Name
	for range 8 {
		alias := ""
		for _, r := range s.records[name] {
			if r.kind == "cname" {
				alias = r.value
			}
			if one := resource(owner, r); r.kind == "cname" || one.Header.Type == q.Type {
				found = append(found, one)
			}
		}
		if alias == "" {
			break
		}
		name, owner = alias, dnsmessage.MustNewName(alias+".")
	}
	return found
}

func resource(owner dnsmessage.Name, r record) dnsmessage.Resource {
	header := dnsmessage.ResourceHeader{Name: owner, Class: dnsmessage.ClassINET, TTL: 60}
	switch r.kind {
	case "a":
		header.Type = dnsmessage.TypeA
		return dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: netip.MustParseAddr(r.value).As4()}}
	case "aaaa":
		header.Type = dnsmessage.TypeAAAA
		return dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(r.value).As16()}}
	case "cname":
		header.Type = dnsmessage.TypeCNAME
		return dnsmessage.Resource{Header: header, Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(r.value + ".")}}
	default:
		header.Type = dnsmessage.TypePTR
		return dnsmessage.Resource{Header: header, Body: &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(r.value + ".")}}
	}
}

func (s server) pack(m dnsmessage.Message) []byte {
	data, err := m.Pack()
	if err != nil {
		s.t.Errorf("pack answer: %v", err)
	}
	return data
}
