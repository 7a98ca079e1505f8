package collectors

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/minikeeper/minikeeper/internal/dns/dnstest"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// Machines beside a real DNS server that holds the section "zone".
func TestDNS(t *testing.T) {
	for _, path := range scenarioFiles(t, "dns") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			deps, settings := scenario(t, path)
			s := &deps.Settings.DNS
			s.Names, s.Addresses = strings.Fields(settings["names"]), strings.Fields(settings["addresses"])
			if settings["server"] != "none" {
				s.Server = dnstest.Serve(t, zoneOf(t, path))
			}
			c, err := newDNS(deps)
			must(t, err)
			got := collected(t, c, deps.Root)
			if s.Server != "" {
				got = strings.ReplaceAll(got, s.Server, "SERVER")
			}
			got = regexp.MustCompile(`(?m)^(minikeeper_dns_lookup_duration_seconds\{.*\}) .*$`).ReplaceAllString(got, "$1 0")
			testkit.Golden(t, strings.TrimSuffix(path, ".txtar")+".golden", got)
		})
	}
}

func zoneOf(t *testing.T, path string) string {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	must(t, err)
	for _, f := range archive.Files {
		if f.Name == "zone" {
			return string(f.Data)
		}
	}
	return ""
}

// The addresses of this very machine: a name that has one of them leads here,
// one that has another does not.
func TestDNSOfThisMachine(t *testing.T) {
	probe, err := newDNS(Deps{Run: noTools{}, GOOS: "linux"})
	must(t, err)
	here, err := probe.(dnsNames).addresses()
	must(t, err)
	if len(here) == 0 {
		testkit.Missing(t, "this machine has no address but loopback")
	}
	addr, kind := here[0], "A"
	if addr.Is6() {
		kind = "AAAA"
	}
	zone := fmt.Sprintf("me.example.com %s %s\nother.example.com A 203.0.113.250\n", kind, addr)
	c, err := newDNS(Deps{Run: noTools{}, GOOS: "linux", Settings: Settings{DNS: DNSSettings{
		Names: []string{"me.example.com", "other.example.com"}, Server: dnstest.Serve(t, zone),
	}}})
	must(t, err)
	samples, err := c.Collect(t.Context())
	must(t, err)
	got := make(map[string]float64)
	for _, s := range samples {
		got[s.Name+" "+s.Label("name")] = s.Value
	}
	for key, want := range map[string]float64{dnsForward + " me.example.com": 1, dnsReverse + " me.example.com": 0, dnsMatches + " me.example.com": 0, dnsForward + " other.example.com": 0} {
		if v, ok := got[key]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", key, v, ok, want)
		}
	}
}

func TestDNSRefusesSettings(t *testing.T) {
	for name, s := range map[string]DNSSettings{"name": {Names: []string{"a b"}}, "second name": {Names: []string{"a.example.com", "A.example.com."}}, "address": {Addresses: []string{"here"}}} {
		if _, err := newDNS(Deps{Settings: Settings{DNS: s}}); err == nil {
			t.Errorf("a wrong %s was taken", name)
		}
	}
}

func TestDNSServers(t *testing.T) {
	for server, want := range map[string]string{"ns.example.com": "ns.example.com:53", "192.0.2.1": "192.0.2.1:53", "192.0.2.1:5353": "192.0.2.1:5353", "2001:db8::1": "[2001:db8::1]:53", "[2001:db8::1]": "[2001:db8::1]:53"} {
		got, err := dnsNames{settings: DNSSettings{Server: server}}.servers()
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v, %v, want %s", server, got, err, want)
		}
		if _, _, err := net.SplitHostPort(want); err != nil {
			t.Error(err)
		}
	}
}

func FuzzLeases(f *testing.F) {
	f.Add(`[{"ifname":"eth0","addr_info":[{"family":"inet","local":"192.0.2.11","dynamic":true}]}]`)
	f.Add("op = BOOTREPLY\nyiaddr = 192.0.2.11\n")
	f.Fuzz(func(t *testing.T, text string) {
		leases, err := parseIPAddresses([]byte(text))
		for addr := range leases {
			if err != nil || !addr.Is4() {
				t.Errorf("%v, %v", addr, err)
			}
		}
		if addr := leasedAddress(text); addr != (netip.Addr{}) && !strings.Contains(text, "yiaddr") {
			t.Error(addr)
		}
	})
}
