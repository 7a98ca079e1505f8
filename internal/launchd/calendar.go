package launchd

import "time"

// Any stands for every value of a field of Interval.
const Any = -1

// An Interval is one dictionary of StartCalendarInterval: when a job is due,
// in local time.
type Interval struct {
	Minute, Hour int
	Day          int // of the month, from 1
	Weekday      int // 0 is Sunday. With Day given too, either is enough
	Month        int // from 1
}

// A Schedule is when a job is due: whenever one of its intervals says so.
type Schedule []Interval

// scheduleLimit bounds the intervals of one job.
const scheduleLimit = 1000

// farBack is how many days a due time is looked for: 29 February was eight
// years away in 1904.
const farBack = 8*366 + 2

// Last returns the newest due time that is not after t, in t's time zone; not
// ok if there is none, as of 30 February.
func (s Schedule) Last(t time.Time) (due time.Time, ok bool) {
	for _, i := range s {
		if last, found := i.last(t); found && (!ok || last.After(due)) {
			due, ok = last, true
		}
	}
	return due, ok
}

// Count returns how many due times lie after one time and not after another,
// but not more than limit.
func (s Schedule) Count(after, until time.Time, limit int) int {
	n := 0
	for n < limit {
		due, ok := s.Last(until)
		if !ok || !due.After(after) {
			break
		}
		n++
		until = due.Add(-time.Second)
	}
	return n
}

func (i Interval) last(t time.Time) (time.Time, bool) {
	year, month, day := t.Date()
	for back := range farBack {
		// Noon is on the same day whatever summer time does.
		noon := time.Date(year, month, day-back, 12, 0, 0, 0, t.Location())
		if !i.fits(noon) {
			continue
		}
		if due, ok := i.lastOn(noon, t); ok {
			return due, true
		}
	}
	return time.Time{}, false
}

// fits tells whether the job is due on the day.
func (i Interval) fits(day time.Time) bool {
	if i.Month != Any && i.Month != int(day.Month()) {
		return false
	}
	if i.Day == Any && i.Weekday == Any {
		return true
	}
	return i.Day == day.Day() || i.Weekday == int(day.Weekday())
}

// lastOn returns the newest due time of the day that is not after t. A time
// that summer time leaves out counts as the one an hour beside it.
func (i Interval) lastOn(day, t time.Time) (time.Time, bool) {
	for hour := 23; hour >= 0; hour-- {
		if i.Hour != Any && i.Hour != hour {
			continue
		}
		for minute := 59; minute >= 0; minute-- {
			if i.Minute != Any && i.Minute != minute {
				continue
			}
			due := time.Date(day.Year(), day.Month(), day.Day(), hour, minute, 0, 0, t.Location())
			if !due.After(t) {
				return due, true
			}
		}
	}
	return time.Time{}, false
}
