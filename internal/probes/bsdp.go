package probes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/bsdp"
)

// BSDP asks for NetBoot images as a Mac does that shows its startup disks: it
// sends INFORM[LIST] and reads the ACKs (Apple's BSDP.doc). Nothing is
// selected, so no server reserves anything.
//
// Answers come to a port below 1024, so this needs root (or, on Linux,
// CAP_NET_BIND_SERVICE).
type BSDP struct {
	// Interface is the network interface to ask on, such as en0; empty for the
	// one that leads to Address.
	Interface string

	// Address is the HOST:PORT of the server to ask. Where it is empty all
	// servers of the interface's network are asked, as a Mac does it.
	Address string

	// Model is the model of Mac that asks, such as Macmini6,1: a server may
	// offer an image to some models only.
	Model string
}

// NoImages is the problem of a server that answers and offers nothing.
const NoImages = "no_images"

const bsdpImage = "minikeeper_bsdp_image_info"

// Bounds of a conversation.
const (
	bsdpAgain     = 2 * time.Second        // until the question is asked once more: datagrams get lost
	bsdpSettle    = 500 * time.Millisecond // after an answer, for those of other servers and for the rest of a long list
	bsdpMaxImages = 256
	bsdpMaxPacket = 64 << 10
	bsdpLowest    = 1000 // of the ports that answers are taken at, up to bsdp.HighestReplyPort
)

// Probe implements Prober.
func (p BSDP) Probe(ctx context.Context) Result {
	us, problem := p.place(ctx)
	if problem != nil {
		return failed(problem)
	}
	conn, port, problem := listenBelow1024(ctx, us.ip)
	if problem != nil {
		return failed(problem)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()

	question, err := bsdp.Ask(bsdp.Client{Hardware: us.hardware, Address: us.ip, ReplyPort: port, Model: p.Model})
	if err != nil {
		return failed(problemf(Misconfigured, "ask for images: %w", err))
	}
	return judgeOffers(ctx, askForImages(ctx, conn, us.peer, question))
}

// A bsdpPlace is from where to whom is asked.
type bsdpPlace struct {
	hardware net.HardwareAddr
	ip       netip.Addr
	peer     netip.AddrPort
}

// place finds out from where to whom is asked.
func (p BSDP) place(ctx context.Context) (bsdpPlace, *Problem) {
	var us bsdpPlace
	if p.Address != "" {
		// A UDP "connection" sends nothing: it looks up the name and the way.
		conn, err := new(net.Dialer).DialContext(ctx, "udp4", p.Address)
		if err != nil {
			return us, connection(ctx, "find the way", err)
		}
		us.peer = addrPort(conn.RemoteAddr())
		us.ip = addrPort(conn.LocalAddr()).Addr()
		_ = conn.Close()
	}
	if err := us.useInterface(p.Interface); err != nil {
		return us, problemf(Misconfigured, "look at the network interfaces: %w", err)
	}
	return us, nil
}

func addrPort(a net.Addr) netip.AddrPort {
	if udp, ok := a.(*net.UDPAddr); ok {
		at := udp.AddrPort()
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	}
	return netip.AddrPort{}
}

// useInterface takes the addresses of the interface called name, or if that is
// empty of the one that has the address in us.
func (us *bsdpPlace) useInterface(name string) error {
	interfaces, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range interfaces {
		if name != "" && i.Name != name {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			return err
		}
		for _, a := range addresses {
			prefix, err := netip.ParsePrefix(a.String())
			if err != nil || !prefix.Addr().Is4() || name == "" && prefix.Addr() != us.ip {
				continue
			}
			us.hardware, us.ip = i.HardwareAddr, prefix.Addr()
			if !us.peer.IsValid() {
				us.peer = netip.AddrPortFrom(broadcast(prefix), bsdp.ServerPort)
			}
			return nil
		}
	}
	if name == "" {
		return fmt.Errorf("none has the address %s", us.ip)
	}
	return fmt.Errorf("there is no %q with an IPv4 address", name)
}

// broadcast is the address of all in p. (255.255.255.255 would go where the
// default route leads, whichever interface is meant.)
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(b)
}

// listenBelow1024 takes a port that the protocol allows for answers. Port 68
// is left to the machine's own DHCP client.
func listenBelow1024(ctx context.Context, ip netip.Addr) (*net.UDPConn, uint16, *Problem) {
	var last error
	for port := uint16(bsdp.HighestReplyPort); port >= bsdpLowest; port-- {
		conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp4", netip.AddrPortFrom(ip, port).String())
		if udp, ok := conn.(*net.UDPConn); ok && err == nil {
			return udp, port, nil
		}
		last = err
		if errors.Is(err, fs.ErrPermission) {
			break
		}
	}
	return nil, 0, problemf(Misconfigured, "listen below port 1024, which needs root: %w", last)
}

// bsdpOffers are what came until nobody had more to say.
type bsdpOffers struct {
	answered bool
	images   []bsdpOffer
	strays   int   // datagrams that were no answer to the question
	wrong    error // what is wrong with the first answer that is not right
	broken   error // of the connection
}

// A bsdpOffer is one image that a server offers.
type bsdpOffer struct {
	server netip.Addr
	id     uint32 // all 32 bits; the index is the lower 16
	name   string // valid UTF-8
}

// askForImages asks, and once more until somebody answers.
func askForImages(ctx context.Context, conn *net.UDPConn, peer netip.AddrPort, question bsdp.Question) bsdpOffers {
	var o bsdpOffers
	buffer := make([]byte, bsdpMaxPacket)
	for ctx.Err() == nil && !o.answered {
		if _, err := conn.WriteToUDPAddrPort(question.Datagram, peer); err != nil {
			o.broken = err
			return o
		}
		until := time.Now().Add(bsdpAgain)
		for len(o.images) < bsdpMaxImages {
			_ = conn.SetReadDeadline(until)
			if ctx.Err() != nil {
				break // the deadline of ctx came before the one just set
			}
			n, from, err := conn.ReadFromUDPAddrPort(buffer)
			if isTimeout(err) {
				break
			}
			if err != nil {
				o.broken = err
				return o
			}
			if o.take(buffer[:n], from.Addr().Unmap(), question) {
				until = time.Now().Add(bsdpSettle)
			}
		}
	}
	return o
}

// take keeps what a datagram offers, and tells whether it is an answer.
func (o *bsdpOffers) take(datagram []byte, from netip.Addr, question bsdp.Question) bool {
	images, err := question.Read(datagram)
	if errors.Is(err, bsdp.ErrNotAnswer) {
		o.strays++
		return false
	}
	if err != nil && o.wrong == nil {
		o.wrong = err
	}
	o.answered = true
	for _, i := range images {
		offer := bsdpOffer{server: from, id: i.ID, name: strings.ToValidUTF8(i.Name, "\uFFFD")}
		if len(o.images) < bsdpMaxImages && !slices.Contains(o.images, offer) {
			o.images = append(o.images, offer)
		}
	}
	return true
}

// judgeOffers says what a client would make of what came.
func judgeOffers(ctx context.Context, o bsdpOffers) Result {
	r := Result{Serves: len(o.images) > 0}
	for _, i := range o.images {
		r.Facts = append(r.Facts, minikeeper.Sample{Name: bsdpImage, Value: 1, Labels: []minikeeper.Label{
			{Name: "responder", Value: i.server.String()},
			{Name: "image_id", Value: strconv.FormatUint(uint64(i.id), 10)},
			{Name: "index", Value: strconv.FormatUint(uint64(i.id&0xFFFF), 10)},
			{Name: "name", Value: i.name},
		}})
	}
	switch {
	case o.wrong != nil:
		r.Problems = append(r.Problems, problemf(Protocol, "ask for images: %w", o.wrong))
	case r.Serves:
	case o.answered:
		r.Problems = append(r.Problems, problemf(NoImages, "ask for images: there are none for this model of Mac"))
	case o.broken != nil:
		r.Problems = append(r.Problems, connection(ctx, "ask for images", o.broken))
	default:
		r.Problems = append(r.Problems, problemf(TimedOut, "ask for images: no answer (and %d datagrams that are none)", o.strays))
	}
	return r
}
