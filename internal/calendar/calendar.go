// Package calendar says when a weekly window, such as the nights on which
// servers may be touched, is open. It is pure: times come in, times go out,
// and the clock is never read.
//
// Windows are wall-clock times in a time zone. A program that must know zones
// on machines without a zone database imports time/tzdata; this package does
// not.
package calendar

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Calendar is a set of weekly windows. The zero Calendar is never open.
//
// Where clocks go forward, a time that is skipped stands for the moment of the
// change; a window that lies wholly in the skipped hour does not open that
// day. Where they go back, a time that comes twice stands for its first coming.
type Calendar struct {
	name    string
	windows []Window
	zone    *time.Location
}

// Parse reads windows such as "Sat 22:00-06:00", "Mon-Fri 09:00-17:00",
// "Sat,Sun 10:00-12:00" or "daily 01:00-05:00", in the zone that timezone
// names as the IANA database does, such as Europe/London. An empty timezone is
// that of this machine. Its error holds all that is wrong.
func Parse(name string, weekly []string, timezone string) (Calendar, error) {
	zone, err := Zone(timezone)
	errs := []error{err}
	if len(weekly) == 0 {
		errs = append(errs, errors.New("it has no windows, so it would never be open"))
	}
	c := Calendar{name: name, zone: zone}
	for _, s := range weekly {
		w, err := ParseWindow(s)
		errs = append(errs, err)
		c.windows = append(c.windows, w)
	}
	if err := errors.Join(errs...); err != nil {
		return Calendar{}, fmt.Errorf("read calendar %q: %w", name, err)
	}
	return c, nil
}

// Zone returns the time zone called name; "" is that of this machine.
func Zone(name string) (*time.Location, error) {
	if name == "" {
		return time.Local, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("wants the name of a time zone such as Europe/London, not %q", name)
	}
	return zone, nil
}

// Name returns the name of c.
func (c Calendar) Name() string { return c.name }

// Open tells whether a window is open at t. A window is open at the instant at
// which it begins and closed at that at which it ends.
func (c Calendar) Open(t time.Time) bool {
	_, open := c.around(t)
	return open
}

// NextOpen returns t if c is open at t, and else when it opens next. It is the
// zero Time if c never opens.
func (c Calendar) NextOpen(t time.Time) time.Time {
	s, open := c.around(t)
	if open {
		return t
	}
	return s.from
}

// Closes returns when the window that is open at t ends; windows that touch
// are one. It is the zero Time if c is closed at t or does not close within
// the two weeks that follow.
func (c Calendar) Closes(t time.Time) time.Time {
	s, open := c.around(t)
	if !open || s.to.Sub(t) > horizon {
		return time.Time{}
	}
	return s.to
}

// OpenFor returns for how long c was open between from and to; 0 if to is not
// later than from.
func (c Calendar) OpenFor(from, to time.Time) time.Duration {
	var total time.Duration
	for from.Before(to) {
		s, open := c.around(from)
		if s.to.IsZero() {
			break
		}
		if !open {
			from = s.from
		}
		end := earlier(s.to, to)
		total += max(end.Sub(from), 0)
		from = end
	}
	return total
}

// horizon is how far is looked ahead: every window comes once a week, and a
// clock change can swallow it once.
const horizon = 14 * 24 * time.Hour

// A span is the time from one instant to just before another.
type span struct{ from, to time.Time }

// around returns the span that holds t and true, or the next span and false;
// the zero span if there is none.
func (c Calendar) around(t time.Time) (s span, open bool) {
	for _, s := range c.spans(t) {
		if t.Before(s.to) {
			return s, !t.Before(s.from)
		}
	}
	return span{}, false
}

// spans returns when c is open near t and until more than the horizon later,
// in order, with spans that touch joined.
func (c Calendar) spans(t time.Time) []span {
	if len(c.windows) == 0 {
		return nil
	}
	year, month, day := t.In(c.zone).Date()
	var all []span
	for ahead := -2; ahead <= int(horizon/(24*time.Hour))+2; ahead++ {
		date := time.Date(year, month, day+ahead, 0, 0, 0, 0, time.UTC)
		for _, w := range c.windows {
			if w.on(date.Weekday()) {
				s := span{c.first(date.Add(w.from)), c.first(date.Add(w.to))}
				if s.from.Before(s.to) {
					all = append(all, s)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b span) int { return a.from.Compare(b.from) })
	return join(all)
}

// join makes one of spans that overlap or touch.
func join(all []span) []span {
	var joined []span
	for _, s := range all {
		if n := len(joined); n > 0 && !s.from.After(joined[n-1].to) {
			if s.to.After(joined[n-1].to) {
				joined[n-1].to = s.to
			}
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// first returns the first instant at which clocks in the zone show wall or
// more. The fields of wall count, not its zone, which is UTC. It walks over
// the periods of constant offset, because time.Date does not say which of two
// instants it takes.
func (c Calendar) first(wall time.Time) time.Time {
	const most = 26 * time.Hour // no zone is as far from UTC
	t := wall.Add(-most).In(c.zone)
	for {
		_, offset := t.Zone()
		_, end := t.ZoneBounds()
		shown := wall.Add(-time.Duration(offset) * time.Second).In(c.zone)
		if end.IsZero() || shown.Before(end) {
			if shown.Before(t) {
				return t
			}
			return shown
		}
		t = end
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
