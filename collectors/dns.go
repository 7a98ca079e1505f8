package collectors

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/dns"
)

// DNSSettings are the settings of the dns collector.
type DNSSettings struct {
	Names     []string          // that clients know this machine by
	Server    string            // HOST or HOST:PORT to ask; those of /etc/resolv.conf if empty
	Addresses []string          // that names should have; those that the machine has if empty
	Command   map[string]string // paths of ip and ipconfig
}

// Names of the dns collector's metrics.
const (
	dnsMatches  = "minikeeper_dns_matches"
	dnsForward  = "minikeeper_dns_forward_matches"
	dnsReverse  = "minikeeper_dns_reverse_matches"
	dnsAddress  = "minikeeper_dns_address_info"
	dnsLeased   = "minikeeper_dns_address_leased"
	dnsDuration = "minikeeper_dns_lookup_duration_seconds"
)

// maxDNSAddresses bounds how many addresses of one name are shown and asked for.
const maxDNSAddresses = 16

// dnsNames compares what DNS says of this machine's names with the addresses
// that it has.
type dnsNames struct {
	deps     Deps
	settings DNSSettings
	expected []netip.Addr // nil for those that the machine has
}

func newDNS(d Deps) (Collector, error) {
	s := d.Settings.DNS
	seen := make(map[string]bool)
	for _, name := range s.Names {
		key := strings.ToLower(strings.TrimSuffix(name, "."))
		if !dns.ValidName(name) || seen[key] {
			return nil, fmt.Errorf("dns: %q is not a name, or is given twice", name)
		}
		seen[key] = true
	}
	c := dnsNames{deps: d, settings: s}
	for _, text := range s.Addresses {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("dns: %q is not an address", text)
		}
		c.expected = append(c.expected, addr.Unmap())
	}
	return c, nil
}

// Families implements Collector.
func (dnsNames) Families() []minikeeper.Family {
	gauge := func(name, help string, labels ...string) minikeeper.Family {
		return minikeeper.Family{Name: name, Help: help, Type: minikeeper.Gauge, Labels: labels}
	}
	return []minikeeper.Family{
		gauge(dnsMatches, "Whether the name leads to this machine and its addresses lead back to the name (1) or not (0).", "name"),
		gauge(dnsForward, "Whether the name has addresses, and all of them are this machine's (1), or not (0).", "name"),
		gauge(dnsReverse, "Whether each address of the name that is this machine's leads back to the name (1) or not (0).", "name"),
		gauge(dnsAddress, "An address that DNS gives the name; here says whether this machine has it. Always 1.", "name", "address", "here"),
		gauge(dnsLeased, "Whether this machine has the address from a DHCP server, which may give it another one (1), or by its own settings (0).", "address"),
		gauge(dnsDuration, "How long DNS took to answer for the name.", "name"),
	}
}

// Collect implements Collector.
func (d dnsNames) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	if len(d.settings.Names) == 0 {
		return nil, nil
	}
	servers, err := d.servers()
	if err != nil {
		return nil, err
	}
	here, err := d.addresses()
	if err != nil {
		return nil, err
	}
	leases, leaseErr := d.leases(ctx)
	errs := []error{leaseErr}
	var samples []minikeeper.Sample
	shown := make(map[netip.Addr]bool)
	resolver := dns.Resolver{Servers: servers}
	for _, name := range d.settings.Names {
		found, err := lookAtName(ctx, resolver, name, here)
		samples, errs = append(samples, found.samples()...), append(errs, err)
		for _, addr := range found.ours {
			if leased, known := leases[addr]; known && !shown[addr] {
				shown[addr] = true
				samples = append(samples, sample(dnsLeased, bool01(leased), "address", addr.String()))
			}
		}
	}
	return samples, errors.Join(errs...)
}

// servers returns whom to ask.
func (d dnsNames) servers() ([]string, error) {
	if server := d.settings.Server; server != "" {
		if _, _, err := net.SplitHostPort(server); err != nil {
			server = net.JoinHostPort(strings.Trim(server, "[]"), "53")
		}
		return []string{server}, nil
	}
	text, err := os.ReadFile(d.deps.path("/etc/resolv.conf"))
	if err != nil {
		return nil, fmt.Errorf("find DNS servers: %w", err)
	}
	servers := dns.ParseResolvConf(string(text[:min(len(text), listLimit)]))
	if len(servers) == 0 {
		return nil, errors.New("find DNS servers: none in /etc/resolv.conf")
	}
	return servers, nil
}

// addresses returns those that names should have: not the ones that nobody
// else can reach.
func (d dnsNames) addresses() ([]netip.Addr, error) {
	if len(d.expected) > 0 {
		return d.expected, nil
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list addresses of this machine: %w", err)
	}
	var here []netip.Addr
	for _, a := range all {
		prefix, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		if addr, ok := netip.AddrFromSlice(prefix.IP); ok && !addr.Unmap().IsLoopback() && !addr.IsLinkLocalUnicast() {
			here = append(here, addr.Unmap())
		}
	}
	return here, nil
}

// A nameState is what DNS says of one name. What is nil is not known.
type nameState struct {
	name             string
	addresses, ours  []netip.Addr
	forward, reverse *bool
	took             time.Duration
}

func lookAtName(ctx context.Context, r dns.Resolver, name string, here []netip.Addr) (nameState, error) {
	s := nameState{name: strings.TrimSuffix(name, ".")}
	start := time.Now()
	addresses, err := r.Addresses(ctx, name)
	switch {
	case errors.Is(err, dns.ErrNotFound): // an answer like any other
		s.took, s.forward = time.Since(start), new(false)
		return s, nil
	case err != nil:
		return s, err
	}
	s.took = time.Since(start)
	s.addresses = addresses[:min(len(addresses), maxDNSAddresses)]
	for _, addr := range s.addresses {
		if slices.Contains(here, addr) {
			s.ours = append(s.ours, addr)
		}
	}
	s.forward = new(len(s.ours) == len(addresses))
	if len(s.ours) == 0 {
		return s, nil
	}
	s.reverse, err = leadsBack(ctx, r, s.name, s.ours)
	return s, err
}

// leadsBack tells whether each of addrs has the name in reverse; nil if that
// is not known of one, and all others have it.
func leadsBack(ctx context.Context, r dns.Resolver, name string, addrs []netip.Addr) (*bool, error) {
	var errs []error
	for _, addr := range addrs {
		names, err := r.Names(ctx, addr)
		switch {
		case err != nil && !errors.Is(err, dns.ErrNotFound):
			errs = append(errs, err)
		case !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }):
			return new(false), errors.Join(errs...)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return new(true), nil
}

func (s nameState) samples() []minikeeper.Sample {
	if s.forward == nil {
		return nil
	}
	samples := []minikeeper.Sample{
		sample(dnsDuration, s.took.Seconds(), "name", s.name),
		sample(dnsForward, bool01(*s.forward), "name", s.name),
	}
	if s.reverse != nil {
		samples = append(samples, sample(dnsReverse, bool01(*s.reverse), "name", s.name))
	}
	if !*s.forward || s.reverse != nil {
		samples = append(samples, sample(dnsMatches, bool01(*s.forward && *s.reverse), "name", s.name))
	}
	for _, addr := range s.addresses {
		here := "no"
		if slices.Contains(s.ours, addr) {
			here = "yes"
		}
		samples = append(samples, sample(dnsAddress, 1, "name", s.name, "address", addr.String(), "here", here))
	}
	return samples
}
