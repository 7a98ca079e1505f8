package strictyaml

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Duration is a span of time as people write it: 30m, 7d, 1h30m, 500ms. The
// units are those of Prometheus (ms, s, m, h, d, w, y; a day has 24 hours, a
// year 365 days), each at most once, the largest first.
type Duration time.Duration

// A unit is the name of a quantity and how much it is.
type unit struct {
	name string
	size int64
}

func durationUnits() []unit {
	const day = 24 * time.Hour
	return []unit{
		{"y", int64(365 * day)},
		{"w", int64(7 * day)},
		{"d", int64(day)},
		{"h", int64(time.Hour)},
		{"m", int64(time.Minute)},
		{"s", int64(time.Second)},
		{"ms", int64(time.Millisecond)},
	}
}

// Wants implements [Wanter].
func (Duration) Wants() string { return "a duration such as 30m" }

// ParseDuration reads a duration. The error is a sentence that lacks its subject.
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("wants a duration such as 30m, 1h30m or 7d, not %s", quote(s))
	if s == "0" {
		return 0, nil
	}
	units := durationUnits()
	total, rest := int64(0), s
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return 0, bad
		}
		rest = rest[digits:]
		letters := len(rest) - len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz"))
		i := indexUnit(units, rest[:letters])
		if i < 0 || n > (math.MaxInt64-total)/units[i].size {
			return 0, bad
		}
		total += n * units[i].size
		units, rest = units[i+1:], rest[letters:]
	}
	if s == "" {
		return 0, bad
	}
	return time.Duration(total), nil
}

func indexUnit(units []unit, name string) int {
	for i, u := range units {
		if u.name == name {
			return i
		}
	}
	return -1
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(text []byte) error {
	std, err := ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = Duration(std)
	return nil
}

// String shows d as it would be written, in units from days down.
func (d Duration) String() string {
	rest := int64(d)
	if rest <= 0 || rest%int64(time.Millisecond) != 0 {
		if rest == 0 {
			return "0"
		}
		return time.Duration(d).String()
	}
	var b strings.Builder
	for _, u := range durationUnits()[2:] {
		if n := rest / u.size; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			rest %= u.size
		}
	}
	return b.String()
}

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// A Size is a number of bytes as people write it: 40MB and 10GB count in
// thousands, 64KiB and 2GiB in 1024s; a number alone is bytes.
type Size int64

func sizeUnits() []unit {
	return []unit{
		{"TB", 1e12},
		{"GB", 1e9},
		{"MB", 1e6},
		{"kB", 1e3},
		{"KB", 1e3},
		{"TiB", 1 << 40},
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"B", 1},
		{"", 1},
	}
}

// Wants implements [Wanter].
func (Size) Wants() string { return "a size such as 40MB" }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (z *Size) UnmarshalText(text []byte) error {
	s := string(text)
	bad := fmt.Errorf("wants a size such as 40MB, 10GB or 64KiB, not %s", quote(s))
	digits := len(s) - len(strings.TrimLeft(s, "0123456789."))
	i := indexUnit(sizeUnits(), strings.TrimPrefix(s[digits:], " "))
	n, err := strconv.ParseFloat(s[:digits], 64)
	if err != nil || i < 0 {
		return bad
	}
	size := n * float64(sizeUnits()[i].size)
	if size >= math.MaxInt64 || size != math.Trunc(size) {
		return bad
	}
	*z = Size(size)
	return nil
}

// String shows z in the largest decimal or binary unit that leaves it whole.
func (z Size) String() string {
	for _, u := range sizeUnits() {
		if u.size > 1 && z != 0 && int64(z)%u.size == 0 {
			return fmt.Sprintf("%d%s", int64(z)/u.size, u.name)
		}
	}
	return fmt.Sprintf("%dB", int64(z))
}

// MarshalText implements [encoding.TextMarshaler].
func (z Size) MarshalText() ([]byte, error) { return []byte(z.String()), nil }

// A Limit is a number of things, or a part of all of them: 100, 5%.
type Limit struct {
	Count     int64   // how many; 0 if it is a percentage
	Percent   float64 // from 0 to 100; 0 if it is a number
	IsPercent bool
}

// Wants implements [Wanter].
func (Limit) Wants() string { return "a number such as 100 or a part such as 5%" }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (l *Limit) UnmarshalText(text []byte) error {
	s := string(text)
	bad := fmt.Errorf("wants a number such as 100 or a part such as 5%%, not %s", quote(s))
	if number, ok := strings.CutSuffix(s, "%"); ok {
		p, err := strconv.ParseFloat(number, 64)
		if err != nil || !(p >= 0 && p <= 100) {
			return bad
		}
		*l = Limit{Percent: p, IsPercent: true}
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return bad
	}
	*l = Limit{Count: n}
	return nil
}

// Of returns how many of total the limit allows; a part is rounded down.
func (l Limit) Of(total int64) int64 {
	if l.IsPercent {
		return int64(float64(total) * l.Percent / 100)
	}
	return l.Count
}

// String shows l as it would be written.
func (l Limit) String() string {
	if l.IsPercent {
		return strconv.FormatFloat(l.Percent, 'f', -1, 64) + "%"
	}
	return strconv.FormatInt(l.Count, 10)
}

// MarshalText implements [encoding.TextMarshaler].
func (l Limit) MarshalText() ([]byte, error) { return []byte(l.String()), nil }
