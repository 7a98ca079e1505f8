package collectors

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// This machine's filesystems, beside what df says of them.
func TestDiskAgreesWithDF(t *testing.T) {
	testkit.Peers(t, "df")
	c, err := newDisk(Deps{Run: noTools{}, GOOS: "linux"})
	if err != nil {
		t.Fatal(err)
	}
	samples, err := c.Collect(t.Context())
	if err != nil {
		t.Logf("left out: %v", err)
	}
	checkSamples(t, c, samples)
	compared := 0
	for _, s := range samples {
		column, ok := map[string]string{filesystemSize: "size", filesystemFree: "avail", filesystemFiles: "itotal"}[s.Name]
		if !ok {
			continue
		}
		out, err := exec.CommandContext(t.Context(), "df", "-B1", "--output="+column, s.Label("mountpoint")).Output()
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Fields(string(out))
		want, err := strconv.ParseFloat(lines[len(lines)-1], 64)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(s.Value-want) > 0.02*want+1<<26 { // others write in the meantime
			t.Errorf("%s, df says %v", s, want)
		}
		compared++
	}
	if compared == 0 {
		t.Error("no filesystem was compared")
	}
}

// A FUSE filesystem whose daemon never answers is what a dead network mount is
// to the kernel: statfs sleeps.
func TestDiskBesideAFilesystemThatHangs(t *testing.T) {
	testkit.Root(t)
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		testkit.Missing(t, "there is no /dev/fuse")
	}
	dir := t.TempDir()
	closed := false
	release := func() {
		if !closed {
			closed = true
			unix.Close(fuse) // whoever sleeps is woken with an error
		}
	}
	defer release()
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fuse)
	if err := unix.Mount("hung", dir, "fuse", 0, options); err != nil {
		testkit.Missing(t, "FUSE cannot be mounted: "+err.Error())
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()

	c, err := newDisk(Deps{Run: noTools{}, GOOS: "linux"})
	if err != nil {
		t.Fatal(err)
	}
	for _, pass := range []struct {
		complaint string
		within    time.Duration
	}{{errSilent.Error(), 10 * time.Second}, {errStillSilent.Error(), time.Second}} {
		start := time.Now()
		samples, err := c.Collect(t.Context())
		if took := time.Since(start); took > pass.within {
			t.Errorf("took %v", took)
		}
		if err == nil || !strings.Contains(err.Error(), dir+" (fuse): "+pass.complaint) {
			t.Errorf("got %v, want an error that names %s and says: %s", err, dir, pass.complaint)
		}
		if !has(samples, "/") || has(samples, dir) {
			t.Errorf("want samples of / and none of %s: %v", dir, samples)
		}
	}
	release()
}

func has(samples []minikeeper.Sample, mountpoint string) bool {
	for _, s := range samples {
		if s.Name == filesystemSize && s.Label("mountpoint") == mountpoint {
			return true
		}
	}
	return false
}

// A blank in a mount point, a read-only mount, and one filesystem at two places.
func TestDiskRealMounts(t *testing.T) {
	testkit.Root(t)
	testkit.Peers(t, "mkfs.ext4", "losetup", "mount", "umount")
	first, second := filepath.Join(t.TempDir(), "a disk"), filepath.Join(t.TempDir(), "the same disk again")
	loop := loopDevice(t, 16<<20)
	run(t, "mkfs.ext4", "-q", loop)
	for _, dir := range []string{first, second} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mountAt(t, loop, first, "ro")
	run(t, "mount", "--bind", first, second)
	t.Cleanup(func() { unmount(t, second) })

	c, err := newDisk(Deps{Run: noTools{}, GOOS: "linux"})
	if err != nil {
		t.Fatal(err)
	}
	samples, _ := c.Collect(t.Context()) // other mounts of this machine are not our business
	if has(samples, first) == has(samples, second) {
		t.Errorf("want one of %q and %q: %v", first, second, samples)
	}
	for _, s := range samples {
		if s.Name == filesystemReadonly && (s.Label("mountpoint") == first || s.Label("mountpoint") == second) && s.Value != 1 {
			t.Errorf("%s, but it is mounted read-only", s)
		}
	}
}

// loopDevice makes a block device of a sparse file.
func loopDevice(t *testing.T, size int64) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "device")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	return attach(t, file)
}

// attach makes a block device of a file.
func attach(t *testing.T, file string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show", file).CombinedOutput()
	if err != nil {
		testkit.Missing(t, "no loop device is to be had: "+strings.TrimSpace(string(out)))
	}
	loop := strings.TrimSpace(string(out))
	t.Cleanup(func() { detach(t, loop) })
	return loop
}

// detach frees a loop device; it may have been freed already.
func detach(t *testing.T, loop string) {
	t.Helper()
	if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "losetup", "--detach", loop).CombinedOutput(); err != nil && !strings.Contains(string(out), "No such device") {
		t.Errorf("detach %s: %v: %s", loop, err, out)
	}
}

func mountAt(t *testing.T, device, dir, options string) {
	t.Helper()
	run(t, "mount", "-o", options, device, dir)
	t.Cleanup(func() { unmount(t, dir) })
}

// unmount unmounts dir; it may have been unmounted already.
func unmount(t *testing.T, dir string) {
	t.Helper()
	if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "umount", dir).CombinedOutput(); err != nil && !strings.Contains(string(out), "not mounted") {
		t.Errorf("unmount %s: %v: %s", dir, err, out)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}
