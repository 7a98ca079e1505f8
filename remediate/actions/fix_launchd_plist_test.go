package actions_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/command/commandtest"
	"github.com/minikeeper/minikeeper/internal/testkit"
	"github.com/minikeeper/minikeeper/remediate/actions"
)

const (
	syncFile    = "Library/LaunchDaemons/com.example.sync.plist"
	printSync   = "launchctl print system/com.example.sync"
	printOff    = "launchctl print-disabled system"
	enableSync  = "launchctl enable system/com.example.sync"
	loadSync    = "launchctl bootstrap system /" + syncFile
	unloadSync  = "launchctl bootout system/com.example.sync"
	nobodyIsOff = "disabled services = {\n}\n"
)

// syncJob is a property list with this body beside its label.
func syncJob(label, more string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>Label</key><string>` + label +
		`</string><key>ProgramArguments</key><array><string>/usr/local/bin/sync</string><string>--all</string></array>` + more + `</dict></plist>`
}

// jobsFolder is a Mac whose folder of jobs holds files. It needs root, since
// owners are what it is about.
func jobsFolder(t *testing.T, files map[string]string) actions.Machine {
	t.Helper()
	testkit.Root(t)
	m := actions.Machine{GOOS: "darwin", Root: t.TempDir()}
	dir := filepath.Join(m.Root, "Library/LaunchDaemons")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Chown(path, 501, 20), os.Chmod(path, 0o664)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func says(command, stdout string) commandtest.Call {
	return commandtest.Call{Want: command, Give: minikeeper.Result{Stdout: []byte(stdout)}}
}

func exits(command string, status int) commandtest.Call {
	return commandtest.Call{Want: command, Give: minikeeper.Result{Exit: status, Stderr: []byte("status " + command)}}
}

func TestFixLaunchdPlistPlan(t *testing.T) {
	loaded := says(printSync, "system/com.example.sync = {\n\tstate = not running\n\tjob state = exited\n}\n")
	broken := says(printSync, "system/com.example.sync = {\n\tstate = not running\n\tjob state = spawn failed\n}\n")
	gone, off := exits(printSync, 113), says(printOff, nobodyIsOff)
	good := map[string]string{"com.example.sync.plist": syncJob("com.example.sync", "")}
	tests := []struct {
		name   string
		files  map[string]string
		label  string
		change func(t *testing.T, dir string)
		calls  []commandtest.Call
	}{
		{name: "not-loaded", files: good, calls: []commandtest.Call{gone, off}},
		{name: "loaded", files: good, calls: []commandtest.Call{loaded, off}},
		{name: "could-not-be-started", files: good, calls: []commandtest.Call{broken, off}},
		{name: "turned-off", files: good, calls: []commandtest.Call{gone, says(printOff, "disabled services = {\n\t\"com.example.sync\" => disabled\n}\n")}},
		{name: "turned-off-in-its-file", files: map[string]string{"com.example.sync.plist": syncJob("com.example.sync", "<key>Disabled</key><true/>")}, calls: []commandtest.Call{gone, off}},
		{name: "under-another-name", files: map[string]string{"sync.plist": syncJob("com.example.sync", ""), "bad.plist": "{"}, calls: []commandtest.Call{gone, off}},
		{name: "nothing-to-do", files: good, calls: []commandtest.Call{loaded, off}, change: func(t *testing.T, dir string) {
			own(t, filepath.Join(dir, "com.example.sync.plist"))
		}},
		{name: "of-another-job", files: map[string]string{"com.example.sync.plist": syncJob("com.example.other", "")}, calls: []commandtest.Call{gone, off}},
		{name: "damaged", files: map[string]string{"com.example.sync.plist": "<plist>"}, calls: []commandtest.Call{gone, off}},
		{name: "no-file", files: map[string]string{"README": "none"}},
		{name: "a-link", change: func(t *testing.T, dir string) {
			if err := os.Symlink("/etc/passwd", filepath.Join(dir, "com.example.sync.plist")); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "folder-open-to-others", files: good, calls: []commandtest.Call{gone, off}, change: func(t *testing.T, dir string) {
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "launchctl-denied", files: good, calls: []commandtest.Call{exits(printSync, 1)}},
		{name: "a-flag", label: "-k"},
		{name: "a-path", label: "../../etc/passwd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := jobsFolder(t, tt.files)
			if tt.change != nil {
				tt.change(t, filepath.Join(m.Root, "Library/LaunchDaemons"))
			}
			m.Run = commandtest.New(t, tt.calls...)
			label := tt.label
			if label == "" {
				label = "com.example.sync"
			}
			plan, err := actions.Builtin()["fix-launchd-plist"].Plan(t.Context(), m, map[string]string{"label": label})
			testkit.Golden(t, filepath.Join("testdata", "fix-launchd-plist", tt.name+".golden"), render(plan, err))
		})
	}
}

func own(t *testing.T, path string) {
	t.Helper()
	if err := errors.Join(os.Chown(path, 0, 0), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// The whole repair: afterwards the file is root's, whoever had the old one open
// changes nothing, and launchd has the job.
func TestFixLaunchdPlist(t *testing.T) {
	m := jobsFolder(t, map[string]string{"com.example.sync.plist": syncJob("com.example.sync", "")})
	path := filepath.Join(m.Root, syncFile)
	old, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	m.Run = commandtest.New(t, exits(printSync, 113), says(printOff, nobodyIsOff),
		exits(printSync, 113), says(enableSync, ""), says(loadSync, ""), says(printSync, ""))
	fix := actions.Builtin()["fix-launchd-plist"]
	plan, err := fix.Plan(t.Context(), m, map[string]string{"label": "com.example.sync"})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range plan.Steps {
		output, err := fix.Do(t.Context(), m, step)
		if err != nil {
			t.Fatal(step, err)
		}
		t.Log(output)
	}
	if _, err := old.WriteAt([]byte("tampered"), 0); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid != 0 || stat.Gid != 0 || info.Mode() != 0o644 {
		t.Errorf("%v %+v", info.Mode(), stat)
	}
	content, err := os.ReadFile(path)
	if err != nil || string(content) != syncJob("com.example.sync", "") {
		t.Errorf("it holds %q, %v", content, err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	m.Run = commandtest.New(t)
	if output, err := fix.Do(t.Context(), m, plan.Steps[0]); err != nil || !strings.Contains(output, "already") {
		t.Errorf("again: %q, %v", output, err)
	}
}

// Between plan and step somebody may have changed the file, or the order may
// never have come from a plan.
func TestFixLaunchdPlistLooksAgain(t *testing.T) {
	m := jobsFolder(t, map[string]string{"com.example.sync.plist": syncJob("com.example.sync", "")})
	fix := actions.Builtin()["fix-launchd-plist"]
	for name, args := range map[string]map[string]string{
		"changed": {"plist": "/" + syncFile, "sha256": strings.Repeat("0", 64)},
		"outside": {"plist": "/etc/passwd", "sha256": ""},
		"climbs":  {"plist": "/Library/LaunchDaemons/../../etc/passwd", "sha256": ""},
		"gone":    {"plist": "/Library/LaunchDaemons/gone.plist", "sha256": ""},
	} {
		if output, err := fix.Do(t.Context(), m, minikeeper.Step{Op: "own", Args: args}); err == nil {
			t.Errorf("%s: %s", name, output)
		}
	}
	info, err := os.Stat(filepath.Join(m.Root, syncFile))
	if err != nil || info.Mode() != fs.FileMode(0o664) {
		t.Errorf("it was touched: %v, %v", info, err)
	}
}

// launchd may still unload the job when it is asked to load it, and may refuse
// it for good: then the step fails, since nothing follows that would start it.
func TestFixLaunchdPlistReloads(t *testing.T) {
	loaded, gone, busy := says(printSync, ""), exits(printSync, 113), exits(loadSync, 5)
	step := func(op string) minikeeper.Step {
		return minikeeper.Step{Op: op, Args: map[string]string{"label": "com.example.sync", "plist": "/" + syncFile}}
	}
	tests := []struct {
		name, op string
		calls    []commandtest.Call
		want     string
	}{
		{
			"drains first", "reload",
			[]commandtest.Call{exits(unloadSync, 36), loaded, loaded, gone, gone, says(enableSync, ""), busy, gone, says(enableSync, ""), says(loadSync, ""), loaded},
			"",
		},
		{
			"is refused", "load",
			[]commandtest.Call{gone, says(enableSync, ""), busy, gone, says(enableSync, ""), busy, gone, says(enableSync, ""), busy, gone, says(enableSync, ""), busy, gone, says(enableSync, ""), busy, gone},
			"launchd does not take the job",
		},
		{"never ends", "reload", append([]commandtest.Call{says(unloadSync, "")}, repeat(loaded, 30)...), "has not unloaded the job after 30s"},
		{"is denied", "load", []commandtest.Call{gone, says(enableSync, ""), exits(loadSync, 1)}, "exit 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := actions.Machine{GOOS: "darwin", Run: commandtest.New(t, tt.calls...)}
				output, err := actions.Builtin()["fix-launchd-plist"].Do(t.Context(), m, step(tt.op))
				if tt.want == "" && err != nil || tt.want != "" && !strings.Contains(text(err), tt.want) {
					t.Errorf("%q, %v, want %q", output, err, tt.want)
				}
			})
		})
	}
}

func repeat(c commandtest.Call, n int) []commandtest.Call {
	var all []commandtest.Call
	for range n {
		all = append(all, c)
	}
	return all
}
