package snmp

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A datePattern reads dates as strptime does.
type datePattern struct{ steps []dateStep }

// A dateStep reads one part of a date and returns what is left of the text.
type dateStep func(text string, d *date) (rest string, err error)

// date is what has been read so far.
type date struct {
	year, month, day, hour, minute, second int
	yearDay                                int
	afternoon                              bool
	unix                                   int64
	hasUnix                                bool
	zone                                   *time.Location
}

// newDatePattern prepares a pattern such as "%b %d %Y". The directives are
// those of strptime that say when something was; weeks and centuries are not
// among them.
func newDatePattern(pattern string) (*datePattern, error) {
	p := &datePattern{}
	if pattern == "" {
		return nil, errors.New("datetime_pattern is missing")
	}
	for pattern != "" {
		if pattern[0] != '%' {
			p.steps = append(p.steps, exactly(pattern[:1]))
			pattern = pattern[1:]
			continue
		}
		if len(pattern) < 2 {
			return nil, errors.New("datetime_pattern ends with %")
		}
		if whole, ok := compositeDates()[pattern[1]]; ok {
			pattern = whole + pattern[2:]
			continue
		}
		step := directive(pattern[1])
		if step == nil {
			return nil, fmt.Errorf("datetime_pattern: unknown directive %%%c", pattern[1])
		}
		p.steps = append(p.steps, step)
		pattern = pattern[2:]
	}
	return p, nil
}

// compositeDates are directives that stand for several.
func compositeDates() map[byte]string {
	return map[byte]string{
		'D': "%m/%d/%y", 'x': "%m/%d/%y", 'F': "%Y-%m-%d", 'T': "%H:%M:%S", 'X': "%H:%M:%S", 'R': "%H:%M",
		'r': "%I:%M:%S %p", 'c': "%a %b %e %H:%M:%S %Y", 'v': "%e-%b-%Y", '+': "%a %b %e %H:%M:%S %Z %Y",
	}
}

// directive returns the step of %c, or nil if there is none.
func directive(c byte) dateStep {
	switch c {
	case 'Y':
		return digits(4, 0, 9999, func(d *date, n int) { d.year = n })
	case 'y':
		return digits(2, 0, 99, func(d *date, n int) { d.year = century(n) })
	case 'm':
		return digits(2, 1, 12, func(d *date, n int) { d.month = n })
	case 'd', 'e':
		return spaced(digits(2, 1, 31, func(d *date, n int) { d.day = n }))
	case 'j':
		return digits(3, 1, 366, func(d *date, n int) { d.yearDay = n })
	case 'H', 'k':
		return spaced(digits(2, 0, 23, func(d *date, n int) { d.hour = n }))
	case 'I', 'l':
		return spaced(digits(2, 1, 12, func(d *date, n int) { d.hour = n % 12 }))
	case 'M':
		return digits(2, 0, 59, func(d *date, n int) { d.minute = n })
	case 'S':
		return digits(2, 0, 60, func(d *date, n int) { d.second = n })
	case 'f':
		return digits(6, 0, 999999, func(*date, int) {})
	case 's':
		return digits(18, 0, 1<<59, func(d *date, n int) { d.unix, d.hasUnix = int64(n), true })
	case 'w':
		return digits(1, 0, 6, func(*date, int) {})
	case 'u':
		return digits(1, 1, 7, func(*date, int) {})
	}
	return namedDirective(c)
}

// namedDirective returns the step of a directive that is not a number.
func namedDirective(c byte) dateStep {
	switch c {
	case 'B', 'b', 'h':
		return oneOf(monthNames(c == 'B'), func(d *date, i int) { d.month = i + 1 })
	case 'A', 'a':
		return oneOf(dayNames(c == 'A'), func(*date, int) {})
	case 'p', 'P':
		return oneOf([]string{"AM", "PM"}, func(d *date, i int) { d.afternoon = i == 1 })
	case 'Z':
		return zoneName
	case 'z':
		return zoneOffset
	case 't', 'n':
		return spaces
	case '%':
		return exactly("%")
	default:
		return nil
	}
}

func century(year int) int {
	if year < 69 {
		return 2000 + year
	}
	return 1900 + year
}

func monthNames(long bool) []string {
	names := make([]string, 12)
	for i := range names {
		names[i] = time.Month(i + 1).String()
		if !long {
			names[i] = names[i][:3]
		}
	}
	return names
}

func dayNames(long bool) []string {
	names := make([]string, 7)
	for i := range names {
		names[i] = time.Weekday(i).String()
		if !long {
			names[i] = names[i][:3]
		}
	}
	return names
}

// exactly reads a text that has to stand there.
func exactly(want string) dateStep {
	return func(text string, _ *date) (string, error) {
		rest, ok := strings.CutPrefix(text, want)
		if !ok {
			return "", fmt.Errorf("wants %q at %q", want, text)
		}
		return rest, nil
	}
}

// digits reads a number of at most size digits.
func digits(size, least, most int, set func(*date, int)) dateStep {
	return func(text string, d *date) (string, error) {
		n, i := 0, 0
		for i < min(size, len(text)) && '0' <= text[i] && text[i] <= '9' {
			n = n*10 + int(text[i]-'0')
			i++
		}
		if i == 0 || n < least || n > most {
			return "", fmt.Errorf("wants a number from %d to %d at %q", least, most, text)
		}
		set(d, n)
		return text[i:], nil
	}
}

// spaced reads a number that may have a space instead of its first digit.
func spaced(step dateStep) dateStep {
	return func(text string, d *date) (string, error) { return step(strings.TrimPrefix(text, " "), d) }
}

// oneOf reads one of names, in any case.
func oneOf(names []string, set func(*date, int)) dateStep {
	return func(text string, d *date) (string, error) {
		for i, name := range names {
			if len(text) >= len(name) && strings.EqualFold(text[:len(name)], name) {
				set(d, i)
				return text[len(name):], nil
			}
		}
		return "", fmt.Errorf("wants one of %s at %q", strings.Join(names, ", "), text)
	}
}

func spaces(text string, _ *date) (string, error) {
	rest := strings.TrimLeft(text, " \t\n\v\f\r")
	if len(rest) == len(text) {
		return "", fmt.Errorf("wants a space at %q", text)
	}
	return rest, nil
}

// zoneName reads a name such as CET. One that this machine's time zone does
// not have counts as UTC, as in Go.
func zoneName(text string, d *date) (string, error) {
	rest := strings.TrimLeft(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	t, err := time.ParseInLocation("MST", text[:len(text)-len(rest)], time.Local)
	if err != nil {
		return "", fmt.Errorf("wants a zone at %q", text)
	}
	d.zone = t.Location()
	return rest, nil
}

// zoneOffset reads Z, +hh, +hhmm or +hh:mm.
func zoneOffset(text string, d *date) (string, error) {
	if rest, ok := strings.CutPrefix(text, "Z"); ok {
		d.zone = time.UTC
		return rest, nil
	}
	for _, form := range []string{"-07:00", "-0700", "-07"} {
		if len(text) < len(form) {
			continue
		}
		if t, err := time.Parse(form, text[:len(form)]); err == nil {
			d.zone = t.Location()
			return text[len(form):], nil
		}
	}
	return "", fmt.Errorf("wants an offset such as +0100 at %q", text)
}

// parse reads text as seconds since 1970. What the pattern leaves out is that
// of 1 January 1900, at midnight, UTC.
func (p *datePattern) parse(text string) (float64, error) {
	d := date{year: 1900, month: 1, day: 1, zone: time.UTC}
	rest := text
	for _, step := range p.steps {
		var err error
		if rest, err = step(rest, &d); err != nil {
			return 0, err
		}
	}
	switch {
	case rest != "":
		return 0, fmt.Errorf("%q is left over", rest)
	case d.hasUnix:
		return float64(d.unix), nil
	}
	if d.afternoon {
		d.hour += 12
	}
	if d.yearDay > 0 && d.day == 1 && d.month == 1 {
		d.day = d.yearDay
	}
	return float64(time.Date(d.year, time.Month(d.month), d.day, d.hour, d.minute, d.second, 0, d.zone).Unix()), nil
}
