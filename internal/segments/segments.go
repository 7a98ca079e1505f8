// Package segments knows which part of the network an address is in. Segments
// may lie in each other: the narrowest that holds the address wins, and of
// equally wide ones that with the lowest start, as Jamf Pro chooses.
package segments

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// A Range is all addresses from From to To, both included, and both of one
// family.
type Range struct{ From, To netip.Addr }

// New returns the range from one address to another.
func New(from, to netip.Addr) (Range, error) {
	r := Range{From: from.Unmap(), To: to.Unmap()}
	switch {
	case !from.IsValid() || !to.IsValid():
		return Range{}, errors.New("an address is missing")
	case from.Zone() != "" || to.Zone() != "":
		return Range{}, errors.New("addresses with zones are no part of a network")
	case r.From.BitLen() != r.To.BitLen():
		return Range{}, fmt.Errorf("%s and %s are of different families", from, to)
	case r.To.Less(r.From):
		return Range{}, fmt.Errorf("%s is lower than %s", to, from)
	}
	return r, nil
}

// Parse reads a network such as 10.20.0.0/16, a range such as
// 10.20.3.5-10.20.3.90, or one address.
func Parse(s string) (Range, error) {
	if strings.Contains(s, "/") {
		return parseNetwork(s)
	}
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	from, err := netip.ParseAddr(strings.TrimSpace(first))
	if err != nil {
		return Range{}, fmt.Errorf("%q is no address", strings.TrimSpace(first))
	}
	to, err := netip.ParseAddr(strings.TrimSpace(last))
	if err != nil {
		return Range{}, fmt.Errorf("%q is no address", strings.TrimSpace(last))
	}
	return New(from, to)
}

func parseNetwork(s string) (Range, error) {
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return Range{}, fmt.Errorf("%q is no network", s)
	case p != p.Masked():
		return Range{}, fmt.Errorf("%s is an address in a network: the network is %s", s, p.Masked())
	case p.Addr().Is4In6():
		return Range{}, fmt.Errorf("%s hides addresses of version 4: write them as such", s)
	}
	last := p.Addr().AsSlice()
	for bit := p.Bits(); bit < p.Addr().BitLen(); bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	to, _ := netip.AddrFromSlice(last)
	return New(p.Addr(), to)
}

// String shows r as a range.
func (r Range) String() string { return r.From.String() + "-" + r.To.String() }

// Contains tells whether ip is in r.
func (r Range) Contains(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.Zone() == "" && ip.BitLen() == r.From.BitLen() && !ip.Less(r.From) && !r.To.Less(ip)
}

// Compare orders ranges by precedence: the narrower first, then the one that
// starts lower.
func Compare(a, b Range) int {
	return cmp.Or(strings.Compare(a.width(), b.width()), a.From.Compare(b.From))
}

// width is the number of addresses in r, less one, as big-endian bytes.
func (r Range) width() string {
	from, to := r.From.As16(), r.To.As16()
	var width [16]byte
	borrow := 0
	for i := len(width) - 1; i >= 0; i-- {
		d := int(to[i]) - int(from[i]) - borrow
		borrow = 0
		if d < 0 {
			d, borrow = d+256, 1
		}
		width[i] = byte(d)
	}
	return string(width[:])
}

// Choose returns the index of the range that ip is in, or -1. Of equal ranges
// the first counts.
func Choose(ip netip.Addr, ranges []Range) int {
	best := -1
	for i, r := range ranges {
		if r.Contains(ip) && (best < 0 || Compare(r, ranges[best]) < 0) {
			best = i
		}
	}
	return best
}
