package collectors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Bounds of what is read. A process has no more than 10,000 threads, and each
// filesystem that does not answer holds one.
const (
	mountLimit      = 20_000 // mounts that are looked at
	filesystemLimit = 1000   // filesystems that are asked for their size
)

// mounted reads the filesystems that Linux has mounted. One that does not
// answer costs its own samples only.
func (d disk) mounted(ctx context.Context) ([]filesystem, error) {
	const source = "/proc/self/mountinfo"
	text, err := readFile(d.deps.path(source), listLimit)
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	mounts, err := parseMountinfo(string(text))
	mounts = slices.DeleteFunc(storage(mounts), func(m mount) bool { return d.exclude.match(m.mountpoint) })
	if len(mounts) > filesystemLimit {
		err = errors.Join(err, fmt.Errorf("%d filesystems are mounted: only the first %d are read", len(mounts), filesystemLimit))
		mounts = mounts[:filesystemLimit]
	}
	errs := []error{err}
	paths := make([]string, len(mounts))
	for i, m := range mounts {
		paths[i] = d.deps.path(m.mountpoint)
	}
	var found []filesystem
	for i, a := range d.prober.ask(ctx, paths) {
		m := mounts[i]
		switch {
		case errors.Is(a.err, fs.ErrNotExist): // unmounted in the meantime
		case a.err != nil:
			errs = append(errs, fmt.Errorf("filesystem %s (%s): %w", m.mountpoint, m.fstype, a.err))
		case a.usage.size > 0: // what has no size stores nothing
			found = append(found, a.usage.filesystem(m))
		}
	}
	return found, errors.Join(errs...)
}

// readFile reads a file that may hold up to limit bytes.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s holds more than %d bytes", name, limit)
	}
	return b, nil
}

// A mount is one line of /proc/self/mountinfo.
type mount struct {
	device     string // major:minor, equal for all mounts of one filesystem
	root       string // the folder of the filesystem that is mounted
	mountpoint string
	readonly   bool
	fstype     string
}

// parseMountinfo reads mountinfo's lines (proc(5)):
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
//
// with any number of optional fields before the dash. Lines that are not of
// this form are left out and counted in the error.
func parseMountinfo(text string) ([]mount, error) {
	if err := checkLength(text); err != nil {
		return nil, fmt.Errorf("mountinfo: %w", err)
	}
	var mounts []mount
	bad, example := 0, ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line == "" {
			continue
		}
		m, ok := parseMount(line)
		if !ok {
			bad++
			example = line
			continue
		}
		if len(mounts) == mountLimit {
			return mounts, fmt.Errorf("mountinfo: more than %d mounts", mountLimit)
		}
		mounts = append(mounts, m)
	}
	if bad > 0 {
		return mounts, fmt.Errorf("mountinfo: %d lines are not mounts, such as %q", bad, firstLine([]byte(example)))
	}
	return mounts, nil
}

func parseMount(line string) (mount, bool) {
	before, after, ok := strings.Cut(line, " - ")
	if !ok || len(line) > lineLimit {
		return mount{}, false
	}
	left, right := strings.SplitN(before, " ", 7), strings.SplitN(after, " ", 3)
	if len(left) < 6 || len(right) < 2 || !strings.Contains(left[2], ":") || !strings.HasPrefix(left[4], "/") {
		return mount{}, false
	}
	options := strings.Split(left[5], ",")
	if len(right) == 3 { // those of the filesystem, not only of this mount
		options = append(options, strings.Split(right[2], ",")...)
	}
	return mount{
		device:     left[2],
		root:       unescape(left[3]),
		mountpoint: unescape(left[4]),
		readonly:   slices.Contains(options, "ro"),
		fstype:     right[0],
	}, true
}

// unescape undoes the kernel's octal escapes: a blank in a path is \040.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	octal := func(c byte) bool { return '0' <= c && c <= '7' }
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && octal(s[i+1]) && octal(s[i+2]) && octal(s[i+3]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// storage returns the mounts that hold files on storage, each filesystem once:
// of several mounts of one filesystem (bind mounts, subvolumes) the one that
// shows all of it, or else the one with the shortest path. A mount that lies
// under a later one at the same place cannot be reached and is left out.
func storage(mounts []mount) []mount {
	top := make(map[string]int) // the last mount of each place
	for i, m := range mounts {
		top[m.mountpoint] = i
	}
	best := make(map[string]int)
	var order []string
	for i, m := range mounts {
		if top[m.mountpoint] != i || !holdsFiles(m) {
			continue
		}
		old, seen := best[m.device]
		if !seen {
			order = append(order, m.device)
		}
		if !seen || better(m, mounts[old]) {
			best[m.device] = i
		}
	}
	chosen := make([]mount, len(order))
	for i, device := range order {
		chosen[i] = mounts[best[device]]
	}
	return chosen
}

// better tells whether m stands for its filesystem rather than n.
func better(m, n mount) bool {
	if whole := m.root == "/"; whole != (n.root == "/") {
		return whole
	}
	return len(m.mountpoint) < len(n.mountpoint)
}

// holdsFiles tells whether m is of a kind that can fill up and matters when it
// does: not the kernel's own trees, not memory, not images that are always full.
// autofs is among those left out because asking for its size mounts it.
func holdsFiles(m mount) bool {
	if dir, _, _ := strings.Cut(strings.TrimPrefix(m.mountpoint, "/"), "/"); dir == "proc" || dir == "sys" || dir == "dev" {
		return false
	}
	switch m.fstype {
	case "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs",
		"fusectl", "hugetlbfs", "mqueue", "nfsd", "nsfs", "proc", "pstore", "ramfs", "rootfs", "rpc_pipefs", "securityfs",
		"selinuxfs", "smackfs", "sysfs", "tmpfs", "tracefs",
		"erofs", "iso9660", "squashfs", "udf",
		"fuse.archivemount", "fuse.gvfsd-fuse", "fuse.lxcfs", "fuse.portal", "fuse.snapfuse", "fuse.squashfuse":
		return false
	case "overlay": // elsewhere it shows space that is counted where it lies
		return m.mountpoint == "/"
	default:
		return true
	}
}
