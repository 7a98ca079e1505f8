package collectors

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// Machines at midnight UTC of Saturday, 1 January 2000. Owners are real, so
// this needs root.
func TestLaunchd(t *testing.T) {
	testkit.Root(t)
	for _, path := range scenarioFiles(t, "launchd") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				deps, settings := scenario(t, path)
				applyLaunchd(t, &deps, settings)
				testkit.Golden(t, strings.TrimSuffix(path, ".txtar")+".golden", collected(t, launchdOf(t, deps), deps.Root))
			})
		})
	}
}

func launchdOf(t *testing.T, deps Deps) *launchdJobs {
	t.Helper()
	c, err := newLaunchd(deps)
	if err != nil {
		t.Fatal(err)
	}
	l, ok := c.(*launchdJobs)
	if !ok {
		t.Fatalf("%T", c)
	}
	l.zone = time.UTC
	return l
}

// applyLaunchd reads the settings "labels", "evidence", and PATH=VALUE lists
// of what files are like: "owner" (UID:GID), "mode" and "written" (a date).
func applyLaunchd(t *testing.T, deps *Deps, settings map[string]string) {
	t.Helper()
	deps.Settings.Launchd.Labels = strings.Fields(settings["labels"])
	deps.Settings.Launchd.Evidence = pairs(settings["evidence"])
	for path, owner := range pairs(settings["owner"]) {
		var uid, gid int
		if _, err := fmt.Sscanf(owner, "%d:%d", &uid, &gid); err != nil {
			t.Fatal(err)
		}
		must(t, os.Chown(filepath.Join(deps.Root, path), uid, gid))
	}
	for path, mode := range pairs(settings["mode"]) {
		bits, err := strconv.ParseUint(mode, 8, 32)
		must(t, err)
		must(t, os.Chmod(filepath.Join(deps.Root, path), os.FileMode(bits)))
	}
	for path, date := range pairs(settings["written"]) {
		when, err := time.Parse(time.RFC3339, date)
		must(t, err)
		must(t, os.Chtimes(filepath.Join(deps.Root, path), when, when))
	}
}

// pairs reads a list of NAME=VALUE.
func pairs(list string) map[string]string {
	all := make(map[string]string)
	for pair := range strings.FieldsSeq(list) {
		name, value, _ := strings.Cut(pair, "=")
		all[name] = value
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const syncPlist = `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict>
<key>Label</key><string>com.example.sync</string><key>Program</key><string>/usr/local/bin/sync</string>
<key>StartCalendarInterval</key><dict><key>Hour</key><integer>22</integer><key>Minute</key><integer>0</integer></dict>
</dict></plist>`

// A job without logs: that it missed a run is known once launchd's count has
// been watched over the time that it was due, and its next run makes it good.
func TestLaunchdCountsMissedRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is midnight
		runs := 3
		root := t.TempDir()
		writeScenario(t, root, "Library/LaunchDaemons/com.example.sync.plist", []byte(syncPlist))
		programs := tools{"launchctl print-disabled system": {Stdout: []byte("disabled services = {\n}\n")}}
		l := launchdOf(t, Deps{Run: programs, GOOS: "darwin", Root: root})
		look := func() string {
			t.Helper()
			programs["launchctl print system/com.example.sync"] = minikeeper.Result{Stdout: fmt.Appendf(nil, "system/com.example.sync = {\n\tstate = not running\n\truns = %d\n}\n", runs)}
			samples, err := l.Collect(t.Context())
			must(t, err)
			for _, s := range samples {
				if s.Name == launchdMissed {
					return fmt.Sprint(s.Value)
				}
			}
			return "unknown"
		}
		for _, step := range []struct {
			wait time.Duration
			runs int
			want string
		}{
			{0, 3, "unknown"},                         // of last evening nothing is known
			{21 * time.Hour, 3, "unknown"},            // 21:00
			{time.Hour + 5*time.Minute, 3, "unknown"}, // 22:05: it may come yet
			{15 * time.Minute, 3, "1"},                // 22:20
			{24 * time.Hour, 3, "2"},                  // the next day
			{time.Minute, 4, "0"},                     // it runs late
			{24 * time.Hour, 1, "0"},                  // the machine was started, and the job ran
			{24 * time.Hour, 0, "1"},                  // it was started again, and the job did not run
		} {
			time.Sleep(step.wait)
			runs = step.runs
			if got := look(); got != step.want {
				t.Errorf("after %v with %d runs: %s missed, want %s", step.wait, step.runs, got, step.want)
			}
		}
	})
}

func TestLaunchdRefusesSettings(t *testing.T) {
	for name, s := range map[string]LaunchdSettings{
		"folder": {DaemonsDir: "LaunchDaemons"}, "flag": {Labels: []string{"-k"}}, "repeated": {Labels: []string{"a", "a"}}, "path": {Labels: []string{"../x"}},
		"evidence": {Evidence: map[string]string{"a": "sync.log"}},
	} {
		if _, err := newLaunchd(Deps{Settings: Settings{Launchd: s}}); err == nil {
			t.Errorf("a wrong %s was taken", name)
		}
	}
}

// What is no file, or too large to be a job's, is not read and not waited for.
func TestLaunchdBesideOddFiles(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "Library/LaunchDaemons")
	must(t, os.MkdirAll(dir, 0o755))
	must(t, syscall.Mkfifo(filepath.Join(dir, "com.example.pipe.plist"), 0o644))
	must(t, os.Symlink("/dev/zero", filepath.Join(dir, "com.example.zero.plist")))
	must(t, os.WriteFile(filepath.Join(dir, "com.example.huge.plist"), []byte(syncPlist), 0o644))
	must(t, os.Truncate(filepath.Join(dir, "com.example.huge.plist"), 100<<20))
	l := launchdOf(t, Deps{Run: noTools{}, GOOS: "darwin", Root: root})
	samples, err := l.Collect(t.Context())
	checkSamples(t, l, samples)
	for _, want := range []string{"com.example.pipe.plist: not a regular file", "com.example.zero.plist: not a regular file", "run launchctl"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
	valid := make(map[string]float64)
	for _, s := range samples {
		if s.Name == launchdValid {
			valid[s.Label("label")] = s.Value
		}
	}
	if v, ok := valid["com.example.huge"]; len(valid) != 1 || !ok || v != 0 {
		t.Errorf("valid: %v, want com.example.huge to be not", valid)
	}
}

// Every recorded file is either read to what its golden file says or refused
// with the error that stands there; none is passed over.
func TestLaunchdRecorded(t *testing.T) {
	testkit.Root(t)
	entries, err := os.ReadDir(testkit.Samples(t, "launchd"))
	if err != nil || len(entries) == 0 {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				deps := recordedJob(t, e.Name())
				testkit.Golden(t, filepath.Join("testdata", "launchd", "recorded", e.Name()+".golden"), collected(t, launchdOf(t, deps), deps.Root))
			})
		})
	}
}

// recordedJob is a machine on which a recorded file is what the collector
// comes upon.
func recordedJob(t *testing.T, name string) Deps {
	t.Helper()
	data := read(t, testkit.Samples(t, "launchd/"+name))
	deps := Deps{GOOS: "darwin", Root: t.TempDir()}
	label, answer := "com.example.job", minikeeper.Result{Exit: 113, Stderr: []byte("Could not find service\n")}
	must(t, os.MkdirAll(filepath.Join(deps.Root, "Library/LaunchDaemons"), 0o755))
	switch {
	case strings.HasSuffix(name, ".plist"):
		label = regexp.MustCompile(`(?s)<key>Label</key>\s*<string>(.*?)</string>`).FindStringSubmatch(data)[1]
		writeScenario(t, deps.Root, "Library/LaunchDaemons/"+label+".plist", []byte(data))
	case strings.Contains(name, "exit113"):
		answer.Stderr = []byte(data)
	case name == "launchctl-errors.txt":
		answer = minikeeper.Result{Exit: 5, Stderr: []byte(data)}
	default:
		head, _, _ := strings.Cut(data, " = {")
		label, answer = head[strings.LastIndexByte(head, '/')+1:], minikeeper.Result{Stdout: []byte(data)}
	}
	deps.Settings.Launchd.Labels = []string{label}
	deps.Run = tools{
		"launchctl print system/" + label: answer,
		"launchctl print-disabled system": {Stdout: []byte("disabled services = {\n}\n")},
	}
	return deps
}
