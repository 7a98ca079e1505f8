package probes

import (
	"net/netip"
	"testing"
)

func TestBroadcast(t *testing.T) {
	for prefix, want := range map[string]string{
		"192.0.2.9/24":    "192.0.2.255",
		"192.0.2.9/29":    "192.0.2.15",
		"10.1.2.3/8":      "10.255.255.255",
		"198.51.100.7/32": "198.51.100.7",
	} {
		if got := broadcast(netip.MustParsePrefix(prefix)); got.String() != want {
			t.Errorf("%s: %s, want %s", prefix, got, want)
		}
	}
}
