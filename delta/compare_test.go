package delta_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/minikeeper/minikeeper/delta"
)

// share is what most tests begin with, on both sides.
func share() tree {
	return tree{
		"Packages/a.pkg":     "package a",
		"Packages/b.pkg":     "package b",
		"Packages/old/c.pkg": "package c",
		"Scripts/run.sh":     "#!/bin/sh",
		"current":            "-> Packages/a.pkg",
		"empty/":             "",
	}
}

// A change is a way to spoil one side of a share.
type change struct {
	name string
	do   func(t *testing.T, origin, replica string)
	want []delta.Entry // sorted by path
}

func changes() []change {
	return []change{
		{"nothing", func(*testing.T, string, string) {}, nil},
		{"missing file", func(t *testing.T, _, r string) {
			must(t, os.Remove(r+"/Packages/a.pkg"))
		}, []delta.Entry{{"Packages/a.pkg", delta.Missing, 9}}},
		{"missing folder counts what it holds", func(t *testing.T, _, r string) {
			must(t, os.RemoveAll(r+"/Packages/old"))
		}, []delta.Entry{{"Packages/old", delta.Missing, 0}, {"Packages/old/c.pkg", delta.Missing, 9}}},
		{"missing empty folder", func(t *testing.T, _, r string) {
			must(t, os.Remove(r+"/empty"))
		}, []delta.Entry{{"empty", delta.Missing, 0}}},
		{"missing link", func(t *testing.T, _, r string) {
			must(t, os.Remove(r+"/current"))
		}, []delta.Entry{{"current", delta.Missing, 0}}},
		{"extra file", func(t *testing.T, _, r string) {
			write(t, r+"/Packages/z.pkg", "left over")
		}, []delta.Entry{{"Packages/z.pkg", delta.Extra, 0}}},
		{"extra folder counts what it holds", func(t *testing.T, _, r string) {
			tree{"x/y/": "", "x/z": "z"}.build(t, r)
		}, []delta.Entry{{"x", delta.Extra, 0}, {"x/y", delta.Extra, 0}, {"x/z", delta.Extra, 0}}},
		{"other size", func(t *testing.T, _, r string) {
			write(t, r+"/Packages/a.pkg", "package a, longer")
		}, []delta.Entry{{"Packages/a.pkg", delta.Content, 9}}},
		{"bit rot: same size, same time", func(t *testing.T, _, r string) {
			write(t, r+"/Packages/a.pkg", "package A")
		}, []delta.Entry{{"Packages/a.pkg", delta.Content, 9}}},
		{"other time", func(t *testing.T, _, r string) {
			must(t, os.Chtimes(r+"/Packages/a.pkg", then, then.Add(time.Second)))
		}, []delta.Entry{{"Packages/a.pkg", delta.Metadata, 0}}},
		{"other permissions", func(t *testing.T, _, r string) {
			must(t, os.Chmod(r+"/Scripts/run.sh", 0o755))
		}, []delta.Entry{{"Scripts/run.sh", delta.Metadata, 0}}},
		{"other permissions of a folder", func(t *testing.T, _, r string) {
			must(t, os.Chmod(r+"/Packages", 0o700))
		}, []delta.Entry{{"Packages", delta.Metadata, 0}}},
		{"set-id bit on the replica", func(t *testing.T, _, r string) {
			must(t, os.Chmod(r+"/Scripts/run.sh", 0o644|fs.ModeSetuid))
		}, []delta.Entry{{"Scripts/run.sh", delta.Metadata, 0}}},
		{"other target of a link", func(t *testing.T, _, r string) {
			must(t, os.Remove(r+"/current"))
			must(t, os.Symlink("Packages/b.pkg", r+"/current"))
		}, []delta.Entry{{"current", delta.Content, 0}}},
		{"file where the origin has a folder", func(t *testing.T, _, r string) {
			must(t, os.RemoveAll(r+"/Packages/old"))
			write(t, r+"/Packages/old", "a file")
		}, []delta.Entry{{"Packages/old", delta.Content, 0}, {"Packages/old/c.pkg", delta.Missing, 9}}},
		{"folder where the origin has a file", func(t *testing.T, _, r string) {
			must(t, os.Remove(r+"/Packages/a.pkg"))
			tree{"Packages/a.pkg/x/y": "y"}.build(t, r)
		}, []delta.Entry{
			{"Packages/a.pkg", delta.Content, 9},
			{"Packages/a.pkg/x", delta.Extra, 0},
			{"Packages/a.pkg/x/y", delta.Extra, 0},
		}},
		{"link where the origin has a file", func(t *testing.T, _, r string) {
			must(t, os.Remove(r+"/Packages/a.pkg"))
			must(t, os.Symlink("b.pkg", r+"/Packages/a.pkg"))
		}, []delta.Entry{{"Packages/a.pkg", delta.Content, 9}}},
		{"link where the origin has a folder", func(t *testing.T, _, r string) {
			must(t, os.RemoveAll(r+"/Packages/old"))
			must(t, os.Symlink("/etc", r+"/Packages/old"))
		}, []delta.Entry{{"Packages/old", delta.Content, 0}, {"Packages/old/c.pkg", delta.Missing, 9}}},
		{"file where the origin has a link", func(t *testing.T, _, r string) {
			must(t, os.Remove(r+"/current"))
			write(t, r+"/current", "package a")
		}, []delta.Entry{{"current", delta.Content, 0}}},
		{"folder where the origin has a link", func(t *testing.T, _, r string) {
			must(t, os.Remove(r+"/current"))
			must(t, os.Mkdir(r+"/current", 0o755))
		}, []delta.Entry{{"current", delta.Content, 0}}},
	}
}

func TestCompare(t *testing.T) {
	for _, tt := range changes() {
		t.Run(tt.name, func(t *testing.T) {
			origin, replica := pair(t, share(), share())
			tt.do(t, origin, replica)
			before := snapshot(t, replica)

			r, err := delta.Compare(t.Context(), origin, replica, delta.Options{})
			if err != nil || r.ProblemCount != 0 {
				t.Fatalf("%v; problems %v", err, r.Problems)
			}
			if diff := cmp.Diff(tt.want, r.Entries); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
			checkCounts(t, r, tt.want)
			if diff := cmp.Diff(before, snapshot(t, replica)); diff != "" {
				t.Errorf("the replica was changed:\n%s", diff)
			}
			if _, err := os.Lstat(replica + "/.minikeeper"); err == nil {
				t.Error("a comparison wrote to the replica")
			}
		})
	}
}

func checkCounts(t *testing.T, r delta.Report, want []delta.Entry) {
	t.Helper()
	counts := map[delta.Kind]int64{delta.Missing: 0, delta.Extra: 0, delta.Content: 0, delta.Metadata: 0}
	var bytes int64
	for _, e := range want {
		counts[e.Kind]++
		bytes += e.Bytes
	}
	if diff := cmp.Diff(counts, r.Counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if r.DriftBytes != bytes || r.Drift() != int64(len(want)) || r.InSync() != (len(want) == 0) {
		t.Errorf("drift %d of %d bytes, in sync %v; want %d, %d", r.Drift(), r.DriftBytes, r.InSync(), len(want), bytes)
	}
}

func TestCompareCounts(t *testing.T) {
	origin, replica := pair(t, share(), tree{"Packages/a.pkg": "package a", "x/y": "12345", "l": "-> x"})
	r, err := delta.Compare(t.Context(), origin, replica, delta.Options{})
	must(t, err)
	if r.Files != 3 || r.Dirs != 2 || r.Bytes != 14 || r.OriginFiles != 5 {
		t.Errorf("got %d files, %d folders, %d bytes; %d on the origin; want 3, 2, 14; 5", r.Files, r.Dirs, r.Bytes, r.OriginFiles)
	}
	if r.BytesRead != 2*9 {
		t.Errorf("read %d bytes, want those of a.pkg twice", r.BytesRead)
	}
}

func TestCompareBoundsEntriesNotCounts(t *testing.T) {
	o := tree{}
	for name := range strings.FieldsSeq("a b c d e f g h i j") {
		o[name] = name
	}
	origin, replica := pair(t, o, tree{})
	for limit, want := range map[int]int{3: 3, 0: 10, -1: 0} {
		r, err := delta.Compare(t.Context(), origin, replica, delta.Options{MaxEntries: limit})
		must(t, err)
		if len(r.Entries) != want || r.Counts[delta.Missing] != 10 || r.DriftBytes != 10 {
			t.Errorf("limit %d: %d entries, %d missing; want %d and 10", limit, len(r.Entries), r.Counts[delta.Missing], want)
		}
	}
}

// hostile are names that other programs stumble over.
func hostile() tree {
	long := strings.Repeat("n", 255)
	deep := strings.Repeat("deep/", 300)
	return tree{
		"new\nline":              "1",
		"invalid \xff\xfe":       "2",
		"nfc caf\u00e9":          "3",
		"nfd cafe\u0301":         "4",
		long:                     "5",
		deep + "bottom":          "6",
		" leading and trailing ": "7",
		"-rf":                    "8",
		"..hidden":               "9",
		"back\\slash":            "10",
		"tab\tand \x01":          "11",
		"*?[":                    "12",
		"sub/.minikeeper/x":      "13", // reserved at the root only
		"CASE":                   "14",
		"case":                   "15",
		"a/b":                    "16", // beside "a.b", which sorts between "a" and "a/b"
		"a.b":                    "17",
	}
}

func TestHostileNames(t *testing.T) {
	origin, replica := pair(t, hostile(), tree{})
	r, err := delta.Compare(t.Context(), origin, replica, delta.Options{})
	must(t, err)
	if got := r.Counts[delta.Missing]; got != 17+3+300 || r.OriginFiles != 17 {
		t.Errorf("%d missing, %d files on the origin; problems %v", got, r.OriginFiles, r.Problems)
	}
	mustSync(t, origin, replica, all())
	wantEqual(t, origin, replica)

	// And away with them, all but one.
	emptied := filepath.Join(t.TempDir(), "emptied")
	tree{"a.b": "17"}.build(t, emptied)
	mustSync(t, emptied, replica, all())
	wantEqual(t, emptied, replica)
}

// A tree deeper than PATH_MAX has no path that the system would take.
func TestDeeperThanAnyPath(t *testing.T) {
	origin, replica := pair(t, tree{"x": "x"}, tree{})
	name := strings.Repeat("d", 200)
	back, err := os.Getwd()
	must(t, err)
	must(t, os.Chdir(origin)) //nolint:usetesting // the way down is by steps
	for range 30 {
		must(t, os.Mkdir(name, 0o755))
		must(t, os.Chdir(name)) //nolint:usetesting // likewise
	}
	write(t, "bottom", "6 KB down")
	must(t, os.Chdir(back)) //nolint:usetesting // likewise

	r, err := delta.Sync(t.Context(), origin, replica, all())
	if err != nil || !r.Equal() || r.FilesCopied != 2 {
		t.Fatalf("%v; %d copied; problems %v", err, r.FilesCopied, r.Problems)
	}
	again, err := delta.Compare(t.Context(), origin, replica, delta.Options{})
	if err != nil || !again.InSync() || again.Dirs != 30 {
		t.Errorf("%v; %d folders; entries %v", err, again.Dirs, again.Entries)
	}
}

func TestTooDeepIsAProblem(t *testing.T) {
	origin, replica := pair(t, tree{strings.Repeat("d/", 450) + "x": "x", "y": "y"}, tree{"z": "z"})
	r, err := delta.Sync(t.Context(), origin, replica, all())
	must(t, err)
	if r.Equal() || !strings.Contains(problems(r.Problems), "folders deep") {
		t.Errorf("problems %s", problems(r.Problems))
	}
	if _, err := os.Lstat(replica + "/z"); err != nil || r.FilesCopied != 1 {
		t.Errorf("%d copied, extra file: %v; want y copied and z kept, as not all of the origin is known", r.FilesCopied, err)
	}
}

func TestExclude(t *testing.T) {
	tests := []struct {
		name    string
		exclude []string
		path    string // of an extra file on the replica
		drift   int64
	}{
		{"default", nil, "Packages/.DS_Store", 0},
		{"default resource fork", nil, "Packages/._a.pkg", 0},
		{"default folder", nil, ".Trashes/501/x", 0},
		{"default by name", []string{"default", "*.tmp"}, ".DS_Store", 0},
		{"none", []string{}, ".DS_Store", 1},
		{"list without default", []string{"*.tmp"}, ".DS_Store", 1},
		{"name anywhere", []string{"*.tmp"}, "Packages/old/x.tmp", 0},
		{"path", []string{"Packages/*.tmp"}, "Packages/x.tmp", 0},
		{"path is anchored", []string{"Packages/*.tmp"}, "Packages/old/x.tmp", 1},
		{"leading slash", []string{"/Packages/x"}, "Packages/x", 0},
		{"trailing slash", []string{"old/"}, "Packages/old/x", 0},
		{"reserved", []string{}, ".minikeeper/trash/x", 0},
		{"reserved whatever its case", []string{}, ".Minikeeper/x", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			origin, replica := pair(t, share(), share())
			tree{tt.path: "x"}.build(t, replica)
			r, err := delta.Compare(t.Context(), origin, replica, delta.Options{Exclude: tt.exclude})
			if err != nil || r.Drift() != tt.drift {
				t.Errorf("%v; entries %v, want %d", err, r.Entries, tt.drift)
			}
			o := all()
			o.Exclude = tt.exclude
			mustSync(t, origin, replica, o)
			if _, err := os.Lstat(path.Join(replica, tt.path)); (err == nil) != (tt.drift == 0) {
				t.Errorf("after sync: %v", err)
			}
		})
	}
}

func TestExcludeOnTheOriginIsNotCopied(t *testing.T) {
	origin, replica := pair(t, tree{"a": "a", ".DS_Store": "x", "b/._c": "y", "b/c": "c"}, tree{})
	mustSync(t, origin, replica, all())
	if diff := cmp.Diff(snapshot(t, replica), map[string]string{"a": "", "b": "", "b/c": ""}, cmp.Comparer(func(_, _ string) bool { return true })); diff != "" {
		t.Error(diff)
	}
}

func TestExcludeMalformed(t *testing.T) {
	origin, replica := pair(t, share(), share())
	for _, pattern := range []string{"[", "a/[", "/", ""} {
		_, err := delta.Compare(t.Context(), origin, replica, delta.Options{Exclude: []string{pattern}})
		if err == nil || !strings.Contains(err.Error(), "exclude pattern") {
			t.Errorf("pattern %q: got %v", pattern, err)
		}
	}
}

func TestRefusedRoots(t *testing.T) {
	dir := t.TempDir()
	share().build(t, dir+"/a")
	share().build(t, dir+"/a/inner")
	must(t, os.Symlink(dir+"/a", dir+"/link"))
	write(t, dir+"/file", "x")
	tests := []struct {
		name, origin, replica string
		want                  error
	}{
		{"same", dir + "/a", dir + "/a", delta.ErrSameTree},
		{"same by another spelling", dir + "/a", dir + "/a/../a/.", delta.ErrSameTree},
		{"same by a link", dir + "/a", dir + "/link", delta.ErrSameTree},
		{"replica in origin", dir + "/a", dir + "/a/inner", delta.ErrSameTree},
		{"origin in replica", dir + "/a/inner", dir + "/link", delta.ErrSameTree},
		{"no origin", dir + "/none", dir + "/a", fs.ErrNotExist},
		{"no replica", dir + "/a", dir + "/none", fs.ErrNotExist},
		{"origin is a file", dir + "/file", dir + "/a", unix.ENOTDIR},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := snapshot(t, dir)
			_, err := delta.Compare(t.Context(), tt.origin, tt.replica, delta.Options{})
			if !errors.Is(err, tt.want) {
				t.Errorf("compare: got %v, want %v", err, tt.want)
			}
			_, err = delta.Sync(t.Context(), tt.origin, tt.replica, all())
			if !errors.Is(err, tt.want) {
				t.Errorf("sync: got %v, want %v", err, tt.want)
			}
			if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
				t.Errorf("something was written:\n%s", diff)
			}
		})
	}
}

func TestSpecialFilesAreProblems(t *testing.T) {
	origin, replica := pair(t, share(), share())
	must(t, unix.Mkfifo(origin+"/pipe", 0o644))
	must(t, unix.Mkfifo(replica+"/extra pipe", 0o644))
	must(t, os.Mkdir(replica+"/run", 0o755))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", replica+"/run/sock")
	must(t, err)
	defer listener.Close()
	write(t, replica+"/run/x", "x")
	must(t, os.Remove(replica+"/Packages/a.pkg"))

	r, err := delta.Compare(t.Context(), origin, replica, delta.Options{})
	must(t, err)
	want := `"extra pipe": it is a device, pipe or socket, which a share may not hold
"pipe": it is a device, pipe or socket, which a share may not hold
"run/sock": it is a device, pipe or socket, which a share may not hold`
	if got := problems(r.Problems); got != want {
		t.Errorf("problems:\n%s", got)
	}
	s, err := delta.Sync(t.Context(), origin, replica, all())
	if err != nil || s.Equal() || s.FilesCopied != 1 || s.Deleted != 1 {
		t.Errorf("%v; %+v; want one file copied, one deleted, and problems", err, s)
	}
}

// A file that never stands still is a problem, and nothing else waits for it.
func TestChangesWhileRead(t *testing.T) {
	big := strings.Repeat("x", 64<<20)
	origin, replica := pair(t, tree{"busy": big, "quiet": "q"}, tree{"busy": big, "quiet": "Q"})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		f, err := os.OpenFile(origin+"/busy", os.O_WRONLY, 0)
		for ; err == nil && ctx.Err() == nil; time.Sleep(time.Millisecond) {
			_, err = f.WriteAt([]byte("x"), 0) // the same byte: the content does not differ
		}
		done <- errors.Join(err, f.Close())
	}()
	time.Sleep(5 * time.Millisecond)
	r, err := delta.Compare(t.Context(), origin, replica, delta.Options{})
	stop()
	must(t, <-done)
	must(t, err)
	if got := problems(r.Problems); got != `"busy": origin: it changes while it is read` {
		t.Errorf("problems %s", got)
	}
	if r.Counts[delta.Content] != 1 {
		t.Errorf("entries %v, want the quiet one", r.Entries)
	}
}

func TestCompareCancelled(t *testing.T) {
	origin, replica := pair(t, share(), share())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := delta.Compare(ctx, origin, replica, delta.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Filesystems keep times with different precision: what only that explains is no drift.
func TestTimesAsPreciseAsTheCoarserSide(t *testing.T) {
	tests := []struct {
		have time.Time
		same bool
	}{
		{then, true},
		{then.Truncate(time.Second), true},
		{then.Truncate(time.Microsecond), true},
		{then.Truncate(100 * time.Nanosecond), true},
		{then.Truncate(time.Millisecond), false}, // no filesystem keeps these
		{then.Truncate(time.Second).Add(time.Second), false},
		{then.Add(time.Nanosecond), false},
	}
	for _, tt := range tests {
		origin, replica := pair(t, tree{"a": "a"}, tree{"a": "a"})
		must(t, os.Chtimes(replica+"/a", tt.have, tt.have))
		r, err := delta.Compare(t.Context(), origin, replica, delta.Options{})
		if err != nil || r.InSync() != tt.same {
			t.Errorf("%v beside %v: in sync %v, %v", then, tt.have, r.InSync(), err)
		}
	}
}

func TestProgress(t *testing.T) {
	origin, replica := pair(t, share(), tree{"x": "x"})
	var told []delta.Progress
	o := all()
	o.Progress = func(p delta.Progress) { told = append(told, p) }
	_, err := delta.Sync(t.Context(), origin, replica, o)
	must(t, err)
	last := map[delta.Phase]delta.Progress{}
	for _, p := range told {
		last[p.Phase] = p
	}
	want := map[delta.Phase]delta.Progress{
		delta.PhaseCompare: {Phase: delta.PhaseCompare},
		delta.PhaseCopy:    {Phase: delta.PhaseCopy, Files: 5, FilesTotal: 5, Bytes: 36, BytesTotal: 36},
		delta.PhaseDelete:  {Phase: delta.PhaseDelete, Files: 1, FilesTotal: 1},
	}
	if diff := cmp.Diff(want, last); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
