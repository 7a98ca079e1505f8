// Package dns asks DNS servers for addresses and names.
//
// It asks them directly, over UDP and where an answer is too long over TCP: the
// system's resolver looks into /etc/hosts first, where a server usually finds
// itself, and so says nothing about what its clients are told. It tells "there
// is none" from "nobody knows". What answers hold is not trusted: it must be
// to the question, and is bounded. It imports no other package of this module.
package dns

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// ErrNotFound says that the name does not exist, or has no such records. Every
// other error means that it is not known.
var ErrNotFound = errors.New("no such name")

// A Resolver asks servers, one after the other until one knows.
type Resolver struct {
	Servers  []string      // HOST:PORT each
	Patience time.Duration // with one question to one server; 2 s if zero
}

const (
	defaultPatience = 2 * time.Second
	tries           = 2  // of one server, since datagrams get lost
	recordLimit     = 64 // records of one answer that are looked at
)

// Addresses returns the addresses of name, IPv4 and IPv6, in order.
func (r Resolver) Addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	var found []netip.Addr
	for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		records, err := r.ask(ctx, name, kind)
		if err != nil {
			return nil, fmt.Errorf("look up %s: %w", name, err)
		}
		for _, record := range records {
			switch body := record.Body.(type) {
			case *dnsmessage.AResource:
				found = append(found, netip.AddrFrom4(body.A))
			case *dnsmessage.AAAAResource:
				found = append(found, netip.AddrFrom16(body.AAAA).Unmap())
			}
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("look up %s: %w", name, ErrNotFound)
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return slices.Compact(found), nil
}

// Names returns the names that addr has in reverse, without the dot at the end.
func (r Resolver) Names(ctx context.Context, addr netip.Addr) ([]string, error) {
	records, err := r.ask(ctx, reverseName(addr), dnsmessage.TypePTR)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", addr, err)
	}
	var found []string
	for _, record := range records {
		if body, ok := record.Body.(*dnsmessage.PTRResource); ok {
			found = append(found, strings.TrimSuffix(body.PTR.String(), "."))
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("look up %s: %w", addr, ErrNotFound)
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// reverseName returns the name under which addr has its names.
func reverseName(addr netip.Addr) string {
	addr = addr.Unmap()
	bytes := addr.AsSlice()
	slices.Reverse(bytes)
	var b strings.Builder
	for _, v := range bytes {
		if addr.Is4() {
			fmt.Fprintf(&b, "%d.", v)
			continue
		}
		fmt.Fprintf(&b, "%x.%x.", v&0xf, v>>4)
	}
	if addr.Is4() {
		return b.String() + "in-addr.arpa"
	}
	return b.String() + "ip6.arpa"
}

// ValidName tells whether name can be asked for.
func ValidName(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }) {
			return false
		}
	}
	return true
}

// ask asks the servers in turn, and returns the answer of the first that knows.
func (r Resolver) ask(ctx context.Context, name string, kind dnsmessage.Type) ([]dnsmessage.Resource, error) {
	if !ValidName(name) {
		return nil, fmt.Errorf("%q is not a name", name)
	}
	if len(r.Servers) == 0 {
		return nil, errors.New("no server to ask")
	}
	q, err := newQuestion(name, kind)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, server := range r.Servers {
		records, err := r.askServer(ctx, server, q)
		if err == nil || errors.Is(err, ErrNotFound) {
			return records, err
		}
		errs = append(errs, fmt.Errorf("ask %s: %w", server, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

func (r Resolver) askServer(ctx context.Context, server string, q question) ([]dnsmessage.Resource, error) {
	var err error
	for range tries {
		var m dnsmessage.Message
		m, err = r.exchange(ctx, "udp", server, q)
		if err == nil && m.Truncated {
			m, err = r.exchange(ctx, "tcp", server, q)
		}
		if err == nil {
			return answers(m)
		}
		if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() || ctx.Err() != nil {
			break // only silence is worth asking again
		}
	}
	return nil, err
}

// answers judges an answer. One with nothing in it means that the name has no
// such records.
func answers(m dnsmessage.Message) ([]dnsmessage.Resource, error) {
	switch m.RCode {
	case dnsmessage.RCodeSuccess:
		return m.Answers[:min(len(m.Answers), recordLimit)], nil
	case dnsmessage.RCodeNameError:
		return nil, ErrNotFound
	default:
		return nil, fmt.Errorf("it answers %s", m.RCode)
	}
}

// A question is what is sent.
type question struct {
	id     uint16
	what   dnsmessage.Question
	packed []byte
}

func newQuestion(name string, kind dnsmessage.Type) (question, error) {
	full, err := dnsmessage.NewName(strings.TrimSuffix(name, ".") + ".")
	if err != nil {
		return question{}, err
	}
	var id [2]byte
	rand.Read(id[:])
	q := question{id: binary.BigEndian.Uint16(id[:]), what: dnsmessage.Question{Name: full, Type: kind, Class: dnsmessage.ClassINET}}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: q.id, RecursionDesired: true}, Questions: []dnsmessage.Question{q.what}}
	q.packed, err = m.Pack()
	return q, err
}

// isAnswer tells whether m answers q: anybody may send a datagram.
func (q question) isAnswer(m dnsmessage.Message) bool {
	return m.Response && m.ID == q.id && len(m.Questions) == 1 && m.Questions[0].Type == q.what.Type &&
		m.Questions[0].Class == q.what.Class && strings.EqualFold(m.Questions[0].Name.String(), q.what.Name.String())
}

// exchange sends q and waits for its answer.
func (r Resolver) exchange(ctx context.Context, network, server string, q question) (dnsmessage.Message, error) {
	patience := r.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, server)
	if err != nil {
		return dnsmessage.Message{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	packed := q.packed
	if network == "tcp" {
		packed = append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)
	}
	if _, err := conn.Write(packed); err != nil {
		return dnsmessage.Message{}, err
	}
	for {
		data, err := receive(conn, network)
		if err != nil {
			return dnsmessage.Message{}, err
		}
		var m dnsmessage.Message
		unpackErr := m.Unpack(data)
		switch {
		case unpackErr == nil && q.isAnswer(m):
			return m, nil
		case network == "tcp":
			return dnsmessage.Message{}, errors.New("its answer is not to the question")
		} // over UDP the right one may be still to come
	}
}

// receive returns one message.
func receive(conn net.Conn, network string) ([]byte, error) {
	if network == "udp" {
		data := make([]byte, 4096)
		n, err := conn.Read(data)
		return data[:n], err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	data := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(conn, data)
	return data, err
}

// ParseResolvConf returns the servers that /etc/resolv.conf names.
func ParseResolvConf(text string) []string {
	var servers []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" || len(servers) == 3 { // as resolver(5) has it
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil {
			servers = append(servers, netip.AddrPortFrom(addr, 53).String())
		}
	}
	return servers
}
