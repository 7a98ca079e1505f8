package collectors

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
)

// What must hold for whatever a source says: numbers that can be published,
// one state for each array, and no redundancy without two members.
func checkArrays(t *testing.T, arrays []array) {
	t.Helper()
	arrays = newRAIDMemory(nil).complete(arrays, map[string]bool{})
	var samples []minikeeper.Sample
	for _, a := range arrays {
		samples = append(samples, a.samples()...)
		if redundant, known := a.redundant(); known && redundant && a.members[memberOnline] < 2 {
			t.Errorf("redundant with %d members online: %+v", a.members[memberOnline], a)
		}
		for state, n := range a.members {
			if n < 0 {
				t.Errorf("%d members %s", n, state)
			}
		}
	}
	checkSamples(t, raid{}, samples)
	for _, s := range samples {
		if s.Name == raidRebuild && (s.Value < 0 || s.Value > 1) {
			t.Error(s)
		}
	}
}

func FuzzAppleRAID(f *testing.F) {
	f.Add("AppleRAID sets (2 found)\n===\nName: a\nUnique ID: 0E1D2C3B-4A59-4868-9786-000000000001\nType: Mirror\nStatus: Degraded\n---\n0  disk2s2  0E1D2C3B-4A59-4868-9786-00000000000B  5% (Rebuilding)4000\n-  -none-  0E1D2C3B-4A59-4868-9786-00000000000C  Missing/Damaged\n===\n")
	f.Add("AppleRAID: failed\nNo AppleRAID sets found\n")
	f.Add("RAID SETS\n---\nName: b\nName: c\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseAppleRAID(text)
		checkArrays(t, list.arrays)
		if err == nil && len(list.arrays) == 0 && !strings.Contains(text, "RAID sets found") && !strings.Contains(text, "RAID SETS") && !strings.Contains(text, "AppleRAID sets (0") {
			t.Errorf("%q is taken for a list without sets", text)
		}
	})
}

func FuzzAppleRAIDPlist(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0"?><plist version="1.0"><dict><key>AppleRAIDSets</key><array><dict><key>AppleRAIDSetUUID</key><string>u</string><key>Members</key><array><dict><key>MemberStatus</key><string>7% (Rebuilding)</string></dict></array></dict></array></dict></plist>`))
	f.Add([]byte(`<?xml version="1.0"?><plist><dict/></plist>`))
	f.Add([]byte(`<?xml?><array><array><array/>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		arrays, _ := parseAppleRAIDPlist(data)
		checkArrays(t, arrays)
	})
}

func FuzzMDStat(f *testing.F) {
	f.Add("Personalities : [raid1]\nmd0 : active raid1 sdb1[1](F) sda1[0]\n      97 blocks super 1.2 [2/1] [U_]\n      [>....]  recovery = 25.0% (24/97) finish=6.0min speed=2K/sec\n\nunused devices: <none>\n")
	f.Add("Personalities : x\nmd127 : inactive sdb[1](S)\n      6306 blocks super external:imsm\n\n\n")
	f.Add("md1 : active raid0 a[0] b[1]\n 7 blocks\n\n\n")
	root := f.TempDir()
	if err := os.Mkdir(filepath.Join(root, "proc"), 0o755); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(filepath.Join(root, "proc", "mdstat"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		arrays, _ := readMDRAID(t.Context(), Deps{Root: root})
		checkArrays(t, arrays)
	})
}

func FuzzBtrfsErrors(f *testing.F) {
	f.Add("write_errs 3\nread_errs 0\n")
	f.Add("invalid")
	f.Fuzz(func(t *testing.T, text string) {
		counts := parseBtrfsErrors(text)
		checkArrays(t, []array{{name: "a", errors: []memberErrors{{"1", counts}}}})
	})
}

// The most that is read, and the most that a program may print, is read or
// refused in bounded time and memory.
func TestParsersAreBounded(t *testing.T) {
	plists := func(b []byte) { _, _ = parseAppleRAIDPlist(append([]byte("<?xml?>"), b...)) }
	for _, tt := range []struct {
		name  string
		parse func([]byte)
		units []string
	}{
		{"appleraid", func(b []byte) { _, _ = parseAppleRAID(string(b)) }, []string{"\x00", "\n", "a: b\n", "===\nName: a\nUnique ID: b\nx\n", "0 d 0E1D2C3B-4A59-4868-9786-00000000000B Online\n"}},
		{"plist", plists, []string{"a ", "<array>", "<", "<dict/>"}},
		{"mountinfo", func(b []byte) { _, _ = parseMountinfo(string(b)) }, []string{"\x00", "\n", "1 1 8:1 / /a rw - e d rw\n"}},
		{"mount", func(b []byte) { _, _ = parseBSDMount(string(b)) }, []string{"\x00", "a b\n", "a on / (b)\n"}},
		{"df", func(b []byte) { _, _ = parseDF(string(b), map[string]mount{"/": {}}) }, []string{"\x00", "a b\n", "a 1 1 1 1% /\n"}},
	} {
		for _, unit := range tt.units {
			measure(t, tt.name, tt.parse, unit, listLimit-7)
		}
		measure(t, tt.name, tt.parse, "word ", 64<<20)
	}
}

func measure(t *testing.T, name string, parse func([]byte), unit string, size int) {
	t.Helper()
	data := bytes.Repeat([]byte(unit), size/len(unit))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	parse(data)
	runtime.ReadMemStats(&after)
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("%s takes %v for %d MiB of %q", name, took, size>>20, unit)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 500<<20 {
		t.Errorf("%s takes %d MiB for %d MiB of %q", name, used>>20, size>>20, unit)
	}
}

// One pass of disk and raid over this machine; the aim is less than 5 ms.
func BenchmarkDiskAndRAID(b *testing.B) {
	d, err := newDisk(Deps{Run: noTools{}, GOOS: "linux"})
	if err != nil {
		b.Fatal(err)
	}
	r, err := newRAID(Deps{Run: noTools{}, GOOS: "linux"})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, _ = d.Collect(b.Context())
		_, _ = r.Collect(b.Context())
	}
}
