package collectors

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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

// mdArraysOfSysfs returns the arrays as /sys alone has them.
func mdArraysOfSysfs(block string) []array {
	entries, err := os.ReadDir(block)
	if err != nil {
		return nil // an error is told already
	}
	var arrays []array
	for _, e := range entries {
		if facts, ok := readMDSysfs(block, e.Name()); ok {
			arrays = append(arrays, facts.array())
		}
	}
	return arrays
}

// readMDSysfs reads the array called name below block, the folder /sys/block.
// It is not ok if there is none, or if it is a container or has not been set up.
func readMDSysfs(block, name string) (mdFacts, bool) {
	if name != filepath.Base(name) {
		return mdFacts{}, false
	}
	dir := filepath.Join(block, name, "md")
	read := func(file string) string {
		b, err := readFile(filepath.Join(dir, file), mdFileLimit)
		if err != nil {
			return "" // levels differ in what files they have
		}
		return strings.TrimSpace(string(b))
	}
	state, level := read("array_state"), read("level")
	if state == "" || state == "clear" || level == "container" {
		return mdFacts{}, false
	}
	first, _, _ := strings.Cut(read("raid_disks"), " ") // "3 (2)" while it is reshaped
	f := mdFacts{name: name, level: level, activity: mdActivity(state, read("sync_action")), total: atoi(first), degraded: atoi(read("degraded"))}
	members, err := filepath.Glob(filepath.Join(dir, "dev-*", "state"))
	if err != nil {
		return f, true
	}
	for _, file := range members {
		f.count(read(strings.TrimPrefix(file, dir)))
	}
	f.progress = mdProgress(read("sync_completed"))
	return f, true
}

// count adds a member by its state in /sys, such as "in_sync,write_mostly".
func (f *mdFacts) count(state string) {
	switch {
	case strings.Contains(state, "faulty"):
		f.failed++
	case strings.Contains(state, "in_sync"):
		f.online++
	case strings.Contains(state, "journal"):
	case strings.Contains(state, "spare"):
		f.spare++
	default:
		f.idle++
	}
}

// mdActivity puts array_state and sync_action of /sys into the words of mdstat.
func mdActivity(state, action string) string {
	switch {
	case state == "inactive", state == "broken":
		return state
	case action == "recover":
		return "recovering"
	case action == "resync", action == "repair":
		return "resyncing"
	case action == "reshape":
		return "reshaping"
	case action == "check":
		return "checking"
	default:
		return "active"
	}
}

// mdProgress reads sync_completed: "none", "delayed" or "1024 / 2048".
func mdProgress(text string) *float64 {
	done, all, ok := strings.Cut(text, " / ")
	if !ok || atoi(done) <= 0 || atoi(all) <= 0 {
		return nil
	}
	return new(min(float64(atoi(done))/float64(atoi(all)), 1))
}

// atoi is 0 for what is not a number.
func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}
