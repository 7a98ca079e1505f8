package collectors

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// A mirror of two loop devices on the kernel's own btrfs: whole, with a half
// missing, written to in that state, and with both halves again.
func TestRAIDRealBtrfs(t *testing.T) {
	testkit.Root(t)
	testkit.Peers(t, "btrfs", "mkfs.btrfs", "losetup", "mount", "umount")
	const size = 300 << 20
	label := uniqueLabel("mirror")
	dir := t.TempDir()
	first, second := loopDevice(t, size), loopDevice(t, size)
	run(t, "mkfs.btrfs", "-q", "-f", "-L", label, "-d", "raid1", "-m", "raid1", first, second)
	run(t, "btrfs", "device", "scan", first, second)
	if out, err := exec.CommandContext(t.Context(), "mount", first, dir).CombinedOutput(); err != nil {
		testkit.Missing(t, "btrfs cannot be mounted: "+strings.TrimSpace(string(out)))
	}
	t.Cleanup(func() { unmount(t, dir) })

	deps := Deps{Run: noTools{}, GOOS: "linux", Settings: Settings{RAID: RAIDSettings{Backend: "btrfs"}}}
	c, err := newRAID(deps)
	if err != nil {
		t.Fatal(err)
	}
	expectArray(t, c, label, "whole", map[string]float64{"online": 1, "members online": 2, "expected": 2, "redundant": 1})

	unmount(t, dir)
	expectArray(t, c, label, "unmounted, and seen before", map[string]float64{"offline": 1, "members missing": 2, "redundant": 0})

	file := backingFile(t, second)
	run(t, "btrfs", "device", "scan", "--forget", first, second)
	detach(t, second)
	run(t, "mount", "-o", "degraded", first, dir)
	expectArray(t, c, label, "a half missing", map[string]float64{"degraded": 1, "members online": 1, "members missing": 1, "expected": 2, "redundant": 0})

	fill(t, filepath.Join(dir, "written"), 150<<20) // more than there is room for in the mirrored blocks
	run(t, "btrfs", "filesystem", "sync", dir)
	unmount(t, dir)
	second = attach(t, file)
	run(t, "btrfs", "device", "scan", first, second)
	run(t, "mount", first, dir)
	expectArray(t, c, label, "both halves, new data on one", map[string]float64{"online": 1, "members online": 2, "redundant": 0})

	run(t, "btrfs", "balance", "start", "-dconvert=raid1,soft", "-mconvert=raid1,soft", "-sconvert=raid1,soft", "--force", dir)
	expectArray(t, c, label, "converted again", map[string]float64{"online": 1, "members online": 2, "redundant": 1})
}

// A damaged half is found when it is read, and counted.
func TestRAIDRealBtrfsCountsErrors(t *testing.T) {
	testkit.Root(t)
	testkit.Peers(t, "btrfs", "mkfs.btrfs", "losetup", "mount", "umount")
	const size = 128 << 20
	label := uniqueLabel("errors")
	dir := t.TempDir()
	first, second := loopDevice(t, size), loopDevice(t, size)
	run(t, "mkfs.btrfs", "-q", "-f", "-L", label, "-d", "raid1", "-m", "raid1", first, second)
	run(t, "btrfs", "device", "scan", first, second)
	if out, err := exec.CommandContext(t.Context(), "mount", first, dir).CombinedOutput(); err != nil {
		testkit.Missing(t, "btrfs cannot be mounted: "+strings.TrimSpace(string(out)))
	}
	t.Cleanup(func() { unmount(t, dir) })
	fill(t, filepath.Join(dir, "data"), 16<<20)
	run(t, "btrfs", "filesystem", "sync", dir)
	unmount(t, dir)

	damage(t, second)
	run(t, "mount", first, dir)
	_ = exec.CommandContext(t.Context(), "btrfs", "scrub", "start", "-B", "-r", dir).Run() // fails for what it finds

	c, err := newRAID(Deps{Run: noTools{}, GOOS: "linux", Settings: Settings{RAID: RAIDSettings{Backend: "btrfs"}}})
	if err != nil {
		t.Fatal(err)
	}
	samples, _ := c.Collect(t.Context()) // other filesystems of this machine are not our business
	checkSamples(t, c, samples)
	counts := make(map[string]float64)
	for _, s := range samples {
		if s.Name == raidMemberErrors && s.Label("array") == label && s.Label("kind") == "corruption" {
			counts[s.Label("member")] = s.Value
		}
	}
	if counts["1"] != 0 || counts["2"] == 0 {
		t.Errorf("corruption by member: %v, want none of 1 and some of 2", counts)
	}
}

// uniqueLabel names a filesystem as no other run of these tests does: what the
// kernel shows of filesystems is the same for all processes.
func uniqueLabel(what string) string {
	return fmt.Sprintf("minikeeper-test-%s-%d", what, os.Getpid())
}

// expectArray collects and compares: a state, "members STATE", "expected" or
// "redundant" with the value it must have.
func expectArray(t *testing.T, c Collector, array, when string, want map[string]float64) {
	t.Helper()
	samples, err := c.Collect(t.Context())
	if err != nil && strings.Contains(err.Error(), array) {
		t.Errorf("%s: %v", when, err)
	}
	checkSamples(t, c, samples)
	got := make(map[string]float64)
	for _, s := range samples {
		if s.Label("array") != array {
			continue
		}
		switch s.Name {
		case raidState:
			got[s.Label("state")] = s.Value
		case raidMembers:
			got["members "+s.Label("state")] = s.Value
		case raidExpected:
			got["expected"] = s.Value
		case raidRedundant:
			got["redundant"] = s.Value
		}
	}
	for what, value := range want {
		if have, ok := got[what]; !ok || have != value {
			t.Errorf("%s: %s is %v (read: %v), want %v", when, what, have, ok, value)
		}
	}
	if t.Failed() {
		t.Log(when, listSamples(samples))
	}
}

func listSamples(samples []minikeeper.Sample) string {
	var b strings.Builder
	for _, s := range samples {
		b.WriteString("\n" + s.String())
	}
	return b.String()
}

// backingFile returns the file that a loop device shows.
func backingFile(t *testing.T, loop string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(loop), "loop", "backing_file"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// fill writes n bytes that are not all alike.
func fill(t *testing.T, path string, n int) {
	t.Helper()
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>12) | 1
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// damage overwrites most of a device, except for its superblocks (at 64 KiB and
// 64 MiB).
func damage(t *testing.T, device string) {
	t.Helper()
	f, err := os.OpenFile(device, os.O_WRONLY|os.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, from := range []int64{4 << 20, 66 << 20} {
		if _, err := f.WriteAt(make([]byte, 58<<20), from); err != nil {
			t.Fatal(err)
		}
	}
}
