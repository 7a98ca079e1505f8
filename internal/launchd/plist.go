package launchd

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"

	"github.com/minikeeper/minikeeper/internal/propertylist"
)

// PlistLimit bounds a job's property list: a real one has 1 to 10 kB.
const PlistLimit = 256 << 10

// A Plist is what a job's property list says, as far as minikeeper cares.
type Plist struct {
	Label    string
	Argv     []string // what it runs; Program stands in place of the first argument
	Disabled bool     // the file's word; launchctl enable and disable overrule it
	Stdout   string   // path of the log; "" if there is none
	Stderr   string
	Calendar Schedule // when it is due; empty if it has no calendar
}

// ParsePlist reads a job's property list, XML or binary. It is an error if
// launchd could not load it: no dictionary, no Label, nothing to run.
func ParsePlist(data []byte) (Plist, error) {
	dict, err := propertylist.Dict(data, PlistLimit)
	if err != nil {
		return Plist{}, err
	}
	var p Plist
	p.Label = text(dict["Label"])
	if !ValidLabel(p.Label) {
		return Plist{}, fmt.Errorf("read property list: Label is %q", shorten(p.Label))
	}
	if p.Argv, err = argv(dict); err != nil {
		return p, err
	}
	p.Disabled, _ = dict["Disabled"].(bool)
	p.Stdout, p.Stderr = text(dict["StandardOutPath"]), text(dict["StandardErrorPath"])
	if p.Calendar, err = schedule(dict["StartCalendarInterval"]); err != nil {
		return p, fmt.Errorf("read property list: StartCalendarInterval: %w", err)
	}
	return p, nil
}

// ValidLabel tells whether label can be one that is part of a command line and
// of a path: it is not a flag, names no other folder, and is one line.
func ValidLabel(label string) bool {
	return label != "" && len(label) <= 255 && !strings.HasPrefix(label, "-") && !strings.HasPrefix(label, ".") &&
		!strings.ContainsFunc(label, func(r rune) bool { return r <= ' ' || r == '/' || r == 0x7f || r == '�' })
}

func text(v any) string {
	s, _ := v.(string)
	return strings.ToValidUTF8(s, "�")
}

func argv(dict map[string]any) ([]string, error) {
	var argv []string
	arguments, _ := dict["ProgramArguments"].([]any)
	for _, a := range arguments {
		argv = append(argv, text(a))
	}
	if program := text(dict["Program"]); program != "" {
		argv = append([]string{program}, argv[min(1, len(argv)):]...)
	}
	_, bundled := dict["BundleProgram"].(string)
	if len(argv) == 0 && !bundled {
		return nil, errors.New("read property list: neither Program nor ProgramArguments")
	}
	return argv, nil
}

// schedule reads StartCalendarInterval: a dictionary, or an array of them.
func schedule(v any) (Schedule, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		i, err := interval(v)
		return Schedule{i}, err
	case []any:
		if len(v) > scheduleLimit {
			return nil, fmt.Errorf("more than %d intervals", scheduleLimit)
		}
		var s Schedule
		for _, element := range v {
			dict, ok := element.(map[string]any)
			if !ok {
				return nil, errors.New("not a dictionary")
			}
			i, err := interval(dict)
			if err != nil {
				return nil, err
			}
			s = append(s, i)
		}
		return s, nil
	default:
		return nil, errors.New("not a dictionary")
	}
}

func interval(dict map[string]any) (Interval, error) {
	i := Interval{Minute: Any, Hour: Any, Day: Any, Weekday: Any, Month: Any}
	for _, field := range []struct {
		key      string
		into     *int
		min, max int
	}{
		{"Minute", &i.Minute, 0, 59},
		{"Hour", &i.Hour, 0, 23},
		{"Day", &i.Day, 1, 31},
		{"Weekday", &i.Weekday, 0, 7},
		{"Month", &i.Month, 1, 12},
	} {
		v, ok := dict[field.key]
		if !ok {
			continue
		}
		n, ok := whole(v)
		if !ok || n < field.min || n > field.max {
			return Interval{}, fmt.Errorf("%s is %v, not from %d to %d", field.key, shorten(fmt.Sprint(v)), field.min, field.max)
		}
		*field.into = n
	}
	i.Weekday = i.Weekday % 7 // 7 is Sunday too; Any stays
	return i, nil
}

func whole(v any) (int, bool) {
	switch n := v.(type) {
	case uint64:
		return int(min(n, math.MaxInt32)), true
	case int64:
		return int(max(min(n, math.MaxInt32), math.MinInt32)), true
	default:
		return 0, false
	}
}

// Mode is what a property list's mode should be.
const Mode fs.FileMode = 0o644

// Secure tells whether launchd trusts a property list with this owner, group
// and mode: root and wheel, a regular file, and nobody else may write it. Else
// `launchctl bootstrap` answers "Bootstrap failed: 5: Input/output error".
func Secure(uid, gid uint32, mode fs.FileMode) bool {
	return uid == 0 && gid == 0 && mode.IsRegular() && mode.Perm()&0o022 == 0
}
