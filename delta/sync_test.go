package delta_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper/delta"
)

func TestSync(t *testing.T) {
	for _, tt := range changes() {
		t.Run(tt.name, func(t *testing.T) {
			origin, replica := pair(t, share(), share())
			tt.do(t, origin, replica)
			before := snapshot(t, origin)

			r := mustSync(t, origin, replica, all())
			wantEqual(t, origin, replica)
			if diff := cmp.Diff(before, snapshot(t, origin)); diff != "" {
				t.Errorf("the origin was changed:\n%s", diff)
			}
			var deleted int64
			for _, e := range tt.want {
				if e.Kind == delta.Extra {
					deleted++
				}
			}
			if r.Deleted != deleted || r.Kept != 0 {
				t.Errorf("%d deleted, %d kept; want %d and 0", r.Deleted, r.Kept, deleted)
			}

			again := mustSync(t, origin, replica, all())
			again.Compared = delta.Report{}
			if diff := cmp.Diff(delta.SyncReport{BytesRead: again.BytesRead}, again); diff != "" {
				t.Errorf("the second sync did something:\n%s", diff)
			}
		})
	}
}

func TestSyncCounts(t *testing.T) {
	origin, replica := pair(t, share(), tree{"Packages/a.pkg": "package a", "Packages/b.pkg": "package B", "x": "x"})
	must(t, os.Chmod(replica+"/Packages/a.pkg", 0o600))
	r := mustSync(t, origin, replica, all())
	if r.FilesCopied != 3 || r.BytesCopied != 27 || r.LinksMade != 1 || r.FoldersMade != 3 || r.MetadataFixed != 1 || r.Deleted != 1 {
		t.Errorf("got %+v", r)
	}
	// Two pairs were compared, three files copied, and what was written was read back.
	if want := int64(4*9 + 2*27); r.BytesRead != want {
		t.Errorf("read %d bytes, want %d", r.BytesRead, want)
	}
}

func TestSyncKeepsExtraByDefault(t *testing.T) {
	origin, replica := pair(t, share(), share())
	write(t, replica+"/extra", "x")
	r, err := delta.Sync(t.Context(), origin, replica, delta.SyncOptions{})
	if err != nil || r.Equal() || r.Kept != 1 || r.Deleted != 0 {
		t.Errorf("%v; %+v; want one extra entry kept", err, r)
	}
	if _, err := os.Lstat(replica + "/extra"); err != nil {
		t.Error(err)
	}
}

func TestSyncDeletesIntoTrash(t *testing.T) {
	origin, replica := pair(t, share(), share())
	tree{"gone/one": "1", "gone/empty/": "", "gone/link": "-> one", "Packages/two": "2"}.build(t, replica)
	r := mustSync(t, origin, replica, all())
	if r.Deleted != 5 || !strings.HasPrefix(r.Trash, ".minikeeper/trash/2") {
		t.Fatalf("deleted %d into %q", r.Deleted, r.Trash)
	}
	got := snapshot(t, filepath.Join(replica, r.Trash))
	want := []string{"Packages", "Packages/two", "gone", "gone/empty", "gone/link", "gone/one"}
	for _, path := range want {
		if got[path] == "" {
			t.Errorf("%s is not in the trash: %v", path, got)
		}
	}
	if len(got) != len(want) {
		t.Errorf("trash holds %v", got)
	}
	for _, private := range []string{"", "/tmp", "/trash"} {
		info, err := os.Stat(replica + "/.minikeeper" + private)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf(".minikeeper%s: %v, %v; want mode 0700", private, info.Mode(), err)
		}
	}
}

func TestSyncEmptiesOldTrash(t *testing.T) {
	origin, replica := pair(t, share(), share())
	old := time.Now().Add(-8 * 24 * time.Hour).UTC().Format("2006-01-02T15-04-05Z")
	young := time.Now().Add(-6 * 24 * time.Hour).UTC().Format("2006-01-02T15-04-05Z")
	outside := t.TempDir()
	write(t, outside+"/precious", "p")
	tree{
		".minikeeper/trash/" + old + "/a/b":  "x",
		".minikeeper/trash/" + old + "/link": "-> " + outside,
		".minikeeper/trash/" + old + "+/x":   "x",
		".minikeeper/trash/" + young + "/x":  "x",
		".minikeeper/trash/mine/x":           "x",
	}.build(t, replica)
	o := all()
	o.KeepTrash = 7 * 24 * time.Hour
	mustSync(t, origin, replica, o)
	left, err := filepath.Glob(replica + "/.minikeeper/trash/*")
	must(t, err)
	if len(left) != 2 || !strings.HasSuffix(left[0], young) || !strings.HasSuffix(left[1], "mine") {
		t.Errorf("left in the trash: %v", left)
	}
	if _, err := os.Lstat(outside + "/precious"); err != nil {
		t.Error(err)
	}
}

func TestSyncMaxDelete(t *testing.T) {
	tests := []struct {
		limit   delta.Limit
		refused bool // to delete 2 of 10 entries
	}{
		{delta.Limit{}, true}, // 5 %, rounded up: one
		{delta.Count(1), true},
		{delta.Count(2), false},
		{delta.Percent(10), true},
		{delta.Percent(11), false},
		{delta.Count(0), true},
		{delta.Percent(0), true},
	}
	for _, tt := range tests {
		t.Run(tt.limit.String(), func(t *testing.T) {
			origin, replica := pair(t, share(), share())
			tree{"x": "x", "y": "y"}.build(t, replica)
			must(t, os.Remove(replica+"/Packages/a.pkg"))
			before := snapshot(t, replica)

			_, err := delta.Sync(t.Context(), origin, replica, delta.SyncOptions{Delete: true, MaxDelete: tt.limit})
			if tt.refused {
				e, ok := errors.AsType[*delta.TooManyDeletesError](err)
				if !ok || e.Deletes != 2 || e.Of != int64(len(before)) {
					t.Fatalf("got %v", err)
				}
				if diff := cmp.Diff(before, snapshot(t, replica)); diff != "" {
					t.Errorf("something was done all the same:\n%s", diff)
				}
				return
			}
			must(t, err)
			wantEqual(t, origin, replica)
		})
	}
}

func TestTooManyDeletesSaysHowMany(t *testing.T) {
	err := &delta.TooManyDeletesError{Deletes: 120, Of: 2000, Limit: delta.Percent(5)}
	if got, want := err.Error(), "it would delete 120 of the replica's 2000 entries, and no more than 5% (100) may be"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestParseLimit(t *testing.T) {
	for s, want := range map[string]int64{"": 10, "5%": 10, "0": 0, "7": 7, "2.5%": 5, "0.01%": 1, "0%": 0, "100%": 200} {
		l, err := delta.ParseLimit(s)
		if err != nil || l.Of(200) != want {
			t.Errorf("%q of 200: %d, %v; want %d", s, l.Of(200), err, want)
		}
	}
	for _, s := range []string{"-1", "5 %", "%", "101%", "NaN%", "1e3", "five", "-1%", "99999999999999999999"} {
		if l, err := delta.ParseLimit(s); err == nil {
			t.Errorf("%q was read as %v", s, l)
		}
	}
}

func TestSyncRefusesEmptyOrigin(t *testing.T) {
	for _, o := range []tree{{}, {"only/folders/": ""}, {".DS_Store": "x"}} {
		origin, replica := pair(t, o, share())
		before := snapshot(t, replica)
		if _, err := delta.Sync(t.Context(), origin, replica, all()); !errors.Is(err, delta.ErrOriginEmpty) {
			t.Errorf("%v: got %v", o, err)
		}
		if diff := cmp.Diff(before, snapshot(t, replica)); diff != "" {
			t.Errorf("%v: something was done all the same:\n%s", o, diff)
		}
	}
}

// Junk in an extra folder goes with it; what somebody excluded keeps it.
func TestSyncExcludedInExtraFolders(t *testing.T) {
	origin, replica := pair(t, share(), share())
	tree{"x/.DS_Store": "junk", "x/y/z": "z", "x/.Trashes/1/2": "2", "k/a": "a", "k/sub/keep.me": "me"}.build(t, replica)
	o := all()
	o.Exclude = []string{"default", "keep.*"}
	r := mustSync(t, origin, replica, o)
	if r.Deleted != 4 {
		t.Errorf("deleted %d, want x, x/y, x/y/z and k/a", r.Deleted)
	}
	got := snapshot(t, replica)
	if got["k/sub/keep.me"] == "" || got["k/a"] != "" || got["x"] != "" {
		t.Errorf("left: %v", got)
	}
	if in := snapshot(t, filepath.Join(replica, r.Trash)); in["x/.DS_Store"] == "" || in["x/.Trashes/1/2"] == "" {
		t.Errorf("in the trash: %v", in)
	}
}

func TestSyncFolderThatMustStayIsNotReplaced(t *testing.T) {
	origin, replica := pair(t, tree{"a": "a file", "b": "b"}, tree{"a/keep.me": "x", "a/extra": "e"})
	o := all()
	o.Exclude = []string{"keep.*"}
	r, err := delta.Sync(t.Context(), origin, replica, o)
	if err != nil || r.Equal() || !strings.Contains(problems(r.Problems), "must stay") {
		t.Errorf("%v; problems %s", err, problems(r.Problems))
	}
	if got := snapshot(t, replica); got["a/keep.me"] == "" || got["b"] == "" {
		t.Errorf("left: %v", got)
	}

	// Nor is one that may not be emptied.
	origin, replica = pair(t, tree{"a": "a file"}, tree{"a/extra": "e"})
	r, err = delta.Sync(t.Context(), origin, replica, delta.SyncOptions{})
	if err != nil || r.Equal() || r.Kept != 1 || r.ProblemCount != 1 {
		t.Errorf("%v; kept %d; problems %s", err, r.Kept, problems(r.Problems))
	}
}

func TestSyncMetadataWithoutCopying(t *testing.T) {
	origin, replica := pair(t, share(), share())
	path := replica + "/Packages/a.pkg"
	must(t, os.Chtimes(path, then, then.Add(time.Hour)))
	must(t, os.Chmod(path, 0o600))
	before := inode(t, path)
	r := mustSync(t, origin, replica, all())
	if inode(t, path) != before || r.BytesCopied != 0 || r.MetadataFixed != 1 {
		t.Errorf("the file was copied: %+v", r)
	}
}

// The replica's file is the same as one outside the share. Setting its
// permissions would set those of the other as well.
func TestSyncLeavesHardLinksOutsideAlone(t *testing.T) {
	origin, replica := pair(t, tree{"a": "same", "b": "right"}, tree{"a": "same", "b": "wrong"})
	outside := t.TempDir()
	for _, name := range []string{"a", "b"} {
		must(t, os.Chmod(filepath.Join(replica, name), 0o600))
		must(t, os.Link(filepath.Join(replica, name), filepath.Join(outside, name)))
	}
	before := snapshot(t, outside)
	mustSync(t, origin, replica, all())
	wantEqual(t, origin, replica)
	if diff := cmp.Diff(before, snapshot(t, outside)); diff != "" {
		t.Errorf("files outside the share were changed:\n%s", diff)
	}
}

func TestSyncDeletesHardLinks(t *testing.T) {
	origin, replica := pair(t, tree{"a": "a", "b/c": "c"}, tree{"a": "a", "x": "one inode", "b": "another"})
	for _, name := range []string{"/y", "/z"} {
		must(t, os.Link(replica+"/x", replica+name))
	}
	must(t, os.Link(replica+"/b", replica+"/b2"))
	if r := mustSync(t, origin, replica, all()); r.Deleted != 4 {
		t.Errorf("%d deleted, want x, y, z and b2", r.Deleted)
	}
	wantEqual(t, origin, replica)
}

func TestSyncHardLinksOnTheOrigin(t *testing.T) {
	origin, replica := pair(t, tree{"a": "same"}, tree{})
	must(t, os.Link(origin+"/a", origin+"/b"))
	mustSync(t, origin, replica, all())
	wantEqual(t, origin, replica)
}

func TestSyncNeverFollowsLinks(t *testing.T) {
	outside := t.TempDir()
	share().build(t, outside)
	before := snapshot(t, outside)

	origin, replica := pair(t, tree{"Packages/a.pkg": "new", "Packages/x.pkg": "x", "file": "f"}, tree{})
	must(t, os.Symlink(outside+"/Packages", replica+"/Packages"))    // a folder on the origin
	must(t, os.Symlink(outside+"/Scripts/run.sh", replica+"/file"))  // a file on the origin
	must(t, os.Symlink(outside, replica+"/extra"))                   // nothing on the origin
	must(t, os.Symlink(outside, origin+"/out"))                      // copied as a link
	must(t, os.MkdirAll(replica+"/out/Packages", 0o755))             // was a folder
	must(t, os.WriteFile(replica+"/out/Packages/a.pkg", nil, 0o644)) // named as one outside
	mustSync(t, origin, replica, all())
	wantEqual(t, origin, replica)
	if diff := cmp.Diff(before, snapshot(t, outside)); diff != "" {
		t.Errorf("files outside the share were changed:\n%s", diff)
	}
}

func TestSyncRefusesForeignReservedFolder(t *testing.T) {
	origin, replica := pair(t, share(), tree{})
	outside := t.TempDir()
	tree{"tmp/precious": "p"}.build(t, outside)
	for _, link := range []string{"", "/tmp"} {
		must(t, os.RemoveAll(replica+"/.minikeeper"))
		if link != "" {
			must(t, os.Mkdir(replica+"/.minikeeper", 0o700))
		}
		must(t, os.Symlink(outside+link, replica+"/.minikeeper"+link))
		if _, err := delta.Sync(t.Context(), origin, replica, all()); err == nil {
			t.Errorf("a link at .minikeeper%s was followed", link)
		}
	}
	if got := snapshot(t, outside); len(got) != 2 {
		t.Errorf("outside: %v", got)
	}
}

func TestSyncDropsSetIDBits(t *testing.T) {
	origin, replica := pair(t, tree{"tool": "x"}, tree{})
	must(t, os.Chmod(origin+"/tool", 0o755|fs.ModeSetuid|fs.ModeSetgid))
	mustSync(t, origin, replica, all())
	info, err := os.Stat(replica + "/tool")
	if err != nil || info.Mode() != 0o755 {
		t.Errorf("mode %v, %v; want 0755 without set-id bits", info.Mode(), err)
	}
}

func TestSyncSparse(t *testing.T) {
	origin, replica := pair(t, tree{"sparse": "", "hole": ""}, tree{"hole": ""})
	f, err := os.OpenFile(origin+"/sparse", os.O_RDWR, 0)
	must(t, err)
	for _, at := range []int64{5 << 20, 40 << 20} {
		_, err = f.WriteAt([]byte("an island"), at)
		must(t, err)
	}
	must(t, f.Truncate(64<<20))
	must(t, f.Close())
	must(t, os.Truncate(origin+"/hole", 8<<20))
	r := mustSync(t, origin, replica, all())
	wantEqual(t, origin, replica)
	if got := blocks(t, replica+"/sparse"); got > 1<<20 && blocks(t, origin+"/sparse") < 1<<20 {
		t.Errorf("the copy takes %d bytes on disk", got)
	}
	if r.BytesCopied > 1<<20 {
		t.Errorf("%d bytes were written", r.BytesCopied)
	}
}

func TestSyncLock(t *testing.T) {
	origin, replica := pair(t, share(), tree{})
	var second error
	var once sync.Once
	o := all()
	o.Progress = func(delta.Progress) {
		once.Do(func() { _, second = delta.Sync(t.Context(), origin, replica, all()) })
	}
	mustSync(t, origin, replica, o)
	locked, ok := errors.AsType[*delta.LockedError](second)
	if !ok || locked.Holder.PID != os.Getpid() || locked.Holder.Since.IsZero() {
		t.Fatalf("the second sync: %v", second)
	}
	if !strings.Contains(second.Error(), fmt.Sprintf("process %d on ", os.Getpid())) {
		t.Errorf("it does not say who: %v", second)
	}
	mustSync(t, origin, replica, all()) // the lock is gone
}

func TestSyncRemovesStaleTemporaryFiles(t *testing.T) {
	origin, replica := pair(t, share(), tree{".minikeeper/tmp/1": "half", ".minikeeper/tmp/d/2": "x", ".minikeeper/tmp/l": "-> /etc"})
	mustSync(t, origin, replica, all()) // it looks into tmp
}

func TestSyncCancelled(t *testing.T) {
	origin, replica := pair(t, share(), tree{"x": "x"})
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the window closes")
	o := all()
	o.Progress = func(delta.Progress) { cancel(stop) }
	if _, err := delta.Sync(ctx, origin, replica, o); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	wantNoTemp(t, replica)
	if _, err := os.Lstat(replica + "/x"); err != nil {
		t.Error("a cancelled sync has deleted something")
	}
	mustSync(t, origin, replica, all())
}

// Somebody who reads all the time sees one version or the other, whole.
func TestSyncReadersSeeOldOrNew(t *testing.T) {
	versions := []string{strings.Repeat("old", 100_000), strings.Repeat("brand new", 100_000)}
	origin, replica := pair(t, tree{"f": versions[0]}, tree{"f": versions[0]})
	ctx, stop := context.WithCancel(t.Context())
	torn := make(chan string, 1)
	go func() {
		defer close(torn)
		for ctx.Err() == nil {
			got, err := os.ReadFile(replica + "/f")
			if err != nil || (string(got) != versions[0] && string(got) != versions[1]) {
				torn <- fmt.Sprintf("%d bytes, %v", len(got), err)
				return
			}
		}
	}()
	for i := range 20 {
		write(t, origin+"/f", versions[(i+1)%2])
		mustSync(t, origin, replica, all())
	}
	stop()
	if what, ok := <-torn; ok {
		t.Errorf("a reader saw something else: %s", what)
	}
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	return stat(t, path).Ino
}

// blocks returns how many bytes the file at path takes on disk.
func blocks(t *testing.T, path string) int64 {
	t.Helper()
	return stat(t, path).Blocks * 512
}

func stat(t *testing.T, path string) *syscall.Stat_t {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatalf("no Stat_t for %s", path)
	}
	return st
}
