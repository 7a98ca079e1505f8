package calendar

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Window is a stretch of wall-clock time on some days of each week.
type Window struct {
	text string
	days [7]bool       // by time.Weekday; the day on which it begins
	from time.Duration // after midnight
	to   time.Duration // after the same midnight; more than a day if it crosses the next one
}

// String returns the window as it was written.
func (w Window) String() string { return w.text }

func (w Window) on(day time.Weekday) bool { return w.days[day] }

// ParseWindow reads one window: days, a blank, and two times of day. The error
// is a sentence that lacks its subject.
func ParseWindow(s string) (Window, error) {
	bad := func(why string) (Window, error) {
		return Window{}, fmt.Errorf(`wants a window such as "Sat 22:00-06:00", not %q: %s`, s, why)
	}
	fields := strings.Fields(s)
	if len(fields) != 2 {
		return bad("it needs days and times with a blank between")
	}
	w := Window{text: strings.Join(fields, " ")}
	days, ok := parseDays(fields[0])
	if !ok {
		return bad("days are daily, Sat, Mon-Fri or Sat,Sun")
	}
	w.days = days
	from, to, _ := strings.Cut(fields[1], "-")
	var okFrom, okTo bool
	w.from, okFrom = parseClock(from)
	w.to, okTo = parseClock(to)
	const day = 24 * time.Hour
	switch {
	case !okFrom || !okTo || w.from == day:
		return bad("times are 00:00 to 23:59, and 24:00 as an end")
	case w.from == w.to:
		return bad("it ends when it begins; a whole day is 00:00-24:00")
	case w.to < w.from:
		w.to += day
	}
	return w, nil
}

// parseDays reads "daily", or names and ranges of days with commas between.
func parseDays(s string) (days [7]bool, ok bool) {
	if strings.EqualFold(s, "daily") {
		return [7]bool{true, true, true, true, true, true, true}, true
	}
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, okFirst := parseDay(from)
		last, okLast := parseDay(to)
		if !okFirst || !okLast {
			return days, false
		}
		for day := first; ; day = (day + 1) % 7 {
			days[day] = true
			if day == last {
				break
			}
		}
	}
	return days, true
}

// parseDay reads the English name of a day, in full or its first three letters.
func parseDay(s string) (time.Weekday, bool) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if name := day.String(); strings.EqualFold(s, name) || strings.EqualFold(s, name[:3]) {
			return day, true
		}
	}
	return 0, false
}

// parseClock reads HH:MM, from 00:00 to 24:00.
func parseClock(s string) (time.Duration, bool) {
	if len(s) != len("00:00") || s[2] != ':' {
		return 0, false
	}
	hours, err := strconv.ParseUint(s[:2], 10, 8)
	minutes, err2 := strconv.ParseUint(s[3:], 10, 8)
	if err != nil || err2 != nil || minutes > 59 || hours > 24 || hours == 24 && minutes > 0 {
		return 0, false
	}
	return time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute, true
}
