package collectors

import (
	"errors"
	"fmt"
)

// parseAppleRAIDPlist reads the output of "diskutil appleRAID list -plist".
func parseAppleRAIDPlist(out []byte) ([]array, error) {
	const title = "diskutil appleRAID list -plist"
	type member struct {
		UUID   string `plist:"AppleRAIDMemberUUID"`
		Device string `plist:"BSD Name"`
		Status string `plist:"MemberStatus"`
	}
	var list struct {
		Sets *[]struct {
			UUID    string `plist:"AppleRAIDSetUUID"`
			Device  string `plist:"BSD Name"`
			Level   string
			Members []member
			Name    string
			Spares  []member
			Status  string
		} `plist:"AppleRAIDSets"`
	}
	if err := readPlist(out, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", title, err)
	}
	if list.Sets == nil {
		return nil, fmt.Errorf("%s: the property list has no AppleRAIDSets", title)
	}
	var arrays []array
	var errs []error
	for i, s := range *list.Sets {
		if s.UUID == "" || len(s.Members) == 0 {
			errs = append(errs, fmt.Errorf("%s: set %d has no AppleRAIDSetUUID or no Members", title, i))
			continue
		}
		set := appleRAIDSet{name: s.Name, uuid: s.UUID, level: s.Level, status: s.Status, device: s.Device}
		for _, m := range s.Members {
			set.members = append(set.members, appleRAIDMember{m.Device, m.UUID, m.Status})
		}
		for _, m := range s.Spares {
			set.spares = append(set.spares, appleRAIDMember{m.Device, m.UUID, m.Status})
		}
		a, err := appleRAIDArray(set)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", title, err))
		}
		arrays = append(arrays, a)
	}
	return arrays, errors.Join(errs...)
}
