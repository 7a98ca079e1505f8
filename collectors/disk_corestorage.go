package collectors

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/minikeeper/minikeeper"
)

// coreStorageLimit bounds how many volumes and groups are asked for: each is a
// program of its own, and a Mac has one or two.
const coreStorageLimit = 64

// coreStorageUnknown stands for any word that is not in the lists below.
const coreStorageUnknown = "unknown"

// coreStorageStates are the words for how a volume or a group is.
func coreStorageStates() []string {
	return []string{"online", "locked", "offline", "initializing", "failed", coreStorageUnknown}
}

// conversionStates are the words for how far a volume's encryption or
// decryption is.
func conversionStates() []string {
	return []string{"pending", "converting", "complete", "failed", coreStorageUnknown}
}

// A coreStorage is a logical volume, or the group of disks that one lies on. A
// Fusion Drive is a group of two disks: where one is lost, diskutil may show no
// volume any more, and the group's state is what is left to tell.
type coreStorage struct {
	uuid       string
	group      bool
	name       string
	state      string // in diskutil's words; empty if it was not read
	conversion string // the same; empty for a group, and where there was none
}

// coreStorage reads the volumes and groups of CoreStorage, which macOS had
// before APFS. A Mac without any has none, and that is no error. One that
// cannot be read costs its own samples only.
func (d disk) coreStorage(ctx context.Context) ([]coreStorage, error) {
	command := d.deps.Settings.Disk.Command
	res, err := d.deps.tool(ctx, command, "diskutil", "cs", "list", "-plist")
	if err != nil {
		if strings.Contains(err.Error(), "did not recognize verb") {
			return nil, nil // before 10.7
		}
		return nil, err
	}
	found, err := parseCoreStorageList(res.Stdout)
	errs := []error{err}
	for i := range found {
		printed, err := d.deps.output(ctx, command, "diskutil", "cs", "info", "-plist", found[i].uuid)
		if err == nil {
			err = found[i].parseInfo(printed)
		}
		errs = append(errs, err)
	}
	return found, errors.Join(errs...)
}

// parseCoreStorageList reads the output of "diskutil cs list -plist", which is
// a tree of UUIDs: groups, in these families, in these volumes. It is an empty
// dictionary where there is none.
func parseCoreStorageList(out []byte) ([]coreStorage, error) {
	var list struct {
		Groups []struct {
			UUID     string `plist:"CoreStorageUUID"`
			Families []struct {
				Volumes []struct {
					UUID string `plist:"CoreStorageUUID"`
				} `plist:"CoreStorageLogicalVolumes"`
			} `plist:"CoreStorageLogicalVolumeFamilies"`
		} `plist:"CoreStorageLogicalVolumeGroups"`
	}
	if err := readPlist(out, &list); err != nil {
		return nil, fmt.Errorf("diskutil cs list: %w", err)
	}
	var found []coreStorage
	for _, g := range list.Groups {
		found = append(found, coreStorage{uuid: g.UUID, group: true})
		for _, f := range g.Families {
			for _, v := range f.Volumes {
				found = append(found, coreStorage{uuid: v.UUID})
			}
		}
	}
	return checkCoreStorage(found)
}

// checkCoreStorage leaves out what cannot be asked for, since a UUID becomes an
// argument, and what comes again.
func checkCoreStorage(found []coreStorage) ([]coreStorage, error) {
	var kept []coreStorage
	var errs []error
	seen := make(map[string]bool)
	for _, c := range found {
		switch {
		case !isUUID(c.uuid):
			errs = append(errs, fmt.Errorf("diskutil cs list: %.60q is no UUID", c.uuid))
		case len(kept) == coreStorageLimit:
			return kept, errors.Join(append(errs, fmt.Errorf("diskutil cs list: more than %d volumes and groups", coreStorageLimit))...)
		case !seen[c.uuid]:
			seen[c.uuid] = true
			kept = append(kept, c)
		}
		if len(errs) == coreStorageLimit {
			return kept, errors.Join(errs...)
		}
	}
	return kept, errors.Join(errs...)
}

// parseInfo reads the output of "diskutil cs info -plist UUID" into c.
func (c *coreStorage) parseInfo(out []byte) error {
	var info struct {
		GroupName   string `plist:"CoreStorageLogicalVolumeGroupName"`
		GroupStatus string `plist:"CoreStorageLogicalVolumeGroupStatus"`
		Name        string `plist:"CoreStorageLogicalVolumeName"`
		Status      string `plist:"CoreStorageLogicalVolumeStatus"`
		Conversion  string `plist:"CoreStorageLogicalVolumeConversionState"`
	}
	if err := readPlist(out, &info); err != nil {
		return fmt.Errorf("diskutil cs info %s: %w", c.uuid, err)
	}
	c.name, c.state = info.Name, info.Status
	lacks := "CoreStorageLogicalVolumeStatus"
	if c.group {
		c.name, c.state = info.GroupName, info.GroupStatus
		lacks = "CoreStorageLogicalVolumeGroupStatus"
	} else if strings.Trim(info.Conversion, "-") != "none" && info.Conversion != "NoConversion" {
		c.conversion = info.Conversion
	}
	if c.state == "" {
		return fmt.Errorf("diskutil cs info %s: the property list has no %s", c.uuid, lacks)
	}
	return nil
}

// coreStorageSamples are what is known of all: one series for each word. The
// names are the labels; the UUID is, where a name is empty or not the only one
// of its kind.
func coreStorageSamples(all []coreStorage) []minikeeper.Sample {
	type label struct {
		group bool
		name  string
	}
	uses := make(map[label]int)
	for i := range all {
		all[i].name = strings.ToValidUTF8(all[i].name, "\uFFFD")
		uses[label{all[i].group, all[i].name}]++
	}
	var out []minikeeper.Sample
	for _, c := range all {
		name := c.name
		if name == "" || uses[label{c.group, name}] > 1 {
			name = c.uuid
		}
		if c.group {
			out = append(out, oneOf(coreStorageGroup, coreStorageStates(), c.state, "group", name)...)
			continue
		}
		out = append(out, oneOf(coreStorageState, coreStorageStates(), c.state, "volume", name)...)
		out = append(out, oneOf(coreStorageConversion, conversionStates(), c.conversion, "volume", name)...)
	}
	return out
}

// oneOf makes a sample for each of words, 1 for the one that diskutil said and
// 0 for the others; none if it said nothing.
func oneOf(metric string, words []string, said, key, value string) []minikeeper.Sample {
	if said == "" {
		return nil
	}
	said = strings.ToLower(strings.TrimSpace(said))
	known := false
	var out []minikeeper.Sample
	for _, word := range words {
		is := word == said || word == coreStorageUnknown && !known
		known = known || is
		out = append(out, sample(metric, bool01(is), key, value, "state", word))
	}
	return out
}
