package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper/internal/dns"
	"github.com/minikeeper/minikeeper/internal/dns/dnstest"
)

const zone = `
lon-mini-1.example.com A 192.0.2.11
lon-mini-1.example.com A 192.0.2.10
lon-mini-1.example.com AAAA 2001:db8::11
share.example.com CNAME lon-mini-1.example.com
loop.example.com CNAME loop.example.com
long.example.com A 192.0.2.77
long.example.com LONG
forged.example.com A 192.0.2.78
forged.example.com FORGED
broken.example.com SERVFAIL
refused.example.com REFUSED
empty.example.com EMPTY
silent.example.com SILENT
11.2.0.192.in-addr.arpa PTR lon-mini-1.example.com
11.2.0.192.in-addr.arpa PTR LON.example.com
1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR lon-mini-1.example.com
`

func TestAddresses(t *testing.T) {
	r := dns.Resolver{Servers: []string{dnstest.Serve(t, zone)}, Patience: 200 * time.Millisecond}
	for name, want := range map[string]string{
		"lon-mini-1.example.com":  "[192.0.2.10 192.0.2.11 2001:db8::11]",
		"LON-mini-1.example.COM.": "[192.0.2.10 192.0.2.11 2001:db8::11]",
		"share.example.com":       "[192.0.2.10 192.0.2.11 2001:db8::11]",
		"long.example.com":        "[192.0.2.77]",
		"forged.example.com":      "[192.0.2.78]",
		"nobody.example.com":      "no such name",
		"empty.example.com":       "no such name",
		"loop.example.com":        "no such name",
		"broken.example.com":      "it answers RCodeServerFailure",
		"refused.example.com":     "it answers RCodeRefused",
		"silent.example.com":      "i/o timeout",
		"":                        `"" is not a name`,
		"a..b":                    `"a..b" is not a name`,
		"a b":                     `"a b" is not a name`,
	} {
		got, err := r.Addresses(t.Context(), name)
		if err == nil && fmt.Sprint(got) != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %s", name, got, err, want)
		}
		if errors.Is(err, dns.ErrNotFound) != (want == "no such name") {
			t.Errorf("%s: %v is taken for what it is not", name, err)
		}
	}
}

func TestNames(t *testing.T) {
	r := dns.Resolver{Servers: []string{dnstest.Serve(t, zone)}}
	for addr, want := range map[string]string{
		"192.0.2.11":        "[lon-mini-1.example.com lon.example.com]",
		"::ffff:192.0.2.11": "[lon-mini-1.example.com lon.example.com]",
		"2001:db8::11":      "[lon-mini-1.example.com]",
		"192.0.2.12":        "no such name",
	} {
		got, err := r.Names(t.Context(), netip.MustParseAddr(addr))
		if err == nil && fmt.Sprint(got) != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %s", addr, got, err, want)
		}
	}
}

// A server that is down or does not know is passed over; what the first one
// knows is not asked again.
func TestServersInTurn(t *testing.T) {
	down, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := down.Close(); err != nil {
		t.Fatal(err)
	}
	broken := dnstest.Serve(t, "lon-mini-1.example.com SERVFAIL\n")
	good := dnstest.Serve(t, zone)
	r := dns.Resolver{Servers: []string{down.LocalAddr().String(), broken, good}}
	if got, err := r.Addresses(t.Context(), "lon-mini-1.example.com"); err != nil || len(got) != 3 {
		t.Errorf("%v, %v", got, err)
	}
	r.Servers = []string{dnstest.Serve(t, ""), good}
	if _, err := r.Addresses(t.Context(), "lon-mini-1.example.com"); !errors.Is(err, dns.ErrNotFound) {
		t.Errorf("another was asked: %v", err)
	}
	if _, err := (dns.Resolver{}).Addresses(t.Context(), "a"); err == nil {
		t.Error("nobody was asked and answered")
	}
}

func TestAskingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r := dns.Resolver{Servers: []string{dnstest.Serve(t, zone), dnstest.Serve(t, zone)}, Patience: time.Hour}
	start := time.Now()
	if _, err := r.Addresses(ctx, "silent.example.com"); err == nil || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestParseResolvConf(t *testing.T) {
	got := dns.ParseResolvConf("# nameserver 192.0.2.9\nsearch example.com\nnameserver 192.0.2.1\nnameserver fe80::1%en0\nnameserver\nnameserver here\nnameserver 2001:db8::1 # second\nnameserver 192.0.2.4\n")
	if diff := cmp.Diff([]string{"192.0.2.1:53", "[fe80::1%en0]:53", "[2001:db8::1]:53"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzResolvConf(f *testing.F) {
	f.Add("nameserver 192.0.2.1\nnameserver fe80::1%en0\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, server := range dns.ParseResolvConf(text) {
			if _, err := netip.ParseAddrPort(server); err != nil {
				t.Error(err)
			}
		}
		if dns.ValidName(text) {
			if _, err := (dns.Resolver{Servers: []string{"127.0.0.1:0"}, Patience: time.Nanosecond}).Addresses(t.Context(), text); err == nil {
				t.Error("nobody answered, and it was an answer")
			}
		}
	})
}
