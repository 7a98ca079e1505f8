package snmp

import (
	"context"
	"slices"
	"strings"

	"github.com/minikeeper/minikeeper/internal/snmp/poll"
	"github.com/minikeeper/minikeeper/internal/snmp/snmpyml"
)

// filtered returns the plan of m for one target, which its filters narrow: of
// the subtrees that they are about, only the rows that fit are read, one by
// one. A filter whose objects cannot be read narrows nothing.
func (m *module) filtered(ctx context.Context, s *poll.Session) *plan {
	if m.plan != nil {
		return m.plan
	}
	walks, gets := m.source.Walk, m.source.Get
	for _, f := range m.source.Filters {
		r := s.Read(ctx, poll.Query{
			Groups:         [][]poll.Subtree{{{Root: f.OID, Leaf: true}}},
			MaxRepetitions: m.source.MaxRepetitions, Retries: m.source.Retries, Timeout: m.source.Timeout,
			NonIncreasing: m.source.AllowNonIncreasingOIDs,
		})
		if c := r.Groups[0][0]; c.Err == nil {
			walks, gets = narrow(f, allowed(f, c.Objects), walks, gets)
		}
	}
	return m.newPlan(walks, gets)
}

// allowed returns the last numbers of the OIDs whose values fit the filter.
func allowed(f snmpyml.Filter, objects []poll.Object) []string {
	var rows []string
	for i := range objects {
		text, _ := manner{typ: "DisplayString"}.text(&objects[i])
		for _, value := range f.Values {
			if value.MatchString(text) {
				oid := f.OID + "." + objects[i].Index
				rows = append(rows, oid[strings.LastIndexByte(strings.TrimSuffix(oid, "."), '.')+1:])
				break
			}
		}
	}
	return rows
}

// narrow replaces the walks of the filter's targets by single objects.
func narrow(f snmpyml.Filter, rows, walks, gets []string) (newWalks, newGets []string) {
	for _, walk := range walks {
		if !slices.Contains(f.Targets, walk) {
			newWalks = append(newWalks, walk)
		}
	}
	for _, get := range gets {
		if !slices.ContainsFunc(f.Targets, func(target string) bool { return strings.HasPrefix(get, target) }) {
			newGets = append(newGets, get)
		}
	}
	for _, target := range f.Targets {
		for _, row := range rows {
			newGets = append(newGets, target+"."+row)
		}
	}
	return newWalks, newGets
}
