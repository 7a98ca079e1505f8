package collectors

import (
	"context"
	"fmt"
	"strings"

	"github.com/prometheus/procfs"
)

// mdstatLimit bounds /proc/mdstat, and mdFileLimit a file of /sys.
const (
	mdstatLimit = 1 << 20
	mdFileLimit = 64 << 10
)

// readMDRAID reads the arrays of Linux's md driver: from /proc/mdstat, made
// exact by /sys/block/NAME/md. Where mdstat cannot be parsed, what /sys says is
// returned beside the error.
func readMDRAID(_ context.Context, d Deps) ([]array, error) {
	text, err := readFile(d.path("/proc/mdstat"), mdstatLimit)
	if err != nil {
		return nil, err
	}
	stats, err := mdstat(d.path("/proc"))
	if err != nil {
		return mdArraysOfSysfs(d.path("/sys/block")), err
	}
	containers := mdContainers(string(text))
	var arrays []array
	for _, stat := range stats {
		if containers[stat.Name] {
			continue
		}
		facts := mdFactsOf(stat)
		if sys, ok := readMDSysfs(d.path("/sys/block"), stat.Name); ok {
			facts.refine(sys)
		}
		arrays = append(arrays, facts.array())
	}
	return arrays, nil
}

// mdstat parses mdstat below proc. The parser gives all arrays or none, and
// may panic at a file that no kernel writes.
func mdstat(proc string) (stats []procfs.MDStat, err error) {
	defer func() {
		if r := recover(); r != nil {
			stats, err = nil, fmt.Errorf("parse mdstat: %v", r)
		}
	}()
	fs, err := procfs.NewFS(proc)
	if err != nil {
		return nil, err
	}
	return fs.MDStat()
}

// mdContainers returns the names of the entries of mdstat that are not arrays
// but hold the firmware's description of some (IMSM, DDF). They are always
// inactive. Their arrays say "super external:/md127/0", they "external:imsm".
func mdContainers(text string) map[string]bool {
	containers := make(map[string]bool)
	name := ""
	for line := range strings.Lines(text) {
		if before, _, ok := strings.Cut(line, " : "); ok && !strings.HasPrefix(line, " ") {
			name = before
		}
		_, format, ok := strings.Cut(line, "super external:")
		if ok && !strings.HasPrefix(format, "/") && !strings.HasPrefix(format, "-") {
			containers[name] = true
		}
	}
	return containers
}

// mdFacts are what mdstat and /sys say of one array.
type mdFacts struct {
	name     string
	level    string // as the kernel calls it; empty if not known
	activity string // inactive, active, broken, recovering, resyncing, reshaping or checking
	total    int    // members that belong to the array; 0 if not known
	online   int    // in sync
	failed   int
	spare    int
	idle     int      // listed, neither in sync nor marked: being rebuilt, or at rest while the array is inactive
	degraded int      // places without a member in sync, as the kernel counts
	progress *float64 // nil if none or not known
}

// mdFactsOf returns what mdstat says.
func mdFactsOf(stat procfs.MDStat) mdFacts {
	f := mdFacts{
		name:     stat.Name,
		level:    stat.Type,
		activity: stat.ActivityState,
		total:    int(stat.DisksTotal),
		online:   int(stat.DisksActive),
		degraded: int(max(stat.DisksDown, stat.DisksTotal-stat.DisksActive)),
	}
	if f.level == "unknown" {
		f.level = ""
	}
	for _, c := range stat.Devices {
		switch {
		case c.Faulty:
			f.failed++
		case c.Spare:
			f.spare++
		case !c.Journal:
			f.idle++
		}
	}
	if tolerance(f.level, 2) == 0 { // mdstat does not count them: who is listed is there
		f.online -= f.failed
	}
	f.idle = max(f.idle-f.online, 0)
	if stat.BlocksSynced > 0 && stat.BlocksToBeSynced > 0 { // none while it is delayed
		f.progress = new(min(float64(stat.BlocksSynced)/float64(stat.BlocksToBeSynced), 1))
	}
	return f
}

// refine adds what /sys knows better.
func (f *mdFacts) refine(sys mdFacts) {
	if f.level == "" {
		f.level = sys.level
	}
	f.total = max(f.total, sys.total)
	f.degraded = max(f.degraded, sys.degraded)
	if sys.activity == "broken" {
		f.activity = sys.activity
	}
}

// array turns the facts into an array.
func (f mdFacts) array() array {
	a := array{id: "mdraid/" + f.name, name: f.name, level: f.level, backend: "mdraid", device: f.name, expected: f.total, progress: f.progress}
	a.state = f.state()
	a.unsynced = f.activity == "resyncing"
	a.members = f.members()
	if a.level == "" {
		a.level = "unknown"
	}
	return a
}

// state tells the one state that matters most. A check reads the copies and
// compares them; it says nothing against the array.
func (f mdFacts) state() arrayState {
	lost := f.degraded > tolerance(f.level, f.total)
	switch {
	case f.activity == "inactive":
		return arrayOffline
	case f.activity == "broken", lost:
		return arrayFailed
	case f.activity == "recovering", f.activity == "resyncing", f.activity == "reshaping":
		return arrayRebuilding
	case f.degraded > 0:
		return arrayDegraded
	default:
		return arrayOnline
	}
}

// members counts the members by state. A place for which nobody is listed is
// missing. mdstat may still call a member that is being rebuilt a spare.
func (f mdFacts) members() map[memberState]int {
	m := map[memberState]int{memberOnline: f.online, memberFailed: f.failed, memberSpare: f.spare}
	switch f.activity {
	case "inactive": // all are called spares
		m[memberOffline], m[memberOnline], m[memberSpare] = f.idle+f.online+f.spare, 0, 0
	case "recovering":
		open := max(f.total-f.online, 0)
		m[memberRebuilding] = min(open, f.idle)
		if m[memberRebuilding] == 0 {
			m[memberRebuilding] = min(open, f.spare)
			m[memberSpare] -= m[memberRebuilding]
		}
	default:
		m[memberOffline] = f.idle
	}
	there := m[memberOnline] + m[memberRebuilding] + m[memberOffline] + m[memberFailed]
	m[memberMissing] = max(f.total-there, 0)
	return m
}
