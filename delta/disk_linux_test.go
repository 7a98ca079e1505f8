package delta_test

import (
	"errors"
	"os"
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
