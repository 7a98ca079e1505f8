package collectors

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

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
