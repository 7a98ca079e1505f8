package collectors

import (
	"strings"

	"github.com/minikeeper/minikeeper"
)

// An arrayState is the one state that an array is in.
type arrayState string

const (
	arrayOnline     arrayState = "online"
	arrayDegraded   arrayState = "degraded"
	arrayRebuilding arrayState = "rebuilding"
	arrayFailed     arrayState = "failed"  // data is lost or out of reach
	arrayOffline    arrayState = "offline" // not running, or gone
	arrayUnknown    arrayState = "unknown" // its source could not be read
)

// arrayStates are all states, in the order of their samples.
func arrayStates() []arrayState {
	return []arrayState{arrayOnline, arrayDegraded, arrayRebuilding, arrayFailed, arrayOffline, arrayUnknown}
}

// A memberState is how one member of an array is.
type memberState string

const (
	memberOnline     memberState = "online" // in sync
	memberRebuilding memberState = "rebuilding"
	memberSpare      memberState = "spare"
	memberFailed     memberState = "failed"
	memberMissing    memberState = "missing"
	memberOffline    memberState = "offline"
	memberUnknown    memberState = "unknown" // a word that is not known
)

// memberStates are all states, in the order of their samples.
func memberStates() []memberState {
	return []memberState{memberOnline, memberRebuilding, memberSpare, memberFailed, memberMissing, memberOffline, memberUnknown}
}

// An array is one array, whichever system manages it.
type array struct {
	id      string // what stays when it is renamed: backend and UUID, or name
	name    string
	level   string // raid0, raid1, concat, single, …; empty if not known
	backend string
	device  string // where it is, such as disk8 or md0
	state   arrayState

	members  map[memberState]int // nil if nothing is known of them
	expected int                 // members that it must have; 0 if nobody knows
	shrinks  bool                // a member that is removed leaves no trace in the array
	unsynced bool                // the copies differ although all members are there
	unsafe   bool                // part of the data is kept without redundancy
	progress *float64            // of the rebuild, 0 to 1; nil if none or not known
	errors   []memberErrors
}

// memberErrors are the counters of one member.
type memberErrors struct {
	member string
	counts []errorCount
}

// An errorCount counts the errors of one kind.
type errorCount struct {
	kind  string
	count uint64
}

// samples are what is known of a.
func (a array) samples() []minikeeper.Sample {
	name := strings.ToValidUTF8(a.name, "\uFFFD")
	var out []minikeeper.Sample
	add := func(metric string, value float64, pairs ...string) {
		out = append(out, sample(metric, value, append([]string{"array", name}, pairs...)...))
	}
	if a.level != "" {
		add(raidInfo, 1, "level", a.level, "backend", a.backend, "device", strings.ToValidUTF8(a.device, "\uFFFD"))
	}
	for _, s := range arrayStates() {
		add(raidState, bool01(s == a.state), "state", string(s))
	}
	if a.members != nil {
		for _, s := range memberStates() {
			add(raidMembers, float64(a.members[s]), "state", string(s))
		}
	}
	if a.expected > 0 {
		add(raidExpected, float64(a.expected))
	}
	if redundant, known := a.redundant(); known {
		add(raidRedundant, bool01(redundant))
	}
	if a.progress != nil && a.state == arrayRebuilding {
		add(raidRebuild, *a.progress)
	}
	for _, m := range a.errors {
		for _, e := range m.counts {
			add(raidMemberErrors, float64(e.count), "member", m.member, "kind", e.kind)
		}
	}
	return out
}

// redundant tells whether every expected member is in sync, so that one may
// fail. It is not known where the level has no redundancy to lose, or where
// what could not be read would make the difference.
func (a array) redundant() (redundant, known bool) {
	switch {
	case a.level != "" && tolerance(a.level, 2) == 0:
		return false, false
	case a.state == arrayFailed, a.state == arrayOffline:
		return false, true
	case a.members == nil, a.level == "":
		return false, false
	}
	need := max(a.expected, 2) // nobody is redundant alone
	online, unclear := a.members[memberOnline], a.members[memberUnknown]
	switch {
	case a.unsynced, a.unsafe, a.state == arrayDegraded, online+unclear < need:
		return false, true
	case a.state == arrayUnknown, online < need:
		return false, false
	default:
		return true, true
	}
}

// tolerance returns how many of n members may be gone before data is, at best.
// It is 0 for levels without redundancy, and for dup, whose two copies lie on
// one device.
func tolerance(level string, n int) int {
	switch level {
	case "raid1":
		return n - 1
	case "raid4", "raid5":
		return 1
	case "raid6":
		return 2
	case "raid10":
		return n / 2
	case "raid1c3": // btrfs: three copies
		return 2
	case "raid1c4":
		return 3
	default:
		return 0
	}
}

// present returns how many members hold a part of the data, or should.
func (a array) present() int {
	n := 0
	for s, count := range a.members {
		if s != memberSpare {
			n += count
		}
	}
	return n
}
