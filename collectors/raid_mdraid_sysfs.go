package collectors

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

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
