package postfix

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"howett.net/plist"
)

// A ServiceKind says what starts and stops the main postfix of a system.
type ServiceKind string

// The kinds of service.
const (
	Launchd ServiceKind = "launchd" // macOS: launchctl with Service.Label
	Systemd ServiceKind = "systemd" // systemctl with Service.Unit
	Plain   ServiceKind = "plain"   // nothing but postfix's own start and stop
)

// A Service is how the main postfix of a system is started and stopped. A
// second instance, with a configuration folder of its own, is always Plain.
type Service struct {
	Kind  ServiceKind
	Label string // of the launchd job, such as "com.apple.postfix.master"
	Plist string // path of the launchd job's file below the root that was looked at
	Unit  string // of systemd, such as "postfix@-.service"

	// OnDemand says that launchd starts master when there is mail and that
	// master ends by itself (-e): "not running" is its normal state.
	OnDemand bool
}

// DetectService looks below root ("" is "/") for what starts postfix on a
// system of kind goos. It finds Plain where it recognises nothing else.
func DetectService(root, goos string) Service {
	if root == "" {
		root = "/"
	}
	if goos == "darwin" {
		return detectLaunchd(root)
	}
	return detectSystemd(root)
}

// plistLimit bounds what is read of a launchd job's file.
const plistLimit = 1 << 20

// detectLaunchd prefers a job in /Library, which an administrator installed,
// to the stock job in /System. Apple renamed the stock job: it is
// org.postfix.master up to OS X 10.11, com.apple.postfix.master from 10.12 on;
// where both lie side by side, the newer name is in use.
func detectLaunchd(root string) Service {
	for _, dir := range []string{"Library/LaunchDaemons", "System/Library/LaunchDaemons"} {
		if s, ok := launchdJob(filepath.Join(root, dir)); ok {
			return s
		}
	}
	return Service{Kind: Plain}
}

// launchdJob returns the job in dir that runs postfix's master.
func launchdJob(dir string) (Service, bool) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return Service{}, false
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".plist") {
			names = append(names, e.Name())
		}
	}
	// com.apple… sorts before org.postfix…, but not before a job of somebody else's.
	slices.SortStableFunc(names, func(a, b string) int { return stockRank(a) - stockRank(b) })
	for _, name := range names {
		path := filepath.Join(dir, name)
		if s, ok := readJob(path); ok {
			return s, true
		}
	}
	return Service{}, false
}

// stockRank orders job files: an administrator's own, Apple's newer, Apple's older.
func stockRank(name string) int {
	switch name {
	case "com.apple.postfix.master.plist":
		return 1
	case "org.postfix.master.plist":
		return 2
	default:
		return 0
	}
}

// readJob tells whether the job in the file at path runs postfix's master.
func readJob(path string) (Service, bool) {
	data, err := readRegular(path, plistLimit)
	if err != nil {
		return Service{}, false
	}
	var job struct {
		Label            string
		Program          string
		ProgramArguments []string
	}
	if _, err := plist.Unmarshal(data, &job); err != nil || job.Label == "" {
		return Service{}, false
	}
	program := job.Program
	if program == "" && len(job.ProgramArguments) > 0 {
		program = job.ProgramArguments[0]
	}
	if !startsPostfix(program, job.ProgramArguments) {
		return Service{}, false
	}
	return Service{
		Kind: Launchd, Label: job.Label, Plist: path,
		OnDemand: slices.Contains(job.ProgramArguments, "-e"),
	}, true
}

// startsPostfix tells whether a job's command line is master or, as people
// write their own job, "postfix start-fg".
func startsPostfix(program string, args []string) bool {
	if strings.HasSuffix(program, "/postfix/master") || strings.HasSuffix(program, "/postfix/sbin/master") {
		return true
	}
	return filepath.Base(program) == "postfix" && slices.Contains(args, "start-fg")
}

// detectSystemd finds the unit to act on. Debian's postfix.service up to
// version 12 does nothing itself (ExecStart=/bin/true): the mail system is
// the instance postfix@-.service, and only that tells whether it runs.
func detectSystemd(root string) Service {
	// systemd is in charge where this folder exists: sd_booted(3).
	if info, err := os.Stat(filepath.Join(root, "run/systemd/system")); err != nil || !info.IsDir() {
		return Service{Kind: Plain}
	}
	unit, ok := readUnit(root, "postfix.service")
	if !ok {
		return Service{Kind: Plain}
	}
	if _, instances := readUnit(root, "postfix@.service"); instances && doesNothing(unit) {
		return Service{Kind: Systemd, Unit: "postfix@-.service"}
	}
	return Service{Kind: Systemd, Unit: "postfix.service"}
}

// readUnit returns the unit file called name, from the first of systemd's
// folders that has it.
func readUnit(root, name string) (string, bool) {
	for _, dir := range []string{
		"etc/systemd/system", "run/systemd/system",
		"usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system",
	} {
		if data, err := readRegular(filepath.Join(root, dir, name), plistLimit); err == nil {
			return string(data), true
		}
	}
	return "", false
}

// doesNothing tells whether a unit's start command is true(1).
func doesNothing(unit string) bool {
	for line := range strings.Lines(unit) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if strings.TrimSpace(key) == "ExecStart" {
			value = strings.TrimSpace(value)
			return value == "/bin/true" || value == "/usr/bin/true"
		}
	}
	return false
}

// readRegular reads at most limit bytes of the file at path, and nothing of a
// device or pipe.
func readRegular(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, os.ErrInvalid
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}
