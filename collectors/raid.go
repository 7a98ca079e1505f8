package collectors

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/minikeeper/minikeeper"
)

// RAIDSettings say what the raid collector reads and what it should find.
type RAIDSettings struct {
	// Backend is auto (or empty), appleraid, mdraid or btrfs. Auto reads all
	// that the system has.
	Backend string

	// Expect says how many members an array must have, by the array's name;
	// "*" is for all that are not named. An array that is named and not there
	// is reported as offline.
	Expect map[string]int

	// Command maps a program's usual name (diskutil) to its path.
	Command map[string]string
}

// The metrics of the raid collector.
const (
	raidInfo         = "minikeeper_raid_array_info"
	raidState        = "minikeeper_raid_array_state"
	raidMembers      = "minikeeper_raid_members"
	raidExpected     = "minikeeper_raid_members_expected"
	raidRedundant    = "minikeeper_raid_redundant"
	raidRebuild      = "minikeeper_raid_rebuild_ratio"
	raidMemberErrors = "minikeeper_raid_member_errors_total"
)

// raid reports the state of disk arrays.
type raid struct {
	deps     Deps
	backends []backend
	memory   *raidMemory
}

// A backend reads one kind of array. It may return arrays and an error
// together; a nil error says that these are all arrays of its kind, and
// fs.ErrNotExist that the system does not know the kind.
type backend struct {
	name string
	read func(context.Context, Deps) ([]array, error)
}

func newRAID(d Deps) (Collector, error) {
	for name, n := range sorted(d.Settings.RAID.Expect) {
		if n < 1 {
			return nil, fmt.Errorf("raid: expect: array %q cannot have %d members", name, n)
		}
	}
	backends, err := raidBackends(d.Settings.RAID.Backend, d.GOOS)
	if err != nil {
		return nil, fmt.Errorf("raid: backend: %w", err)
	}
	return raid{deps: d, backends: backends, memory: newRAIDMemory(d.Settings.RAID.Expect)}, nil
}

// raidBackends returns the backends that the setting asks for.
func raidBackends(setting, goos string) ([]backend, error) {
	appleraid := backend{"appleraid", readAppleRAID}
	mdraid := backend{"mdraid", readMDRAID}
	btrfs := backend{"btrfs", readBtrfs}
	switch setting {
	case "appleraid":
		return []backend{appleraid}, nil
	case "mdraid":
		return []backend{mdraid}, nil
	case "btrfs":
		return []backend{btrfs}, nil
	case "", "auto":
	default:
		return nil, fmt.Errorf("no backend %q (have auto, appleraid, btrfs, mdraid)", setting)
	}
	switch goos {
	case "darwin":
		return []backend{appleraid}, nil
	case "linux":
		return []backend{mdraid, btrfs}, nil
	default:
		return nil, fmt.Errorf("no way to read arrays of %q", goos)
	}
}

// Families implements Collector.
func (raid) Families() []minikeeper.Family {
	return []minikeeper.Family{
		{Name: raidInfo, Type: minikeeper.Gauge, Labels: []string{"array", "level", "backend", "device"}, Help: "What kind of array it is; always 1."},
		{Name: raidState, Type: minikeeper.Gauge, Labels: []string{"array", "state"}, Help: "Whether the array is in this state (1) or not (0): online, degraded, rebuilding, failed, offline, unknown."},
		{Name: raidMembers, Type: minikeeper.Gauge, Labels: []string{"array", "state"}, Help: "Members in this state: online, rebuilding, spare, failed, missing, offline, unknown."},
		{Name: raidExpected, Type: minikeeper.Gauge, Labels: []string{"array"}, Help: "Members that the array must have to be whole."},
		{Name: raidRedundant, Type: minikeeper.Gauge, Labels: []string{"array"}, Help: "Whether every expected member is in sync (1) or not (0); absent where the level has no redundancy or it is not known."},
		{Name: raidRebuild, Type: minikeeper.Gauge, Labels: []string{"array"}, Help: "How much of the rebuild is done, from 0 to 1; absent while none runs."},
		{Name: raidMemberErrors, Type: minikeeper.Counter, Labels: []string{"array", "member", "kind"}, Help: "Errors of one member since its counters were reset (btrfs)."},
	}
}

// Collect implements Collector.
func (r raid) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	var arrays []array
	var errs []error
	read := make(map[string]bool) // backends whose arrays are all known
	for _, b := range r.backends {
		found, err := b.read(ctx, r.deps)
		if len(r.backends) > 1 && errors.Is(err, fs.ErrNotExist) {
			err = nil // one of several kinds that there might be
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("raid: %s: %w", b.name, err))
		}
		read[b.name] = err == nil
		arrays = append(arrays, found...)
	}
	arrays = r.memory.complete(arrays, read)

	var samples []minikeeper.Sample
	for _, a := range arrays {
		samples = append(samples, a.samples()...)
	}
	return samples, errors.Join(errs...)
}
