package config

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"strings"

	"github.com/minikeeper/minikeeper/internal/segments"
)

// MayProbe tells whether /probe may look at host: one that is probed anyway,
// or one that `allow` names. Whoever may scrape must not be able to have this
// machine connect to anything that it reaches.
func (p *Probes) MayProbe(host string) bool {
	if p == nil || host == "" {
		return false
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, known := range p.hosts() {
		if strings.ToLower(known) == host {
			return true
		}
	}
	ip, err := netip.ParseAddr(host)
	for _, allowed := range p.Allow {
		if r, rangeErr := segments.Parse(allowed); rangeErr == nil {
			if err == nil && r.Contains(ip) {
				return true
			}
			continue // a range of addresses is no glob of names
		}
		if ok, _ := path.Match(strings.ToLower(allowed), host); ok && err != nil {
			return true
		}
	}
	return false
}

// hosts are those that are probed.
func (p *Probes) hosts() []string {
	var addresses, urls []string
	for _, t := range p.TCP {
		addresses = append(addresses, t.Address)
	}
	for _, s := range p.SMTP {
		addresses = append(addresses, s.Address)
	}
	for _, d := range p.DistributionPoints {
		urls = append(urls, d.URL)
	}
	for _, j := range p.JSS {
		urls = append(urls, j.URL)
	}
	var hosts []string
	for _, a := range addresses {
		if host, _, err := net.SplitHostPort(a); err == nil {
			hosts = append(hosts, host)
		}
	}
	for _, u := range urls {
		if parsed, err := url.Parse(u); err == nil {
			hosts = append(hosts, parsed.Hostname())
		}
	}
	return hosts
}

// checkAllow checks what /probe may look at.
func (c *checker) checkAllow() {
	for i, allowed := range c.Probes.Allow {
		if _, err := segments.Parse(allowed); err == nil {
			continue
		}
		_, err := path.Match(allowed, "")
		looksNumeric := strings.Trim(allowed, "0123456789./-:") == ""
		if err != nil || allowed == "" || looksNumeric || strings.ContainsAny(allowed, "/:") {
			c.bad(at("probes", "allow", i), "allow[%d] wants a host such as *.example.com or a network such as 10.20.0.0/16, not %q", i, allowed)
		}
	}
}
