package collectors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
)

// leases tells of this machine's IPv4 addresses whether a DHCP server gave
// them. What nobody says is not in it.
func (d dnsNames) leases(ctx context.Context) (map[netip.Addr]bool, error) {
	if d.deps.GOOS == "darwin" {
		return d.macLeases(ctx)
	}
	out, err := d.deps.output(ctx, d.settings.Command, "ip", "-j", "-4", "address", "show")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // without iproute2, nobody can be asked
	}
	if err != nil {
		return nil, err
	}
	return parseIPAddresses(out)
}

// parseIPAddresses reads what `ip -j -4 address show` prints. An address with
// a lifetime is "dynamic".
func parseIPAddresses(out []byte) (map[netip.Addr]bool, error) {
	if len(out) > listLimit {
		return nil, fmt.Errorf("read ip: %d MiB are too much to be true", len(out)>>20)
	}
	var interfaces []struct {
		Addresses []struct {
			Local   string `json:"local"`
			Dynamic bool   `json:"dynamic"`
		} `json:"addr_info"`
	}
	if err := json.Unmarshal(out, &interfaces); err != nil {
		return nil, fmt.Errorf("read ip: %w", err)
	}
	leases := make(map[netip.Addr]bool)
	for _, i := range interfaces {
		for _, a := range i.Addresses {
			if addr, err := netip.ParseAddr(a.Local); err == nil && addr.Is4() {
				leases[addr] = a.Dynamic
			}
		}
	}
	return leases, nil
}

// macLeases asks for the lease of each interface. An interface without one
// says so by its exit status; its addresses are of its own settings.
func (d dnsNames) macLeases(ctx context.Context) (map[netip.Addr]bool, error) {
	list, err := d.deps.output(ctx, d.settings.Command, "ipconfig", "getiflist")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	leases := make(map[netip.Addr]bool)
	for name := range strings.FieldsSeq(string(list[:min(len(list), lineLimit)])) {
		address, err := d.deps.tool(ctx, d.settings.Command, "ipconfig", "getifaddr", name)
		if err != nil && ctx.Err() != nil {
			return leases, err
		}
		addr, parseErr := netip.ParseAddr(strings.TrimSpace(string(address.Stdout)))
		if err != nil || parseErr != nil {
			continue // it has no address
		}
		packet, err := d.deps.tool(ctx, d.settings.Command, "ipconfig", "getpacket", name)
		if err != nil && packet.Exit == 0 {
			return leases, err
		}
		leases[addr] = leasedAddress(string(packet.Stdout)) == addr
	}
	return leases, nil
}

// leasedAddress returns the address in what `ipconfig getpacket` prints, the
// last answer of a DHCP server: a line "yiaddr = 192.0.2.11".
func leasedAddress(text string) netip.Addr {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "yiaddr = "); ok {
			if addr, err := netip.ParseAddr(value); err == nil {
				return addr
			}
		}
	}
	return netip.Addr{}
}
