package delta_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/minikeeper/minikeeper/delta"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// Whatever happens to a tree: a record that was kept up to date is the record
// that is made anew.
func TestIngestAnyChanges(t *testing.T) {
	base, run := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		dir := fmt.Sprintf("%s/%d", base, run)
		defer os.RemoveAll(dir)
		root, state := dir+"/share", dir+"/state/kept"
		must(t, os.MkdirAll(root, 0o755))
		randomTree(rt, "first").build(t, root)
		mustIngest(t, root, state)
		for range rapid.IntRange(1, 3).Draw(rt, "rounds") {
			if rapid.Bool().Draw(rt, "another tree") {
				must(t, os.RemoveAll(root))
				must(t, os.Mkdir(root, 0o755))
				tree{"stays": "s"}.build(t, root)
				randomTree(rt, "next").build(t, root)
			}
			spoil(t, rt, root)
			kept, err := delta.Ingest(t.Context(), root, state, delta.RecordOptions{})
			if errors.Is(err, delta.ErrEmptied) {
				return
			}
			must(t, err)
			fresh := mustIngest(t, root, fmt.Sprintf("%s/state/%d", dir, rand.Int()))
			if kept.Root != fresh.Root {
				rt.Fatalf("the kept record (-) is not the one that is made anew (+):\n%s", cmp.Diff(dump(t, state), dump(t, dir+"/state/kept")))
			}
			kept.Oldest = fresh.Oldest
			if diff := cmp.Diff(fresh.Totals, kept.Totals); diff != "" {
				rt.Fatalf("totals (-anew +kept):\n%s", diff)
			}
			scrubbed := mustScrub(t, root, state)
			if scrubbed.Root != kept.Root || scrubbed.Stale > 0 || len(scrubbed.Corruptions) > 0 {
				rt.Fatalf("scrub: root %v, not %v; stale %d; corrupt %v", scrubbed.Root, kept.Root, scrubbed.Stale, scrubbed.Corruptions)
			}
		}
	})
}

// A record whose writing is killed at any moment is the old one or the new one.
func TestIngestKilled(t *testing.T) {
	dir := t.TempDir()
	root, state := dir+"/share", dir+"/state/manifest"
	content := tree{}
	for i := range 400 {
		content[fmt.Sprintf("d%d/%d", i%7, i)] = strings.Repeat("x", 1+i*200)
	}
	content.build(t, root)
	start := time.Now()
	must(t, childAs(t, os.Getuid(), "ingest", root, dir+"/probe/manifest").Run())
	whole := time.Since(start)

	old := mustIngest(t, root, state).Root
	killed := 0
	for round := range 10 {
		write(t, fmt.Sprintf("%s/new-%d", root, round), strings.Repeat("y", 4<<20))
		cmd := childAs(t, os.Getuid(), "ingest", root, state)
		must(t, cmd.Start())
		time.Sleep(rand.N(whole))
		must(t, cmd.Process.Kill())
		if cmd.Wait() != nil {
			killed++
		}
		want := mustIngest(t, root, fmt.Sprintf("%s/anew/%d", dir, round)).Root
		if got := dumpTotals(t, state).Root; got != old && got != want {
			t.Fatalf("round %d: the root is neither old nor new (-it +new):\n%s", round,
				cmp.Diff(dump(t, state), dump(t, fmt.Sprintf("%s/anew/%d", dir, round))))
		}
		old = mustIngest(t, root, state).Root
		if old != want {
			t.Fatalf("round %d: the next record is not what is there", round)
		}
	}
	if killed == 0 {
		t.Error("none was killed before it had ended: the test shows nothing")
	}
}

// What the user may not read is a problem, and what is recorded of it stays.
func TestIngestWithoutPermission(t *testing.T) {
	testkit.Root(t) // to become somebody else
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	root, state := dir+"/share", dir+"/state/manifest"
	tree{"closed/a": "a", "closed/e/b": "b", "secret": "s", "open": "o"}.build(t, root)
	mustIngest(t, root, state)
	before := dump(t, state)
	must(t, os.Chmod(root+"/closed", 0))
	must(t, os.Chmod(root+"/secret", 0))
	write(t, root+"/new", "n")
	must(t, os.Chmod(root+"/new", 0))
	must(t, filepath.WalkDir(dir+"/state", func(path string, _ os.DirEntry, err error) error {
		must(t, err)
		return os.Chown(path, unprivileged, unprivileged)
	}))

	self, err := os.Executable()
	must(t, err)
	data, err := os.ReadFile(self)
	must(t, err)
	copied := dir + "/delta.test" // where anybody may run it
	must(t, os.WriteFile(copied, data, 0o755))
	cmd := childAs(t, unprivileged, "ingest", root, state)
	cmd.Path = copied
	out, err := cmd.Output()
	must(t, err)
	var said answer
	must(t, json.Unmarshal(out, &said))

	want := answer{Equal: true, Problems: []string{`"closed": permission denied`, `"new": permission denied`, `"secret": permission denied`}}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	before["closed"] = "2 ---------- 0 0  0"
	before["new"] = "1 ---------- 1 4  0"
	if diff := cmp.Diff(before, dump(t, state)); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestScrubKeepsToItsQuota(t *testing.T) {
	root, state := recorded(t, tree{"a": "1234567890", "b": "1234567890", "c": "1234567890", "d": "1234567890"})
	hours := map[string]int{"a": 3, "b": 5, "c": 4, "d": 5}
	aged(t, state, func(path string) time.Time { return time.Now().Add(-time.Duration(hours[path]) * time.Hour) })
	read := int64(0)
	for i, oldest := range []int{5, 4, 3, 0} { // after 1, 2, 3 and 4 files: d, c and a are the oldest that are left
		r, err := delta.Scrub(t.Context(), root, state, delta.ScrubOptions{Bytes: 10, Before: time.Now().Add(-time.Hour)})
		must(t, err)
		if read += r.FilesRead; read != int64(i+1) {
			t.Errorf("pass %d: %d files were read in all", i, read)
		}
		if age := time.Since(time.Unix(r.Oldest, 0)); int(age.Hours()+0.1) != oldest {
			t.Errorf("pass %d: the oldest was read %v ago", i, age)
		}
	}
	r, err := delta.Scrub(t.Context(), root, state, delta.ScrubOptions{Bytes: 10, Before: time.Now().Add(-time.Hour)})
	if err != nil || r.FilesRead > 0 {
		t.Errorf("another pass read %d files, error %v", r.FilesRead, err)
	}
}

func TestScrubKeepsToItsRate(t *testing.T) {
	root, state := recorded(t, tree{"a": strings.Repeat("x", 3<<20)})
	start := time.Now()
	_, err := delta.Scrub(t.Context(), root, state, delta.ScrubOptions{RecordOptions: delta.RecordOptions{Rate: 2 << 20}})
	must(t, err)
	if took := time.Since(start); took < 400*time.Millisecond {
		t.Errorf("3 MiB at 2 MiB a second, of which the first second's may come at once, took %v", took)
	}
}

func TestOneRecordAtATime(t *testing.T) {
	root, state := recorded(t, tree{"a": "1"})
	lock, err := os.Open(state + ".lock")
	must(t, err)
	defer lock.Close()
	must(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	if err := ingestInto(t, root)(state); !errors.Is(err, delta.ErrRecordLocked) {
		t.Errorf("error %v", err)
	}
}

// A large folder is looked at piece by piece, in the same order.
func TestIngestOfAFlatFolder(t *testing.T) {
	root, state := recorded(t, tree{"first": "1"})
	for i := range 9000 {
		must(t, os.Link(root+"/first", fmt.Sprintf("%s/%05d", root, i)))
	}
	must(t, os.Mkdir(root+"/05000-folder", 0o755))
	write(t, root+"/05000-folder/inner", "2")
	if r := mustIngest(t, root, state); r.Added != 9002 || r.Files != 9002 {
		t.Errorf("added %d, files %d", r.Added, r.Files)
	}
	if r := mustIngest(t, root, state); r.FilesRead > 0 || r.Added+r.Changed+r.Removed > 0 {
		t.Errorf("nothing changed, but %+v", r)
	}
}
