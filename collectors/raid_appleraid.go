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

// An appleRAIDList is what diskutil listed.
type appleRAIDList struct {
	arrays    []array
	announced int // number of sets that the header speaks of; 0 if of none
}

// parseAppleRAID reads the output of "diskutil appleRAID list", of any version
// since 10.5:
//
//	AppleRAID sets (1 found)
//	=====================================
//	Name:                 Shared Items
//	Unique ID:            0E1D2C3B-4A59-4868-9786-A5B4C3D2E1F0
//	Type:                 Mirror
//	Status:               Degraded
//	-------------------------------------
//	#  DevNode   UUID                                  Status     Size
//	-------------------------------------
//	0  disk2s2   AAAAAAAA-0000-4000-8000-000000000001  Online     4000443039744
//	1  disk3s2   AAAAAAAA-0000-4000-8000-000000000002  5% (Rebuilding)4000443039744
//	=====================================
//
// The sets that could be read are returned beside an error about the rest.
func parseAppleRAID(text string) (appleRAIDList, error) {
	if err := checkLength(text); err != nil {
		return appleRAIDList{}, fmt.Errorf("diskutil appleRAID list: %w", err)
	}
	p := appleRAIDText{announced: -1}
	for line := range strings.Lines(text) {
		if len(line) > lineLimit {
			p.problem("a line is longer than %d bytes", lineLimit)
			continue
		}
		p.line(strings.TrimSpace(line))
	}
	p.finish()
	switch {
	case p.kernel != "":
		p.errs = append([]error{fmt.Errorf("%w: %s", errAppleRAIDKernel, p.kernel)}, p.errs...)
	case p.announced < 0 && len(p.arrays) == 0 && len(p.errs) == 0:
		p.problem("not a list of sets: %q", firstLine([]byte(text)))
	case p.announced > len(p.arrays):
		p.problem("%d sets are announced and %d shown", p.announced, len(p.arrays))
	}
	return appleRAIDList{p.arrays, max(p.announced, 0)}, errors.Join(p.errs...)
}

// Bounds of what is read and told of one list.
const (
	appleRAIDSetLimit    = 1000
	appleRAIDMemberLimit = 1000 // of one set
	appleRAIDErrorLimit  = 10
)

// appleRAIDText reads the list line by line.
type appleRAIDText struct {
	arrays    []array
	announced int // number of sets in the header; -1 if there was none
	kernel    string
	errs      []error

	keys    map[string]string // of the set that is being read; nil outside of one
	members []appleRAIDMember
}

// An appleRAIDMember is one member of a set, as diskutil describes it.
type appleRAIDMember struct{ device, uuid, status string }

func (p *appleRAIDText) problem(format string, args ...any) {
	if len(p.errs) < appleRAIDErrorLimit {
		p.errs = append(p.errs, fmt.Errorf("diskutil appleRAID list: "+format, args...))
	}
}

func (p *appleRAIDText) line(line string) {
	switch {
	case line == "", strings.HasPrefix(line, "---"), strings.HasPrefix(line, "#"):
	case strings.HasPrefix(line, "==="):
		p.finish()
	case strings.HasPrefix(line, "AppleRAID:"), strings.HasPrefix(line, "AppleRAID failed"):
		p.kernel = firstLine([]byte(line))
	case strings.HasPrefix(line, "No ") && strings.HasSuffix(line, "RAID sets found"):
		p.announced = 0
	case line == "RAID SETS":
		p.announced = max(p.announced, 0)
	case strings.HasPrefix(line, "AppleRAID sets ("):
		count, _, _ := strings.Cut(strings.TrimPrefix(line, "AppleRAID sets ("), " ")
		n, err := strconv.Atoi(count)
		if err != nil {
			p.problem("header %q has no number", firstLine([]byte(line)))
			return
		}
		p.announced = n
	default:
		p.body(line)
	}
}

// body reads a line of a set: one of its keys or one of its members.
func (p *appleRAIDText) body(line string) {
	if m, ok := parseAppleRAIDMember(line); ok {
		if len(p.members) < appleRAIDMemberLimit {
			p.members = append(p.members, m)
		}
		return
	}
	key, value, ok := strings.Cut(line, ":")
	if !ok {
		p.problem("line %q is neither key nor member", firstLine([]byte(line)))
		return
	}
	if key == "Name" && p.keys["Name"] != "" { // the line between two sets is lost
		p.finish()
	}
	if p.keys == nil {
		p.keys = make(map[string]string)
	}
	switch key {
	case "Name", "Unique ID", "Type", "Status", "Device Node":
		p.keys[key] = strings.TrimSpace(value)
	}
}

// finish ends the set that is being read.
func (p *appleRAIDText) finish() {
	keys, members := p.keys, p.members
	p.keys, p.members = nil, nil
	if keys == nil && members == nil {
		return
	}
	if keys["Unique ID"] == "" || len(members) == 0 {
		p.problem("set %q has no unique id or no members", keys["Name"])
		return
	}
	if len(p.arrays) == appleRAIDSetLimit {
		p.problem("more than %d sets", appleRAIDSetLimit)
		return
	}
	a, err := appleRAIDArray(appleRAIDSet{
		name: keys["Name"], uuid: keys["Unique ID"], level: keys["Type"],
		status: keys["Status"], device: keys["Device Node"], members: members,
	})
	p.arrays = append(p.arrays, a)
	if err != nil {
		p.problem("%w", err)
	}
}

// parseAppleRAIDMember reads "INDEX NODE UUID STATUS[SIZE]". The UUID is the
// only thing in it that can be relied on: node and index may be dashes, and
// nothing need stand between status and size.
func parseAppleRAIDMember(line string) (appleRAIDMember, bool) {
	fields := strings.Fields(line)
	if len(fields) == 0 || strings.Trim(fields[0], "-0123456789") != "" {
		return appleRAIDMember{}, false // a key may have a UUID for its value
	}
	for i := 1; i < min(len(fields), 4); i++ {
		if !isUUID(fields[i]) {
			continue
		}
		status := strings.Join(fields[i+1:], " ")
		if bare := strings.TrimRight(status, "0123456789"); bare != "" {
			status = bare // without the size
		}
		return appleRAIDMember{device: fields[i-1], uuid: fields[i], status: strings.TrimSpace(status)}, true
	}
	return appleRAIDMember{}, false
}

// isUUID tells whether s looks like 0E1D2C3B-4A59-4868-9786-A5B4C3D2E1F0.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := bytes.IndexByte([]byte("0123456789ABCDEFabcdef"), s[i]) >= 0
		if dash != (s[i] == '-') || !dash && !hex {
			return false
		}
	}
	return true
}

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
