package delta_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper/delta"
	"github.com/minikeeper/minikeeper/delta/manifest"
)

// recorded makes a tree of what tr describes, and a record of it.
func recorded(t testing.TB, tr tree) (root, state string) {
	t.Helper()
	dir := t.TempDir()
	root, state = filepath.Join(dir, "share"), filepath.Join(dir, "state", "manifest")
	must(t, os.Mkdir(root, 0o755))
	tr.build(t, root)
	mustIngest(t, root, state)
	return root, state
}

func mustIngest(t testing.TB, root, state string) delta.RecordReport {
	t.Helper()
	r, err := delta.Ingest(t.Context(), root, state, delta.RecordOptions{})
	if err != nil || r.ProblemCount > 0 {
		t.Fatalf("ingest: %v; problems %v", err, r.Problems)
	}
	return r
}

func mustScrub(t testing.TB, root, state string) delta.RecordReport {
	t.Helper()
	r, err := delta.Scrub(t.Context(), root, state, delta.ScrubOptions{})
	if err != nil || r.ProblemCount > 0 {
		t.Fatalf("scrub: %v; problems %v", err, r.Problems)
	}
	return r
}

// corrupt lists the paths that are corrupt, with their blocks.
func corrupt(r delta.RecordReport) string {
	var lines []string
	for _, c := range r.Corruptions {
		lines = append(lines, fmt.Sprint(c.Path, c.Blocks))
	}
	return strings.Join(lines, " ")
}

// flip changes one byte of a file, and sets its modification time back.
func flip(t testing.TB, path string, at int64) {
	t.Helper()
	st, err := os.Stat(path)
	must(t, err)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	must(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b, at)
	must(t, err)
	must(t, f.Close())
	must(t, os.Chtimes(path, st.ModTime(), st.ModTime()))
}

// dump describes all entries of the record at state.
func dump(t testing.TB, state string) map[string]string {
	t.Helper()
	f, err := os.Open(state)
	must(t, err)
	defer f.Close()
	st, err := f.Stat()
	must(t, err)
	r, err := manifest.Open(f, st.Size())
	must(t, err)
	seen := make(map[string]string)
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return seen
		}
		must(t, err)
		seen[e.Path] = fmt.Sprint(e.Kind, " ", os.FileMode(e.Mode), " ", e.Size, " ", e.Flags, " ", e.Target, " ", e.BlockCount())
	}
}

func TestIngestRecordsWhatIsThere(t *testing.T) {
	_, state := recorded(t, tree{
		"a": "12345", "empty": "", "d/": "", "d-x": "1", "d/y": "22", "e/f/g": "333", "link": "-> ../away", ".DS_Store": "junk",
		"new\nline": "x", "\xff\xfe": "y", "..almost": "z", strings.Repeat("n", 255): "long",
	})
	want := map[string]string{
		"a": "1 -rw-r--r-- 5 0  1", "empty": "1 -rw-r--r-- 0 0  0", "d": "2 -rwxr-xr-x 0 0  0", "d-x": "1 -rw-r--r-- 1 0  1",
		"d/y": "1 -rw-r--r-- 2 0  1", "e": "2 -rwxr-xr-x 0 0  0", "e/f": "2 -rwxr-xr-x 0 0  0", "e/f/g": "1 -rw-r--r-- 3 0  1",
		"link": "3 ---------- 0 0 ../away 0", "new\nline": "1 -rw-r--r-- 1 0  1", "\xff\xfe": "1 -rw-r--r-- 1 0  1",
		"..almost": "1 -rw-r--r-- 1 0  1", strings.Repeat("n", 255): "1 -rw-r--r-- 4 0  1",
	}
	if diff := cmp.Diff(want, dump(t, state)); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestIngestReadsWhatChanged(t *testing.T) {
	root, state := recorded(t, tree{"same": "1", "longer": "22", "later": "333", "gone": "4444", "dir/gone": "5", "file": "6", "mode": "7", "link": "-> a"})
	first := mustIngest(t, root, state)
	if first.FilesRead != 0 || first.Generation != 1 {
		t.Errorf("nothing changed: read %d files, generation %d", first.FilesRead, first.Generation)
	}
	before, err := os.Stat(state)
	must(t, err)

	write(t, root+"/longer", "222")
	must(t, os.Chtimes(root+"/later", then, then.Add(time.Second)))
	must(t, os.Remove(root+"/gone"))
	must(t, os.RemoveAll(root+"/dir"))
	must(t, os.Remove(root+"/file"))
	must(t, os.Mkdir(root+"/file", 0o755))
	must(t, os.Chmod(root+"/mode", 0o600))
	must(t, os.Remove(root+"/link"))
	must(t, os.Symlink("b", root+"/link"))
	write(t, root+"/new", "8")
	r := mustIngest(t, root, state)
	got := []int64{r.Added, r.Changed, r.Removed, r.FilesRead, int64(r.Generation), r.Files, r.Dirs}
	if diff := cmp.Diff([]int64{1, 5, 3, 4, 2, 5, 1}, got); diff != "" {
		t.Errorf("added, changed, removed, read, generation, files, folders (-want +got):\n%s", diff)
	}
	if r.Root == first.Root {
		t.Error("another content has the same root")
	}
	after, err := os.Stat(state)
	must(t, err)
	if os.SameFile(before, after) {
		t.Error("the state file was changed in its place")
	}
}

func TestRootIsThatOfTheContent(t *testing.T) {
	content := tree{"a": "1", "d/b": "2", "l": "-> a"}
	rootA, stateA := recorded(t, content)
	_, stateB := recorded(t, content)
	a, b := mustIngest(t, rootA, stateA), dumpTotals(t, stateB)
	if a.Root != b.Root {
		t.Errorf("one content has two roots: %v and %v", a.Root, b.Root)
	}
}

// aged gives the files of the record at state other times of verification.
func aged(t testing.TB, state string, verified func(path string) time.Time) {
	t.Helper()
	data, err := os.ReadFile(state)
	must(t, err)
	r, err := manifest.Open(bytes.NewReader(data), int64(len(data)))
	must(t, err)
	f, err := os.Create(state)
	must(t, err)
	w := manifest.NewWriter(f, nil)
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		e.Verified = verified(e.Path).Unix()
		must(t, w.Add(e))
	}
	must(t, w.Close(r.Meta()))
	must(t, f.Close())
}

func dumpTotals(t testing.TB, state string) manifest.Totals {
	t.Helper()
	f, err := os.Open(state)
	must(t, err)
	defer f.Close()
	st, err := f.Stat()
	must(t, err)
	r, err := manifest.Open(f, st.Size())
	must(t, err)
	return r.Totals()
}

func TestRot(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 10<<20/16) // 40 blocks, read in two parts
	root, state := recorded(t, tree{"large": large, "small": "abc", "fine": "abc"})
	must(t, os.Chmod(root+"/fine", 0o600))
	flip(t, root+"/large", 0)
	flip(t, root+"/large", 9<<20)
	flip(t, root+"/small", 1)
	want := "large[0 36] small[0]"

	t.Run("is found", func(t *testing.T) {
		if got := corrupt(mustScrub(t, root, state)); got != want {
			t.Errorf("scrub found %q, not %q", got, want)
		}
	})
	t.Run("is no new truth", func(t *testing.T) {
		before := dump(t, state)
		for range 2 {
			if r := mustIngest(t, root, state); r.Corrupt != 2 || len(r.Corruptions) != 2 {
				t.Errorf("ingest shows %d corrupt files: %s", r.Corrupt, corrupt(r))
			}
		}
		before["fine"] = strings.Replace(before["fine"], "-rw-r--r--", "-rw-------", 1)
		if diff := cmp.Diff(before, dump(t, state)); diff != "" {
			t.Errorf("record (-before +after):\n%s", diff)
		}
		if got := corrupt(mustScrub(t, root, state)); got != want {
			t.Errorf("a later scrub found %q, not %q", got, want)
		}
	})
	t.Run("is accepted", func(t *testing.T) {
		r, err := delta.Accept(t.Context(), root, state, "small", delta.RecordOptions{})
		must(t, err)
		if got := corrupt(r); got != "large[]" {
			t.Errorf("after it was accepted: %q", got)
		}
		for path, want := range map[string]error{"fine": delta.ErrNotCorrupt, "small": delta.ErrNotCorrupt, "nowhere": delta.ErrNotRecorded} {
			if _, err := delta.Accept(t.Context(), root, state, path, delta.RecordOptions{}); !errors.Is(err, want) {
				t.Errorf("accept %s: %v, not %v", path, err, want)
			}
		}
	})
	t.Run("is healed", func(t *testing.T) {
		flip(t, root+"/large", 0)
		flip(t, root+"/large", 9<<20)
		if got := corrupt(mustScrub(t, root, state)); got != "" {
			t.Errorf("after it was healed: %q", got)
		}
	})
}

func TestIngestFindsRotWhereOnlyCtimeChanged(t *testing.T) {
	root, state := recorded(t, tree{"a": "abc"})
	flip(t, root+"/a", 0)
	if got := corrupt(mustIngest(t, root, state)); got != "a[0]" {
		t.Errorf("ingest found %q", got)
	}
	// Another file in its place is another truth.
	write(t, root+"/b", "xyz")
	must(t, os.Rename(root+"/b", root+"/a"))
	if r := mustIngest(t, root, state); corrupt(r) != "" || r.Changed != 1 {
		t.Errorf("after it was replaced: corrupt %q, changed %d", corrupt(r), r.Changed)
	}
}

func TestRacyFilesAreReadAgain(t *testing.T) {
	root, state := recorded(t, tree{})
	must(t, os.WriteFile(root+"/a", []byte("just now"), 0o644))
	r := mustIngest(t, root, state)
	if r.Added != 1 || r.FilesRead != 2 || r.Racy != 0 {
		t.Errorf("added %d, read %d times, racy %d", r.Added, r.FilesRead, r.Racy)
	}
}

func TestScrubReadsTheOldestFirst(t *testing.T) {
	root, state := recorded(t, tree{"a": "1", "b": "22"})
	soon := time.Now().Add(time.Hour)
	r, err := delta.Scrub(t.Context(), root, state, delta.ScrubOptions{Before: time.Now().Add(-time.Hour)})
	must(t, err)
	if r.FilesRead != 0 {
		t.Errorf("read %d files that were read within the hour", r.FilesRead)
	}
	r, err = delta.Scrub(t.Context(), root, state, delta.ScrubOptions{Before: soon})
	must(t, err)
	if r.FilesRead != 2 || r.Oldest < time.Now().Unix()-60 {
		t.Errorf("read %d files; the oldest was read at %d", r.FilesRead, r.Oldest)
	}
}

func TestScrubLeavesChangesToIngest(t *testing.T) {
	root, state := recorded(t, tree{"changed": "1", "gone": "2", "same": "3"})
	before := dump(t, state)
	write(t, root+"/changed", "11")
	write(t, root+"/new", "4")
	must(t, os.Remove(root+"/gone"))
	r := mustScrub(t, root, state)
	if r.Stale != 3 || r.FilesRead != 1 {
		t.Errorf("stale %d, read %d", r.Stale, r.FilesRead)
	}
	if diff := cmp.Diff(before, dump(t, state)); diff != "" {
		t.Errorf("record (-before +after):\n%s", diff)
	}
}

func TestRecordRefuses(t *testing.T) {
	root, state := recorded(t, tree{"a": "1"})
	good, err := os.ReadFile(state)
	must(t, err)
	tests := []struct {
		name  string
		state func() string
		do    func(state string) error
		want  error
	}{
		{"a scrub without a record", func() string { return t.TempDir() + "/new" }, func(s string) error {
			_, err := delta.Scrub(t.Context(), root, s, delta.ScrubOptions{})
			return err
		}, delta.ErrNoRecord},
		{"another folder's record", func() string { return state }, func(s string) error {
			_, err := delta.Ingest(t.Context(), t.TempDir(), s, delta.RecordOptions{})
			return err
		}, delta.ErrOtherTree},
		{"a record in its own folder", func() string { return root + "/state/manifest" }, func(s string) error {
			_, err := delta.Ingest(t.Context(), root, s, delta.RecordOptions{})
			return err
		}, delta.ErrStateInside},
		{"a file that is cut off", func() string { return variant(t, good[:len(good)-9]) }, ingestInto(t, root), manifest.ErrCorrupt},
		{"an empty file", func() string { return variant(t, nil) }, ingestInto(t, root), manifest.ErrCorrupt},
		{"a flipped bit", func() string { b := []byte(string(good)); b[40] ^= 4; return variant(t, b) }, ingestInto(t, root), manifest.ErrCorrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.do(tt.state()); !errors.Is(err, tt.want) {
				t.Errorf("%v, not %v", err, tt.want)
			}
		})
	}
	must(t, os.RemoveAll(root+"/state"))
	t.Run("a folder whose disk is away", func(t *testing.T) {
		must(t, os.Remove(root+"/a"))
		if err := ingestInto(t, root)(state); !errors.Is(err, delta.ErrEmptied) {
			t.Errorf("%v, not %v", err, delta.ErrEmptied)
		}
		now, err := os.ReadFile(state)
		must(t, err)
		if string(now) != string(good) {
			t.Error("the record changed")
		}
	})
}

func ingestInto(t *testing.T, root string) func(string) error {
	return func(state string) error {
		_, err := delta.Ingest(t.Context(), root, state, delta.RecordOptions{})
		return err
	}
}

func variant(t testing.TB, data []byte) string {
	t.Helper()
	path := t.TempDir() + "/manifest"
	must(t, os.WriteFile(path, data, 0o600))
	return path
}

func TestIngestEndsWithItsContext(t *testing.T) {
	root, state := recorded(t, tree{"a": "1"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := delta.Ingest(ctx, root, state, delta.RecordOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(state))
	must(t, err)
	if len(left) != 2 { // the record and its lock
		t.Errorf("left behind: %v", left)
	}
}
