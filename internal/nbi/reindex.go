package nbi

import (
	"cmp"
	"maps"
	"slices"
)

// A Change gives an image another index.
type Change struct {
	Server   string
	NBI      string
	From, To int // From is 0 if there is no valid one
}

// PlanReindex returns what has to change so that, over all servers, images of
// the same content have the same index, images of different content have
// different ids, and what lies on several servers has a global index. It keeps
// the numbers that are right, prefers the one that most servers have, and
// returns the same changes, by server and image, for the same images.
//
// Images that are disabled, or whose content is not known, keep their index,
// and nobody else gets it.
func PlanReindex(servers map[string][]Image) ([]Change, error) {
	groups, others := groupByContent(servers)
	used := newAllocation(others)
	var unplaced []group
	for _, g := range groups {
		index := g.favourite()
		if index == 0 || !used.fits(g, index) {
			unplaced = append(unplaced, g)
			continue
		}
		used.place(g, index)
	}
	for _, g := range unplaced {
		index, err := IndexFor(g.content, used.taken)
		if err != nil {
			return nil, err
		}
		used.place(g, index)
	}
	return changes(groups), nil
}

// An allocation is what is given away already.
type allocation struct {
	taken  map[int]bool               // indexes that no group may get anew
	global map[uint32]bool            // ids with a global index, on any server
	local  map[string]map[uint32]bool // ids with a local index, by server
}

func newAllocation(others []Image) allocation {
	return allocation{
		taken:  Taken(others, ""),
		global: make(map[uint32]bool),
		local:  make(map[string]map[uint32]bool),
	}
}

// fits tells whether no other group has g's ids under index already.
func (a allocation) fits(g group, index int) bool {
	for _, m := range g.members {
		id := m.image.idWith(index)
		if index < MinGlobalIndex && a.local[m.server][id] || a.global[id] {
			return false
		}
	}
	return true
}

// place gives all members of g the index.
func (a allocation) place(g group, index int) {
	for _, m := range g.members {
		m.to = index
		id := m.image.idWith(index)
		if index >= MinGlobalIndex {
			a.taken[index], a.global[id] = true, true
			continue
		}
		if a.local[m.server] == nil {
			a.local[m.server] = make(map[uint32]bool)
		}
		a.local[m.server][id] = true
	}
}

// A member is one image of a group, and the server that it lies on.
type member struct {
	server string
	image  Image
	to     int
}

// A group is what should have one index: the images of one content, at most
// one of each server. A second copy on the same server is a group of its own,
// since a server drops the second image of an id.
type group struct {
	content string
	copy    int
	members []*member
}

// groupByContent groups the images that can be renumbered and returns the
// others that have an index. Groups come in a fixed order: the larger first,
// then by content and copy.
func groupByContent(servers map[string][]Image) (groups []group, others []Image) {
	type key struct {
		content string
		copy    int
	}
	byKey := make(map[key][]*member)
	for _, server := range slices.Sorted(maps.Keys(servers)) {
		images := slices.SortedFunc(slices.Values(servers[server]), func(a, b Image) int { return cmp.Compare(a.NBI, b.NBI) })
		copies := make(map[string]int)
		for _, i := range images {
			switch {
			case i.Readable && i.Enabled && i.Content != "":
				k := key{i.Content, copies[i.Content]}
				copies[i.Content]++
				byKey[k] = append(byKey[k], &member{server: server, image: i})
			case i.Index != 0:
				others = append(others, i)
			}
		}
	}
	for k, members := range byKey {
		groups = append(groups, group{k.content, k.copy, members})
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(len(b.members), len(a.members)), cmp.Compare(a.content, b.content), cmp.Compare(a.copy, b.copy))
	})
	return groups, others
}

// favourite returns the index that most members have and all may have, the
// smallest of several; 0 if there is none. A local one is right only for an
// image that lies on one server.
func (g group) favourite() int {
	votes := make(map[int]int)
	for _, m := range g.members {
		if m.image.Index >= MinGlobalIndex || m.image.Index > 0 && len(g.members) == 1 {
			votes[m.image.Index]++
		}
	}
	best := 0
	for _, index := range slices.Sorted(maps.Keys(votes)) {
		if best == 0 || votes[index] > votes[best] {
			best = index
		}
	}
	return best
}

// changes returns what differs from what the images have.
func changes(groups []group) []Change {
	var changes []Change
	for _, g := range groups {
		for _, m := range g.members {
			if m.image.Index != m.to {
				changes = append(changes, Change{Server: m.server, NBI: m.image.NBI, From: m.image.Index, To: m.to})
			}
		}
	}
	slices.SortFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.NBI, b.NBI))
	})
	return changes
}
