package collectors

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// macOS reads the APFS containers and the local filesystems of other kinds.
// Network mounts are not asked for, so that none can hang the collector.
func (d disk) macOS(ctx context.Context) ([]filesystem, error) {
	command := d.deps.Settings.Disk.Command
	var errs []error
	var found []filesystem

	var mounts []mount
	res, err := d.deps.tool(ctx, command, "mount")
	if err == nil {
		mounts, err = parseBSDMount(string(res.Stdout))
	}
	errs = append(errs, err)

	containers, err := d.containers(ctx)
	errs = append(errs, err)
	for _, c := range containers {
		if !d.exclude.match(c.container) {
			c.readonly = containerReadonly(c.container, mounts)
			found = append(found, c)
		}
	}

	if others := d.notAPFS(mounts); len(others) > 0 {
		res, err := d.deps.tool(ctx, command, "df", "-P", "-k", "-l")
		if len(res.Stdout) > 0 { // df names what it cannot read and shows the rest
			volumes, parseErr := parseDF(string(res.Stdout), others)
			found = append(found, volumes...)
			err = errors.Join(err, parseErr)
		}
		errs = append(errs, err)
	}
	return found, errors.Join(errs...)
}

// notAPFS returns the mounts of other kinds that can fill up.
func (d disk) notAPFS(mounts []mount) map[string]mount {
	others := make(map[string]mount)
	for _, m := range mounts {
		switch m.fstype {
		case "hfs", "msdos", "exfat", "ntfs", "ufs", "zfs":
			if !d.exclude.match(m.mountpoint) {
				others[m.mountpoint] = m
			}
		}
	}
	return others
}

// containers lists the APFS containers.
func (d disk) containers(ctx context.Context) ([]filesystem, error) {
	res, err := d.deps.tool(ctx, d.deps.Settings.Disk.Command, "diskutil", "apfs", "list", "-plist")
	if err != nil {
		if strings.Contains(err.Error(), "did not recognize verb") {
			return nil, nil // before 10.13 there is no APFS
		}
		return nil, err
	}
	return parseAPFSList(res.Stdout)
}

// containerReadonly tells whether all mounted volumes of a container are
// mounted read-only, as those of a disk image are; nil if none is mounted.
func containerReadonly(container string, mounts []mount) *bool {
	var readonly *bool
	for _, m := range mounts {
		slice, ok := strings.CutPrefix(m.device, "/dev/"+container+"s")
		if !ok || slice == "" || m.fstype != "apfs" {
			continue
		}
		if readonly == nil {
			readonly = new(true)
		}
		*readonly = *readonly && m.readonly
	}
	return readonly
}

// parseAPFSList reads the output of "diskutil apfs list -plist". Volumes share
// their container's space, so the container is what fills up. A container
// without a name is left out; one without a size keeps the rest.
func parseAPFSList(out []byte) ([]filesystem, error) {
	var list struct {
		Containers *[]struct {
			CapacityCeiling    *uint64
			CapacityFree       *uint64
			ContainerReference string
			APFSContainerUUID  string
			Volumes            []struct{ Name string }
		}
	}
	if err := readPlist(out, &list); err != nil {
		return nil, fmt.Errorf("diskutil apfs list: %w", err)
	}
	if list.Containers == nil {
		return nil, errors.New("diskutil apfs list: the property list has no Containers")
	}
	var found []filesystem
	var errs []error
	for i, c := range *list.Containers {
		if c.ContainerReference == "" {
			errs = append(errs, fmt.Errorf("diskutil apfs list: container %d has no ContainerReference", i))
			continue
		}
		if c.CapacityCeiling == nil || c.CapacityFree == nil {
			errs = append(errs, fmt.Errorf("diskutil apfs list: container %s lacks CapacityCeiling or CapacityFree", c.ContainerReference))
		}
		fs := filesystem{container: c.ContainerReference, uuid: c.APFSContainerUUID, size: c.CapacityCeiling, free: c.CapacityFree}
		for _, v := range c.Volumes {
			fs.volumes = append(fs.volumes, v.Name)
		}
		found = append(found, fs)
	}
	return found, errors.Join(errs...)
}

// parseBSDMount reads the output of mount(8) on macOS:
//
//	/dev/disk2 on /Volumes/Shared Items (hfs, local, journaled)
func parseBSDMount(out string) ([]mount, error) {
	if err := checkLength(out); err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	var mounts []mount
	bad, example := 0, ""
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		open := strings.LastIndex(line, " (")
		device, place, ok := strings.Cut(line[:max(open, 0)], " on /")
		if len(line) > lineLimit || !ok || !strings.HasSuffix(line, ")") {
			bad++
			example = line
			continue
		}
		options := strings.Split(line[open+2:len(line)-1], ", ")
		m := mount{device: device, mountpoint: "/" + place, fstype: options[0]}
		for _, o := range options[1:] {
			m.readonly = m.readonly || o == "read-only"
		}
		if len(mounts) == mountLimit {
			return mounts, fmt.Errorf("mount: more than %d mounts", mountLimit)
		}
		mounts = append(mounts, m)
	}
	if bad > 0 {
		return mounts, fmt.Errorf("mount: %d lines are not mounts, such as %q", bad, firstLine([]byte(example)))
	}
	return mounts, nil
}

// parseDF reads the output of "df -P -k" for the mounts that are wanted, by
// their mount points. One that is wanted and not shown is named in the error.
func parseDF(out string, wanted map[string]mount) ([]filesystem, error) {
	if err := checkLength(out); err != nil {
		return nil, fmt.Errorf("df: %w", err)
	}
	var found []filesystem
	shown := make(map[string]bool)
	for line := range strings.Lines(out) {
		mountpoint, size, free, ok := parseDFLine(line)
		m, want := wanted[mountpoint]
		if !ok || !want || shown[mountpoint] {
			continue
		}
		shown[mountpoint] = true
		found = append(found, filesystem{mountpoint: mountpoint, size: &size, free: &free, readonly: &m.readonly})
	}
	var errs []error
	for mountpoint := range sorted(wanted) {
		if !shown[mountpoint] {
			errs = append(errs, fmt.Errorf("df: shows nothing for %s", mountpoint))
		}
	}
	return found, errors.Join(errs...)
}

// parseDFLine reads "DEVICE BLOCKS USED AVAILABLE CAPACITY% MOUNTPOINT", where
// device and mount point may hold blanks and blocks are of 1,024 bytes.
func parseDFLine(line string) (mountpoint string, size, free uint64, ok bool) {
	head, mountpoint, ok := strings.Cut(strings.TrimRight(line, "\n"), "% ")
	if !ok || len(head) > lineLimit {
		return "", 0, 0, false
	}
	fields := strings.Fields(head)
	n := len(fields)
	if n < 5 { // device, blocks, used, available, capacity
		return "", 0, 0, false
	}
	blocks, err := strconv.ParseUint(fields[n-4], 10, 53)
	if err != nil {
		return "", 0, 0, false
	}
	available, err := strconv.ParseInt(fields[n-2], 10, 54)
	if err != nil {
		return "", 0, 0, false
	}
	return strings.TrimLeft(mountpoint, " "), blocks * 1024, uint64(max(available, 0)) * 1024, true
}
