package delta_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/minikeeper/minikeeper/delta"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// mount mounts a filesystem for the time of the test, which must run as root.
func mount(t testing.TB, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		testkit.Missing(t, "this test cannot mount: "+err.Error())
	}
	t.Cleanup(func() {
		if err := unix.Unmount(target, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
}

// A bind mount hides that one tree lies in the other from their paths.
func TestRefusedBindMount(t *testing.T) {
	testkit.Root(t)
	origin, replica := pair(t, share(), tree{"seen/": ""})
	must(t, os.MkdirAll(origin+"/inner", 0o755))
	mount(t, origin+"/inner", replica+"/seen", "", unix.MS_BIND, "")
	_, err := delta.Sync(t.Context(), origin, replica+"/seen", all())
	if !errors.Is(err, delta.ErrSameTree) {
		t.Errorf("got %v, want ErrSameTree", err)
	}
	if got := snapshot(t, origin+"/inner"); len(got) > 0 {
		t.Errorf("the origin was written to: %v", got)
	}
}

// A full disk ends the sync with a clear error. The old files are whole, and
// what was begun is gone.
func TestSyncDiskFull(t *testing.T) {
	testkit.Root(t)
	origin, _ := pair(t, tree{"a": "new a", "big": strings.Repeat("x", 3<<20), "c": "new c"}, tree{})
	replica := t.TempDir()
	mount(t, "tmpfs", replica, "tmpfs", 0, "size=2m")
	tree{"a": "old a", "big": "old big", "extra": "e"}.build(t, replica)

	_, err := delta.Sync(t.Context(), origin, replica, all())
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), `"big"`) {
		t.Fatalf("got %v, want no space left, and for which file", err)
	}
	wantNoTemp(t, replica)
	if got, err := os.ReadFile(replica + "/big"); err != nil || string(got) != "old big" {
		t.Errorf("big is %d bytes, %v", len(got), err)
	}
	if _, err := os.Lstat(replica + "/extra"); err != nil {
		t.Error("a sync that failed has deleted something")
	}

	must(t, unix.Mount("", replica, "", unix.MS_REMOUNT, "size=8m"))
	mustSync(t, origin, replica, all())
	wantEqual(t, origin, replica)
}

func TestSyncReadOnlyReplica(t *testing.T) {
	testkit.Root(t)
	origin, _ := pair(t, share(), tree{})
	for _, before := range []bool{false, true} {
		replica := t.TempDir()
		mount(t, "tmpfs", replica, "tmpfs", 0, "size=2m")
		if before { // it was synced while it could be
			mustSync(t, origin, replica, all())
			must(t, os.Remove(replica+"/Packages/a.pkg"))
		}
		must(t, unix.Mount("", replica, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		if _, err := delta.Sync(t.Context(), origin, replica, all()); !errors.Is(err, unix.EROFS) {
			t.Errorf("got %v, want a read-only filesystem", err)
		}
		if _, err := delta.Compare(t.Context(), origin, replica, delta.Options{}); err != nil {
			t.Errorf("compare: %v", err)
		}
	}
}

// An entry that refuses to be changed is a problem of its own.
func TestSyncImmutable(t *testing.T) {
	testkit.Root(t)
	testkit.Peers(t, "chattr")
	origin, replica := pair(t, tree{"a": "new", "b": "new"}, tree{"a": "old", "b": "old", "fixed/x": "x"})
	for _, path := range []string{"/a", "/fixed"} {
		if err := exec.CommandContext(t.Context(), "chattr", "+i", replica+path).Run(); err != nil {
			testkit.Missing(t, "the filesystem of temporary files has no immutable files")
		}
		t.Cleanup(func() { must(t, exec.Command("chattr", "-i", replica+path).Run()) })
	}
	r, err := delta.Sync(t.Context(), origin, replica, all())
	must(t, err)
	want := `"a": replica: operation not permitted
"fixed": operation not permitted
"fixed/x": operation not permitted`
	if got := problems(r.Problems); got != want || r.FilesCopied != 1 {
		t.Errorf("%d copied; problems:\n%s", r.FilesCopied, got)
	}
	wantNoTemp(t, replica)
}

// A share may hold a mount point, but nothing can be renamed into it.
func TestSyncMountPointInTheReplica(t *testing.T) {
	testkit.Root(t)
	origin, replica := pair(t, tree{"in/a": "a", "b": "b"}, tree{"in/": ""})
	mount(t, "tmpfs", replica+"/in", "tmpfs", 0, "size=1m,mode=755")
	r, err := delta.Sync(t.Context(), origin, replica, all())
	must(t, err)
	if got := problems(r.Problems); got != `"in/a": replica: invalid cross-device link` {
		t.Errorf("problems:\n%s", got)
	}
}

// The origin's disk is taken away between comparison and deletion: what its
// path leads to now says nothing about what is extra.
func TestSyncOriginUnmounted(t *testing.T) {
	testkit.Root(t)
	origin, replica := pair(t, tree{}, share())
	if err := unix.Mount("tmpfs", origin, "tmpfs", 0, "size=1m,mode=755"); err != nil {
		testkit.Missing(t, "this test cannot mount: "+err.Error())
	}
	share().build(t, origin)
	write(t, replica+"/extra", "x")
	o := all()
	o.Progress = func(p delta.Progress) {
		if p.Phase == delta.PhaseCompare {
			must(t, unix.Unmount(origin, unix.MNT_DETACH))
		}
	}
	r, err := delta.Sync(t.Context(), origin, replica, o)
	must(t, err)
	if got := problems(r.Problems); !strings.Contains(got, "leads elsewhere now") || r.Deleted != 0 {
		t.Errorf("%d deleted; problems %s", r.Deleted, got)
	}
}
