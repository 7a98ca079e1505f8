package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// DNS compares the names of this machine with its addresses.
type DNS struct {
	Collector `yaml:",inline"`
	Names     []string `yaml:"names"`               // that clients know this machine by
	Server    string   `yaml:"server,omitempty"`    // asked in place of those in /etc/resolv.conf
	Addresses []string `yaml:"addresses,omitempty"` // that names should have, in place of those that the machine has
}

// SetDefaults implements strictyaml.Defaulter.
func (d *DNS) SetDefaults() { *d = DNS{Collector: common(5*time.Minute, 30*time.Second)} }

func (c *checker) checkDNS(d *DNS) {
	path := at("collectors", "dns")
	if len(d.Names) == 0 {
		c.bad(under(path, "names"), "names is missing: it lists what clients call this machine, such as [lon-mini-1.example.com]")
	}
	for i, name := range d.Names {
		same := func(other string) bool {
			return strings.EqualFold(strings.TrimSuffix(other, "."), strings.TrimSuffix(name, "."))
		}
		switch {
		case strings.Trim(name, ".") == "" || len(name) > 254 || strings.Contains(name, "..") || strings.ContainsAny(name, "/:@ \t\n"):
			c.bad(under(path, "names", i), "names[%d] wants a name such as lon-mini-1.example.com, not %q", i, name)
		case slices.ContainsFunc(d.Names[:i], same):
			c.bad(under(path, "names", i), "names[%d] is %q again", i, name)
		}
	}
	for i, address := range d.Addresses {
		if _, err := netip.ParseAddr(address); err != nil {
			c.bad(under(path, "addresses", i), "addresses[%d] wants an address such as 192.0.2.11, not %q", i, address)
		}
	}
}
