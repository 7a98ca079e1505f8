package collectors

import (
	"slices"
	"sync"
)

// raidMemoryLimit bounds how many arrays are remembered.
const raidMemoryLimit = 1000

// raidMemory knows which arrays there should be: those that the settings name,
// and those that this process has seen. An array that is gone is the worst
// state of all, and its source does not mention it.
type raidMemory struct {
	expect map[string]int

	mu   sync.Mutex
	seen map[string]array // by id, as last seen
}

func newRAIDMemory(expect map[string]int) *raidMemory {
	return &raidMemory{expect: expect, seen: make(map[string]array)}
}

// complete returns the arrays that were found, with what is expected of them,
// and those that should have been: offline where their backend was read to its
// end, unknown where it was not. Every array has a name of its own.
func (m *raidMemory) complete(found []array, read map[string]bool) []array {
	m.mu.Lock()
	defer m.mu.Unlock()
	present := make(map[string]bool)
	for _, a := range found {
		present[a.id] = true
	}
	for i, a := range found {
		found[i].expected = m.expected(a)
		m.remember(found[i], present)
	}
	all := found
	for id, a := range sorted(m.seen) {
		if !present[id] {
			all = append(all, gone(a, read[a.backend]))
		}
	}
	everything := true
	for _, ok := range read {
		everything = everything && ok
	}
	for name, n := range sorted(m.expect) {
		named := func(a array) bool { return a.name == name }
		if name != "*" && !slices.ContainsFunc(all, named) {
			all = append(all, gone(array{id: name, name: name, expected: n}, everything))
		}
	}
	return distinct(all)
}

// expected returns how many members a must have: what the settings say or what
// the array says itself, whichever is more. Where neither tells for certain, it
// is the most that this process has seen.
func (m *raidMemory) expected(a array) int {
	n, ok := m.expect[a.name]
	if !ok {
		n, ok = m.expect["*"]
	}
	if !ok && a.shrinks {
		n = m.seen[a.id].expected
	}
	return max(n, a.expected)
}

// remember notes a. One that was not seen before takes the place of arrays of
// its name that are gone: it was made anew.
func (m *raidMemory) remember(a array, present map[string]bool) {
	if _, known := m.seen[a.id]; !known {
		for id, old := range m.seen {
			if !present[id] && old.name == a.name && old.backend == a.backend {
				delete(m.seen, id)
			}
		}
		if len(m.seen) >= raidMemoryLimit {
			return
		}
	}
	m.seen[a.id] = a
}

// gone returns a as it is when its source does not show it.
func gone(a array, sourceWasRead bool) array {
	a.progress, a.errors, a.unsynced, a.unsafe = nil, nil, false, false
	if !sourceWasRead {
		a.state, a.members = arrayUnknown, nil
		return a
	}
	a.state, a.members = arrayOffline, map[memberState]int{memberMissing: a.expected}
	return a
}

// distinct gives arrays that have one name between them names of their own. It
// leaves out an array that was listed twice.
func distinct(all []array) []array {
	bearers := make(map[string]int)
	for _, a := range all {
		bearers[a.name]++
	}
	taken := make(map[string]bool)
	out := make([]array, 0, len(all))
	for _, a := range all {
		if bearers[a.name] > 1 {
			a.name += " (" + a.id + ")"
		}
		if !taken[a.name] {
			taken[a.name] = true
			out = append(out, a)
		}
	}
	return out
}
