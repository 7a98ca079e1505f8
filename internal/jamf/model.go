// Package jamf reads from a Jamf Pro server which distribution points there
// are, and which part of the network uses which of them. It only reads, and
// keeps no password longer than a request takes.
package jamf

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/minikeeper/minikeeper/internal/segments"
)

// A DistributionPoint is a file share that clients get packages from.
type DistributionPoint struct {
	ID          string
	Name        string
	Address     string // of its server: a name or an IP
	URL         string // over HTTP or HTTPS; empty if that is off
	Principal   bool   // used by segments that name none
	Failover    string // the name of another one; empty if there is none
	LoadSharing bool   // clients get this one or its failover, at random
	Incomplete  bool   // only its name could be read
}

// Cloud is the name of the distribution point that is no file share. No list
// shows it.
const Cloud = "Cloud Distribution Point"

// A Segment is a part of the network.
type Segment struct {
	ID                string
	Name              string
	Range             segments.Range
	DistributionPoint string // its name; empty for the principal one
}

// An Inventory is what a server holds.
type Inventory struct {
	DistributionPoints []DistributionPoint // by name
	Segments           []Segment           // by name
}

// Point returns the distribution point called name.
func (v Inventory) Point(name string) (DistributionPoint, bool) {
	i := slices.IndexFunc(v.DistributionPoints, func(d DistributionPoint) bool { return d.Name == name })
	if i < 0 || name == "" {
		return DistributionPoint{}, false
	}
	return v.DistributionPoints[i], true
}

// Serving returns the distribution point that clients in s get, and tells
// whether it is the segment's own. The principal one serves where a segment
// names none, or one that is not there.
func (v Inventory) Serving(s Segment) (point DistributionPoint, own, found bool) {
	if s.DistributionPoint == Cloud {
		return DistributionPoint{Name: Cloud}, true, true
	}
	if point, own = v.Point(s.DistributionPoint); own {
		return point, true, true
	}
	for _, d := range v.DistributionPoints {
		if d.Principal {
			return d, false, true
		}
	}
	return DistributionPoint{}, false, false
}

// incomplete tells whether the principal distribution point may be one of
// which only the name is known.
func (v Inventory) incomplete() bool {
	return slices.ContainsFunc(v.DistributionPoints, func(d DistributionPoint) bool { return d.Incomplete })
}

// Locate returns the segment that a client at ip is in.
func (v Inventory) Locate(ip netip.Addr) (Segment, bool) {
	ranges := make([]segments.Range, len(v.Segments))
	for i, s := range v.Segments {
		ranges[i] = s.Range
	}
	i := segments.Choose(ip, ranges)
	if i < 0 {
		return Segment{}, false
	}
	return v.Segments[i], true
}

// sort puts v in an order that does not depend on the server.
func (v Inventory) sort() {
	slices.SortStableFunc(v.DistributionPoints, func(a, b DistributionPoint) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(v.Segments, func(a, b Segment) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
}
