package collectors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// readBtrfs reads the mounted btrfs filesystems that are arrays from
// /sys/fs/btrfs, which needs neither root nor a program.
func readBtrfs(_ context.Context, d Deps) ([]array, error) {
	dir := d.path("/sys/fs/btrfs")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var arrays []array
	var errs []error
	for _, e := range entries {
		if !isUUID(e.Name()) {
			continue // features, debug
		}
		facts, err := readBtrfsFacts(dir, e.Name())
		if err != nil {
			errs = append(errs, fmt.Errorf("filesystem %s: %w", cmp.Or(facts.label, facts.uuid), err))
		}
		if _, named := d.Settings.RAID.Expect[cmp.Or(facts.label, facts.uuid)]; named || facts.isArray() {
			arrays = append(arrays, facts.array())
		}
	}
	return arrays, errors.Join(errs...)
}

// btrfsFacts are what /sys says of one filesystem.
type btrfsFacts struct {
	uuid      string
	label     string
	operation string          // what holds the filesystem, such as "device replace" or "none"
	devices   map[string]bool // by kernel name, whether the device is still there
	members   []btrfsMember   // nil if the kernel does not tell (before 5.6)
	profiles  []btrfsProfile
}

// A btrfsMember is one device of a filesystem as its metadata has it.
type btrfsMember struct {
	id            string
	missing       bool
	replaceTarget bool // a copy is being written to it
	errors        []errorCount
}

// A btrfsProfile says how one kind of block is kept, such as data as raid1.
type btrfsProfile struct {
	kind    string // data, metadata, system or mixed
	profile string // single, dup, raid1, …
	total   uint64 // bytes; 0 of a profile that is in use no more
	used    uint64
}

// btrfsFileLimit bounds a file of /sys.
const btrfsFileLimit = 64 << 10

// readBtrfsFacts reads the folder of one filesystem. What the kernel is too old
// to have is left out and named in the error.
func readBtrfsFacts(dir, uuid string) (btrfsFacts, error) {
	dir = filepath.Join(dir, uuid)
	read := func(parts ...string) string {
		b, err := readFile(filepath.Join(append([]string{dir}, parts...)...), btrfsFileLimit)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(b))
	}
	f := btrfsFacts{uuid: uuid, label: read("label"), operation: read("exclusive_operation"), devices: make(map[string]bool)}
	for _, name := range names(filepath.Join(dir, "devices")) {
		_, err := os.Stat(filepath.Join(dir, "devices", name))
		f.devices[name] = err == nil // the link leads nowhere once a device is pulled out
	}
	for _, id := range names(filepath.Join(dir, "devinfo")) {
		f.members = append(f.members, btrfsMember{
			id:            id,
			missing:       read("devinfo", id, "missing") == "1",
			replaceTarget: read("devinfo", id, "replace_target") == "1",
			errors:        parseBtrfsErrors(read("devinfo", id, "error_stats")),
		})
	}
	for _, kind := range []string{"data", "metadata", "system", "mixed"} {
		for _, profile := range names(filepath.Join(dir, "allocation", kind)) {
			total, err := strconv.ParseUint(read("allocation", kind, profile, "total_bytes"), 10, 64)
			if err != nil {
				continue // not a profile
			}
			used, _ := strconv.ParseUint(read("allocation", kind, profile, "used_bytes"), 10, 64)
			f.profiles = append(f.profiles, btrfsProfile{kind: kind, profile: profile, total: total, used: used})
		}
	}
	switch {
	case len(f.devices) == 0:
		return f, errors.New("no devices in /sys: is it being unmounted?")
	case f.members == nil:
		return f, errors.New("the kernel does not tell which members are missing (Linux 5.6 and later do)")
	}
	return f, nil
}

// names returns the names of what lies in dir, which may not exist.
func names(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = e.Name()
	}
	return list
}

// parseBtrfsErrors reads lines such as "write_errs 3". It is empty where the
// counters are not valid yet.
func parseBtrfsErrors(text string) []errorCount {
	var counts []errorCount
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		kind, known := strings.CutSuffix(name, "_errs")
		n, err := strconv.ParseUint(value, 10, 64)
		if !ok || !known || err != nil {
			continue
		}
		switch kind {
		case "write", "read", "flush", "corruption", "generation":
			counts = append(counts, errorCount{kind, n})
		}
	}
	return counts
}

// isArray tells a filesystem that spans devices, or was made to keep data
// twice, from the many that lie on one device and are nobody's array.
func (f btrfsFacts) isArray() bool {
	level, _ := f.level()
	return max(len(f.members), len(f.devices)) > 1 || strings.HasPrefix(level, "raid") || level == "dup"
}

// level returns how data is kept. Where it is kept in several ways the
// redundant one is what the administrator wants, and what is not kept so is
// unsafe: a mirror that was written to while a half was missing has new data on
// the other half alone, and keeps it there when both are back.
func (f btrfsFacts) level() (level string, unsafe bool) {
	best := btrfsProfile{}
	for _, p := range f.profiles {
		if p.total == 0 || p.kind != "data" && p.kind != "mixed" {
			continue
		}
		a, b := tolerance(p.profile, 2), tolerance(best.profile, 2)
		if best.profile == "" || a > b || a == b && p.used > best.used {
			best = p
		}
	}
	if tolerance(best.profile, 2) == 0 {
		return best.profile, false
	}
	unsafe = slices.ContainsFunc(f.profiles, func(p btrfsProfile) bool {
		return p.used > 0 && tolerance(p.profile, 2) == 0
	})
	return best.profile, unsafe
}

// array turns the facts into an array.
func (f btrfsFacts) array() array {
	a := array{id: f.uuid, name: cmp.Or(f.label, f.uuid), backend: "btrfs", state: arrayUnknown}
	a.level, a.unsafe = f.level()
	for name, there := range sorted(f.devices) {
		if there {
			a.device = name
			break
		}
	}
	if f.members == nil || len(f.devices) == 0 {
		return a
	}
	a.members = f.count()
	a.expected = a.present() - a.members[memberRebuilding]
	a.state = f.state(a.level, a.members)
	for _, m := range f.members {
		if !m.missing && len(m.errors) > 0 {
			a.errors = append(a.errors, memberErrors{m.id, m.errors})
		}
	}
	return a
}

// count counts members by state. One that was pulled out is not missing to the
// filesystem, which has not noticed yet: its device is gone all the same.
func (f btrfsFacts) count() map[memberState]int {
	m := make(map[memberState]int)
	for _, member := range f.members {
		switch {
		case member.missing:
			m[memberMissing]++
		case member.replaceTarget:
			m[memberRebuilding]++
		default:
			m[memberOnline]++
		}
	}
	pulled := 0
	for _, there := range f.devices {
		if !there {
			pulled++
		}
	}
	pulled = min(pulled, m[memberOnline])
	m[memberOnline] -= pulled
	m[memberOffline] = pulled
	return m
}

// state tells the one state that matters most.
func (f btrfsFacts) state(level string, members map[memberState]int) arrayState {
	lost := members[memberMissing] + members[memberOffline]
	bears := min(tolerance(level, 2), 3) // raid1 keeps two copies however many devices there are
	rebuilds := f.operation == "device replace" || f.operation == "device remove" && members[memberMissing] > 0
	switch {
	case lost > bears:
		return arrayFailed
	case rebuilds:
		return arrayRebuilding
	case lost > 0:
		return arrayDegraded
	default:
		return arrayOnline
	}
}
