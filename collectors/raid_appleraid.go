package collectors

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errAppleRAIDKernel marks a list that the kernel did not give. diskutil then
// goes on to say that there are no sets, which is not known at all.
var errAppleRAIDKernel = errors.New("the kernel did not answer")

// readAppleRAID reads what diskutil lists: as text, the only form that tells
// how far a rebuild is, and as a property list where the text cannot be read.
func readAppleRAID(ctx context.Context, d Deps) ([]array, error) {
	command := d.Settings.RAID.Command
	res, err := d.tool(ctx, command, "diskutil", "appleRAID", "list")
	var list appleRAIDList
	if err == nil {
		list, err = parseAppleRAID(string(res.Stdout) + "\n" + kernelComplaint(res.Stderr))
	}
	if err == nil || ctx.Err() != nil || errors.Is(err, errAppleRAIDKernel) {
		return list.arrays, err
	}
	res, plistErr := d.tool(ctx, command, "diskutil", "appleRAID", "list", "-plist")
	var arrays []array
	if plistErr == nil {
		arrays, plistErr = parseAppleRAIDPlist(res.Stdout)
	}
	if plistErr == nil && len(arrays) >= max(len(list.arrays), list.announced) {
		return arrays, nil
	}
	return list.arrays, errors.Join(err, plistErr)
}

// kernelComplaint returns the line of stderr that tells that the kernel did
// not answer, if there is one: not every version prints it to stdout.
func kernelComplaint(stderr []byte) string {
	for line := range bytes.Lines(stderr) {
		if bytes.HasPrefix(line, []byte("AppleRAID")) {
			return string(line)
		}
	}
	return ""
}

// An appleRAIDMember is one member of a set, as diskutil describes it.
type appleRAIDMember struct{ device, uuid, status string }

// An appleRAIDSet is a set in the words of diskutil.
type appleRAIDSet struct {
	name, uuid, level, status, device string
	members, spares                   []appleRAIDMember
}

// appleRAIDArray turns diskutil's words into ours. The error names words that
// are not known; what they describe is then unknown.
func appleRAIDArray(set appleRAIDSet) (array, error) {
	a := array{
		id:      set.uuid,
		name:    cmp.Or(set.name, set.uuid),
		backend: "appleraid",
		device:  set.device,
		members: map[memberState]int{memberSpare: len(set.spares)},
		shrinks: true,
	}
	var errs []error
	unknown := func(what, word string) {
		errs = append(errs, fmt.Errorf("set %q: %s %q is not known", a.name, what, word))
	}
	var ok bool
	if a.level, ok = appleRAIDLevel(set.level); !ok {
		unknown("type", set.level)
	}
	for _, m := range set.members {
		state, progress, ok := appleRAIDMemberState(m.status)
		if !ok {
			unknown("member status", m.status)
		}
		a.members[state]++
		if progress != nil && (a.progress == nil || *progress < *a.progress) {
			a.progress = progress // the slowest decides
		}
	}
	a.expected = a.present()
	if a.state, ok = appleRAIDState(set.status); !ok {
		unknown("status", set.status)
	}
	if a.members[memberRebuilding] > 0 && (a.state == arrayOnline || a.state == arrayDegraded) {
		a.state = arrayRebuilding
	}
	return a, errors.Join(errs...)
}

func appleRAIDLevel(word string) (string, bool) {
	switch strings.ToLower(word) {
	case "mirror":
		return "raid1", true
	case "stripe":
		return "raid0", true
	case "concat":
		return "concat", true
	default:
		return strings.ToLower(word), false
	}
}

func appleRAIDState(word string) (arrayState, bool) {
	switch strings.ToLower(word) {
	case "online":
		return arrayOnline, true
	case "degraded":
		return arrayDegraded, true
	case "failed":
		return arrayFailed, true
	case "offline":
		return arrayOffline, true
	default:
		return arrayUnknown, false
	}
}

// appleRAIDMemberState reads a member's status, such as "Online" or
// "27% (Rebuilding)".
func appleRAIDMemberState(word string) (memberState, *float64, bool) {
	lower := strings.ToLower(word)
	switch lower {
	case "online":
		return memberOnline, nil, true
	case "failed":
		return memberFailed, nil, true
	case "missing", "missing/damaged":
		return memberMissing, nil, true
	case "standby", "spare":
		return memberSpare, nil, true
	case "offline":
		return memberOffline, nil, true
	case "rebuilding":
		return memberRebuilding, nil, true
	}
	percent, rest, found := strings.Cut(lower, "%")
	n, err := strconv.ParseFloat(percent, 64)
	inRange := n >= 0 && n <= 100 // which NaN is not
	if !found || strings.TrimSpace(rest) != "(rebuilding)" || err != nil || !inRange {
		return memberUnknown, nil, false
	}
	n /= 100
	return memberRebuilding, &n, true
}
