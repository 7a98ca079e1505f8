package collectors

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minikeeper/minikeeper/internal/testkit"
)

// Every recorded file is either read to what its golden file says or refused
// with the error that stands there; none is passed over.
func TestRAIDRecorded(t *testing.T) {
	for _, folder := range []string{"raid-macos", "raid-linux"} {
		entries, err := os.ReadDir(testkit.Samples(t, folder))
		if err != nil || len(entries) == 0 {
			t.Fatal(folder, err)
		}
		for _, e := range entries {
			t.Run(e.Name(), func(t *testing.T) {
				data, err := os.ReadFile(testkit.Samples(t, folder+"/"+e.Name()))
				if err != nil {
					t.Fatal(err)
				}
				deps := recordedMachine(t, folder, e.Name(), data)
				c, err := newRAID(deps)
				if err != nil {
					t.Fatal(err)
				}
				testkit.Golden(t, filepath.Join("testdata", "raid", "recorded", e.Name()+".golden"), collected(t, c, deps.Root))
			})
		}
	}
}

// recordedMachine is a machine on which a recorded file is what the collector
// comes upon.
func recordedMachine(t *testing.T, folder, name string, data []byte) Deps {
	t.Helper()
	root := t.TempDir()
	linux := Deps{Run: noTools{}, GOOS: "linux", Root: root, Settings: Settings{RAID: RAIDSettings{Backend: "mdraid"}}}
	switch {
	case strings.HasSuffix(name, ".tsv"): // PATH<tab>CONTENT of /sys, beside an mdstat that cannot be read
		unpackSysfs(t, root, data)
		writeScenario(t, root, "proc/mdstat", []byte("not mdstat\n"))
		return linux
	case folder == "raid-linux":
		writeScenario(t, root, "proc/mdstat", data)
		return linux
	case strings.HasSuffix(name, ".plist"):
		return Deps{GOOS: "darwin", Run: tools{
			"diskutil appleRAID list":        {Stdout: []byte("unreadable\n")},
			"diskutil appleRAID list -plist": {Stdout: data},
		}}
	default:
		return Deps{GOOS: "darwin", Run: tools{
			"diskutil appleRAID list":        {Stdout: data},
			"diskutil appleRAID list -plist": {Exit: 1, Stderr: []byte("no such form\n")},
		}}
	}
}

func writeScenario(t *testing.T, root, name string, data []byte) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func unpackSysfs(t *testing.T, root string, data []byte) {
	t.Helper()
	for line := range bytes.Lines(data) {
		path, content, ok := strings.Cut(strings.TrimRight(string(line), "\n"), "\t")
		if !ok || strings.HasPrefix(content, "-> ") {
			continue
		}
		writeScenario(t, root, path, []byte(content+"\n"))
	}
}

// A sample of any recorded array has one state, and is not redundant unless
// all its members are online.
func TestRAIDStatesAreConsistent(t *testing.T) {
	for path, text := range goldens(t, filepath.Join("testdata", "raid")) {
		states := make(map[string]int)
		for line := range strings.Lines(text) {
			name, rest, ok := strings.Cut(line, `{array="`)
			array, rest, _ := strings.Cut(rest, `"`)
			if ok && name == raidState && strings.HasSuffix(rest, " 1\n") {
				states[array]++
			}
			if ok && name == raidRedundant && strings.HasSuffix(rest, " 1\n") &&
				!strings.Contains(text, raidState+`{array="`+array+`",state="online"} 1`) &&
				!strings.Contains(text, raidState+`{array="`+array+`",state="rebuilding"} 1`) {
				t.Errorf("%s: %s is redundant and not online", path, array)
			}
		}
		for array, n := range states {
			if n != 1 {
				t.Errorf("%s: %s is in %d states at once", path, array, n)
			}
		}
	}
}
