package delta_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/minikeeper/minikeeper/delta"
)

// randomTree draws a tree of few names, so that two trees have much in common:
// also a file where the other has a folder.
func randomTree(t *rapid.T, label string) tree {
	names := []string{"a", "A", "b", "a.b", "\xff", "\n", ".DS_Store", "._x", "caf\u00e9", "cafe\u0301"}
	segment := rapid.SampledFrom(names)
	texts := rapid.SampledFrom([]string{"", "x", "y", "xx", strings.Repeat("long ", 1000), "-> a", "-> ..", "-> /nowhere"})
	tr := tree{}
	for range rapid.IntRange(1, 12).Draw(t, label+" size") {
		path := strings.Join(rapid.SliceOfN(segment, 1, 4).Draw(t, label+" path"), "/")
		if rapid.IntRange(0, 5).Draw(t, label+" folder") == 0 {
			path += "/"
		}
		if tr.fits(path) {
			tr[path] = texts.Draw(t, label+" text")
		}
	}
	return tr
}

// fits tells whether path can be made beside what the tree has.
func (tr tree) fits(path string) bool {
	bare := strings.TrimSuffix(path, "/")
	for have := range tr {
		other := strings.TrimSuffix(have, "/")
		switch {
		case other == bare:
			return false
		case strings.HasPrefix(other, bare+"/") && bare == path:
			return false // a file in the place of a folder
		case strings.HasPrefix(bare, other+"/") && other == have:
			return false // something below a file
		}
	}
	return true
}

// files counts what is part of the share and not a folder.
func (tr tree) files() int {
	n := 0
	for path := range tr {
		excluded := false
		for name := range strings.SplitSeq(path, "/") {
			excluded = excluded || name == ".DS_Store" || strings.HasPrefix(name, "._")
		}
		if !excluded && !strings.HasSuffix(path, "/") {
			n++
		}
	}
	return n
}

// spoil changes times and permissions here and there.
func spoil(t testing.TB, draw *rapid.T, root string) {
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || path == root || e.Type()&os.ModeSymlink != 0 {
			return err
		}
		switch rapid.IntRange(0, 5).Draw(draw, "spoil") {
		case 0:
			return os.Chtimes(path, then, then.Add(time.Minute))
		case 1:
			return os.Chmod(path, 0o700)
		default:
			return nil
		}
	})
	must(t, err)
}

// Whatever the trees: a sync makes them equal, reports what it does, changes
// neither the origin nor anything outside, and loses nothing.
func TestSyncAnyTrees(t *testing.T) {
	base, run := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		dir := filepath.Join(base, strconv.Itoa(run))
		defer os.RemoveAll(dir)
		o, r := randomTree(rt, "origin"), randomTree(rt, "replica")
		o["always"] = "there"
		origin, replica, outside := dir+"/origin", dir+"/replica", dir+"/outside"
		must(t, os.MkdirAll(outside, 0o755))
		must(t, os.MkdirAll(origin, 0o755))
		must(t, os.MkdirAll(replica, 0o755))
		o.build(t, origin)
		r.build(t, replica)
		share().build(t, outside)
		spoil(t, rt, replica)
		must(t, os.Symlink(outside, origin+"/link out"))
		must(t, os.Symlink(outside, replica+"/another link out"))
		originBefore, outsideBefore := snapshot(t, origin), snapshot(t, outside)

		first, err := delta.Compare(t.Context(), origin, replica, delta.Options{})
		if err != nil || first.ProblemCount > 0 || first.OriginFiles != int64(o.files()+1) || first.Files != int64(r.files()+1) {
			rt.Fatalf("compare: %v, %+v", err, first)
		}
		did, err := delta.Sync(t.Context(), origin, replica, all())
		if err != nil || !did.Equal() {
			rt.Fatalf("sync: %v; problems %s", err, problems(did.Problems))
		}
		if diff := cmp.Diff(first, did.Compared); diff != "" {
			rt.Fatalf("sync found something else than compare:\n%s", diff)
		}
		if did.Deleted != first.Counts[delta.Extra] {
			rt.Fatalf("%d deleted of %d", did.Deleted, first.Counts[delta.Extra])
		}
		again, err := delta.Compare(t.Context(), origin, replica, delta.Options{})
		if err != nil || !again.InSync() {
			rt.Fatalf("after sync: %v, %+v", err, again)
		}
		if diff := cmp.Diff(included(originBefore), included(snapshot(t, replica))); diff != "" {
			rt.Fatalf("replica differs (-origin +replica):\n%s", diff)
		}
		if diff := cmp.Diff(originBefore, snapshot(t, origin)); diff != "" {
			rt.Fatalf("the origin was changed:\n%s", diff)
		}
		if diff := cmp.Diff(outsideBefore, snapshot(t, outside)); diff != "" {
			rt.Fatalf("something outside was changed:\n%s", diff)
		}
	})
}

// included leaves out what is excluded by default.
func included(all map[string]string) map[string]string {
	kept := make(map[string]string)
	for path, what := range all {
		if (tree{path: ""}).files() == 1 {
			kept[path] = what
		}
	}
	return kept
}
