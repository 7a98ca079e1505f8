package collectors

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/minikeeper/minikeeper"
)

// DiskSettings say what the disk collector reads.
type DiskSettings struct {
	// Command maps a program's usual name (diskutil, df, mount) to its path.
	Command map[string]string

	// Exclude holds patterns, as path.Match has them, of mount points and APFS
	// containers to leave out. One that ends in "/**" leaves out all below.
	Exclude []string
}

// The metrics of the disk collector.
const (
	filesystemSize      = "minikeeper_filesystem_size_bytes"
	filesystemFree      = "minikeeper_filesystem_free_bytes"
	filesystemFiles     = "minikeeper_filesystem_files"
	filesystemFilesFree = "minikeeper_filesystem_files_free"
	filesystemReadonly  = "minikeeper_filesystem_readonly"
	filesystemContainer = "minikeeper_filesystem_container_info"

	coreStorageState      = "minikeeper_corestorage_state"
	coreStorageConversion = "minikeeper_corestorage_conversion_state"
	coreStorageGroup      = "minikeeper_corestorage_group_state"
)

// disk reports how large and how full filesystems are, and whether the volumes
// that macOS made of several disks are there.
type disk struct {
	deps    Deps
	exclude patterns
	prober  *prober
}

func newDisk(d Deps) (Collector, error) {
	exclude, err := newPatterns(d.Settings.Disk.Exclude)
	if err != nil {
		return nil, fmt.Errorf("disk: exclude: %w", err)
	}
	return disk{deps: d, exclude: exclude, prober: newProber(statfs, statfsPatience)}, nil
}

// Families implements Collector.
func (disk) Families() []minikeeper.Family {
	where := []string{"mountpoint", "container"}
	return []minikeeper.Family{
		{Name: filesystemSize, Type: minikeeper.Gauge, Labels: where, Help: "Size of the filesystem or APFS container in bytes."},
		{Name: filesystemFree, Type: minikeeper.Gauge, Labels: where, Help: "Space in bytes that is available to unprivileged users."},
		{Name: filesystemFiles, Type: minikeeper.Gauge, Labels: where, Help: "Files that the filesystem has room for (inodes)."},
		{Name: filesystemFilesFree, Type: minikeeper.Gauge, Labels: where, Help: "Files that can still be made (free inodes)."},
		{Name: filesystemReadonly, Type: minikeeper.Gauge, Labels: where, Help: "Whether the filesystem, or every mounted volume of the container, is mounted read-only (1) or not (0)."},
		{Name: filesystemContainer, Type: minikeeper.Gauge, Labels: []string{"container", "uuid", "volumes"}, Help: "The names of an APFS container's volumes; always 1."},
		{Name: coreStorageState, Type: minikeeper.Gauge, Labels: []string{"volume", "state"}, Help: "Whether the CoreStorage volume is in the state (1) or not (0)."},
		{Name: coreStorageConversion, Type: minikeeper.Gauge, Labels: []string{"volume", "state"}, Help: "Whether the conversion of the CoreStorage volume (its encryption or decryption) is in the state (1) or not (0)."},
		{Name: coreStorageGroup, Type: minikeeper.Gauge, Labels: []string{"group", "state"}, Help: "Whether the CoreStorage volume group, such as a Fusion Drive, is in the state (1) or not (0)."},
	}
}

// Collect implements Collector.
func (d disk) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	var found []filesystem
	var volumes []coreStorage
	var err error
	switch d.deps.GOOS {
	case "linux":
		found, err = d.mounted(ctx)
	case "darwin":
		var csErr error
		found, err = d.macOS(ctx)
		volumes, csErr = d.coreStorage(ctx)
		err = errors.Join(err, csErr)
	default:
		return nil, fmt.Errorf("disk: no way to read filesystems of %q", d.deps.GOOS)
	}
	if err != nil {
		err = fmt.Errorf("disk: %w", err)
	}
	var samples []minikeeper.Sample
	for _, fs := range found {
		samples = append(samples, fs.samples()...)
	}
	return append(samples, coreStorageSamples(volumes)...), err
}

// A filesystem is one space that can fill up: a mounted filesystem, or an APFS
// container whose volumes share its space. Exactly one of mountpoint and
// container is set; a nil number was not read.
type filesystem struct {
	mountpoint string
	container  string
	uuid       string   // of the container
	volumes    []string // names of the container's volumes

	size, free       *uint64 // bytes
	files, filesFree *uint64
	readonly         *bool
}

// samples are what is known of fs.
func (fs filesystem) samples() []minikeeper.Sample {
	key, value := "mountpoint", fs.mountpoint
	if fs.container != "" {
		key, value = "container", fs.container
	}
	value = strings.ToValidUTF8(value, "\uFFFD")
	var out []minikeeper.Sample
	for _, n := range []struct {
		name  string
		value *uint64
	}{
		{filesystemSize, fs.size},
		{filesystemFree, fs.free},
		{filesystemFiles, fs.files},
		{filesystemFilesFree, fs.filesFree},
	} {
		if n.value != nil {
			out = append(out, sample(n.name, float64(*n.value), key, value))
		}
	}
	if fs.readonly != nil {
		out = append(out, sample(filesystemReadonly, bool01(*fs.readonly), key, value))
	}
	if fs.container != "" {
		volumes := strings.ToValidUTF8(strings.Join(fs.volumes, ", "), "\uFFFD")
		out = append(out, sample(filesystemContainer, 1, key, value, "uuid", fs.uuid, "volumes", volumes))
	}
	return out
}

// patterns choose mount points.
type patterns []string

// newPatterns checks that every pattern can match.
func newPatterns(list []string) (patterns, error) {
	var errs []error
	for _, p := range list {
		if _, err := path.Match(strings.TrimSuffix(p, "/**"), ""); err != nil {
			errs = append(errs, fmt.Errorf("pattern %q: %w", p, err))
		}
	}
	return list, errors.Join(errs...)
}

// match tells whether one of the patterns names the mount point or container.
func (ps patterns) match(name string) bool {
	for _, p := range ps {
		above, all := strings.CutSuffix(p, "/**")
		if !all {
			if ok, _ := path.Match(p, name); ok { // newPatterns has seen the error
				return true
			}
			continue
		}
		for dir := path.Dir(name); ; dir = path.Dir(dir) {
			if ok, _ := path.Match(above, strings.TrimSuffix(dir, "/")); ok {
				return true
			}
			if dir == "/" || dir == "." {
				break
			}
		}
	}
	return false
}
