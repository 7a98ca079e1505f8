package keeper_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// TestFullDisk has a disk that is really full: nothing may be done without
// its intent on disk, and an outcome that does not fit is not lost.
func TestFullDisk(t *testing.T) {
	testkit.Root(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		testkit.Missing(t, "a small filesystem cannot be mounted: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	filler := filepath.Join(dir, "filler")
	fill := func() {
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for err == nil {
			_, err = f.Write(make([]byte, 4096))
		}
	}
	var r repair
	r.do = func(context.Context, minikeeper.Step) (string, error) { return strings.Repeat("x", 4096), nil }
	k := open(t, dir, &r)

	fill()
	_, err := k.Do(t.Context(), order("run-1", 1), 0)
	refused(t, err, "nothing was done, since the intent could not be recorded")
	if r.done.Load() != 0 {
		t.Fatal("a step was done without its intent on disk")
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	r.do = func(context.Context, minikeeper.Step) (string, error) {
		fill()
		return strings.Repeat("x", 4096), nil
	}
	if got, err := k.Do(t.Context(), order("run-1", 1), 0); err != nil || got.Error != "" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	r.do = nil
	if _, err := k.Do(t.Context(), order("run-1", 1), 1); err != nil {
		t.Fatal(err)
	}
	k = reopen(t, k, dir, &r)
	if got, err := k.Do(t.Context(), order("run-1", 1), 0); err != nil || len(got.Output) != 4096 {
		t.Errorf("the outcome that did not fit is lost: %v, %v", len(got.Output), err)
	}
}
