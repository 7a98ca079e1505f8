package collectors

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minikeeper/minikeeper/internal/testkit"
)

// lastWritten is when the logs of these tests were.
var lastWritten = time.Date(2026, 1, 20, 12, 0, 0, 0, time.UTC)

// readSyncLogs collects the logs below root, whose times are in UTC.
func readSyncLogs(t *testing.T, root string, written time.Time, files ...string) string {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, written, written)
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := newSyncLog(Deps{Run: noTools{}, Root: root, Settings: Settings{SyncLog: SyncLogSettings{Files: files}}})
	if err != nil {
		t.Fatal(err)
	}
	s := c.(synclog)
	s.parser = newSyncParser(time.UTC)
	return collected(t, s, root)
}

func TestSyncLog(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("testdata", "synclog", "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			deps, settings := scenario(t, path)
			got := readSyncLogs(t, deps.Root, lastWritten, strings.Fields(settings["files"])...)
			testkit.Golden(t, strings.TrimSuffix(path, ".txtar")+".golden", got)
		})
	}
}

// Every recorded output is read to what its golden file says or refused with
// the error that stands there.
func TestSyncLogRecorded(t *testing.T) {
	entries, err := os.ReadDir(testkit.Samples(t, "rsync"))
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			data, err := os.ReadFile(testkit.Samples(t, "rsync/"+e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			root := t.TempDir()
			writeScenario(t, root, "sync.log", data)
			testkit.Golden(t, filepath.Join("testdata", "synclog", "recorded", e.Name()+".golden"), readSyncLogs(t, root, lastWritten, "/sync.log"))
		})
	}
}

// A run that goes on is not the last one yet, whatever it printed.
func TestSyncLogGoesOn(t *testing.T) {
	root := t.TempDir()
	const over = "2026-01-01 22:00:00\nsending incremental file list\nsent 10 bytes  received 5 bytes  30.00 bytes/sec\ntotal size is 50  speedup is 3.33\n"
	writeScenario(t, root, "sync.log", []byte(over))
	want := readSyncLogs(t, root, time.Now(), "/sync.log")
	writeScenario(t, root, "sync.log", []byte(over+"2026-01-02 22:00:00\nsending incremental file list\nPackages/a.pkg\n"))
	if got := readSyncLogs(t, root, time.Now(), "/sync.log"); got != want {
		t.Errorf("while it goes on: got %q, want %q", got, want)
	}
	if got := readSyncLogs(t, root, lastWritten, "/sync.log"); !strings.Contains(got, synclogFinished+`{file="/sync.log"} 0`) {
		t.Errorf("after days of silence: got %q", got)
	}
}

// Of a log however long, only the end is read: the last lines, or if all of it
// is one line, the summary that it ends with.
func TestSyncLogIsReadFromItsEnd(t *testing.T) {
	const run = "sent 10 bytes received 5 bytes 30.00 bytes/sec total size is 50 speedup is 3.33\n"
	for name, filling := range map[string]string{
		"lines":    strings.Repeat("Packages/a.pkg\n", tailLimit/8),
		"one line": strings.Repeat("Packages/a.pkg ", tailLimit/8),
		"binary":   strings.Repeat("\x00\xff", tailLimit),
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			writeScenario(t, root, "sync.log", []byte("2026-01-01 22:00:00\nreceiving file list ... done "+filling+" "+run))
			start := time.Now()
			got := readSyncLogs(t, root, lastWritten, "/sync.log")
			if !strings.Contains(got, synclogTotal+`{file="/sync.log"} 50`) || !strings.Contains(got, synclogTimestamp+`{file="/sync.log"} 1.7689104e+09`) {
				t.Errorf("got %q", got)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// The real rsync: a run that is well, and one whose source is gone, which ends
// with code 23 and a summary.
func TestSyncLogReal(t *testing.T) {
	testkit.Peers(t, "rsync")
	root := t.TempDir()
	writeScenario(t, root, "source/a.pkg", []byte(strings.Repeat("a", 5000)))
	var log []byte
	rsync := func(args ...string) {
		cmd := exec.CommandContext(t.Context(), "rsync", args...)
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		if _, ran := errors.AsType[*exec.ExitError](err); err != nil && !ran {
			t.Fatal(err)
		}
		log = append(log, out...)
		writeScenario(t, root, "logs/sync.log", log)
	}
	source, replica := filepath.Join(root, "source")+"/", filepath.Join(root, "replica")+"/"
	read := func() string {
		return readSyncLogs(t, filepath.Join(root, "logs"), lastWritten, "/sync.log")
	}
	expect := func(want ...string) {
		t.Helper()
		got := read()
		for _, line := range want {
			if !strings.Contains(got, line+"\n") {
				t.Errorf("no %s in:\n%s\nof the log:\n%s", line, got, log)
			}
		}
	}

	rsync("-av", source, replica)
	expect(synclogTotal+`{file="/sync.log"} 5000`, synclogDuration+`{file="/sync.log"} 0`, synclogFalse+`{file="/sync.log",reason="error"} 0`)

	rsync("-av", "--delete", filepath.Join(root, "gone")+"/", replica)
	expect(synclogTotal+`{file="/sync.log"} 0`, synclogExit+`{file="/sync.log"} 23`, synclogFalse+`{file="/sync.log",reason="error"} 1`,
		synclogFalse+`{file="/sync.log",reason="empty"} 1`, synclogFalse+`{file="/sync.log",reason="shrunk"} 1`)

	rsync("-av", "--stats", source, replica)
	expect(synclogTotal+`{file="/sync.log"} 5000`, synclogFalse+`{file="/sync.log",reason="error"} 0`, synclogFalse+`{file="/sync.log",reason="shrunk"} 0`)

	rsync("-a", "rsync://127.0.0.1:1/none/", replica)
	expect(synclogFalse+`{file="/sync.log",reason="error"} 1`, synclogExit+`{file="/sync.log"} 10`)
}

func TestSyncLogRefuses(t *testing.T) {
	for _, files := range [][]string{{"sync.log"}, {"/a.log", "/a.log"}} {
		if _, err := newSyncLog(Deps{Settings: Settings{SyncLog: SyncLogSettings{Files: files}}}); err == nil {
			t.Errorf("%v is taken", files)
		}
	}
	root := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(root, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := readSyncLogs(t, root, lastWritten, "/pipe"); !strings.HasPrefix(got, "error: read sync log /pipe: it is no file") {
		t.Errorf("a pipe: got %q", got)
	}
}

// Numbers as the several rsyncs print them.
func TestSyncNumbers(t *testing.T) {
	for _, tt := range []struct {
		text        string
		count, rate float64
	}{
		{"1200681", 1200681, 1200681},
		{"1,200,681", 1200681, 1200681},
		{"1.200.681", 1200681, 1200681},
		{"40897.09", 4089709, 40897.09},
		{"4,958.75", 495875, 4958.75},
		{"4.958,75", 495875, 4958.75},
		{"5.10M", 5.1e6, 5.1e6},
		{"1,234.56K", 1234560, 1234560},
		{"7G", 7e9, 7e9},
		{"12,004", 12004, 12004},
	} {
		if got := syncCount(tt.text); got.value != tt.count || !got.known {
			t.Errorf("%s as a number of bytes is %+v, want %v", tt.text, got, tt.count)
		}
		if got := syncRate(tt.text); got.value != tt.rate || !got.known {
			t.Errorf("%s as a rate is %+v, want %v", tt.text, got, tt.rate)
		}
	}
}

// What scripts write down as exit codes, and what only looks like it.
func TestStatedExitCodes(t *testing.T) {
	for line, want := range map[string]int{
		"[exit status: 12]": 12, "rsync exit code: 0": 0, "Exited with status 23": 23, "exit=255": 255, "EXIT CODE 24.": 24,
		"exit": -1, "exit 256": -1, "exit code of 7": -1, "no exit 5": -1, "exit 5 files": -1, "exit code 0005": -1, "": -1,
	} {
		got := -1
		if code := statedExit(line); code != nil {
			got = *code
		}
		if got != want {
			t.Errorf("%q: %d, want %d", line, got, want)
		}
	}
}

func FuzzSyncLog(f *testing.F) {
	f.Add("22:00:00 11-07-26\nreceiving file list ... done sent 20 bytes received 200000 bytes 36367.27 bytes/sec total size is 1,000 speedup is 4.95\n", true)
	f.Add("2026/01/01 22:00:00 [300] receiving file list\nrsync error: x (code 23) at a\n[exit status: 23]\n", false)
	f.Add("sent 5.10M bytes  received 37 bytes  0.00 bytes/sec\rtotal size is 0  speedup is 9,9 (DRY RUN)\nrsync(1): error: x\n", true)
	parser := newSyncParser(time.UTC)
	f.Fuzz(func(t *testing.T, text string, quiet bool) {
		runs := parser.runs(text, quiet)
		if len(runs) == 0 {
			return
		}
		samples := syncSamples("/a", runs, lastWritten)
		checkSamples(t, synclog{}, samples)
		for _, s := range samples {
			if s.Value < 0 && s.Name != synclogTimestamp {
				t.Error(s)
			}
		}
	})
}
