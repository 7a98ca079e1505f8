package config

import (
	"strings"
	"time"
)

// Host reads load, memory, uptime and clock.
type Host struct {
	Collector `yaml:",inline"`
	NTPServer string `yaml:"ntp_server,omitempty"` // asked how far the clock is off
}

// SetDefaults implements strictyaml.Defaulter.
func (h *Host) SetDefaults() { *h = Host{Collector: common(time.Minute, 30*time.Second)} }

func (c *checker) checkHost(h *Host) {
	if strings.HasPrefix(h.NTPServer, "-") || strings.ContainsAny(h.NTPServer, " \t\n") {
		c.bad(at("collectors", "host", "ntp_server"), "ntp_server wants the name or address of a server, not %q", h.NTPServer)
	}
}
