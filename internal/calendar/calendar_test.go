package calendar_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // so that the tests mean the same on every machine

	"github.com/minikeeper/minikeeper/internal/calendar"
)

func parse(t testing.TB, zone string, weekly ...string) calendar.Calendar {
	t.Helper()
	c, err := calendar.Parse("test", weekly, zone)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func at(t testing.TB, s string) time.Time {
	t.Helper()
	parsed, err := time.Parse("2006-01-02 15:04 -07", s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestWindows(t *testing.T) {
	// 2026-11-21 is a Saturday.
	tests := []struct {
		weekly string
		when   string
		opens  string // "" if it is open then
		closes string
	}{
		{"Sat 22:00-06:00", "2026-11-21 21:59 +00", "2026-11-21 22:00 +00", ""},
		{"Sat 22:00-06:00", "2026-11-21 22:00 +00", "", "2026-11-22 06:00 +00"},
		{"Sat 22:00-06:00", "2026-11-22 05:59 +00", "", "2026-11-22 06:00 +00"},
		{"Sat 22:00-06:00", "2026-11-22 06:00 +00", "2026-11-28 22:00 +00", ""},
		{"Sat 22:00-06:00", "2026-11-21 03:00 +00", "2026-11-21 22:00 +00", ""},
		{"Mon-Fri 09:00-17:00", "2026-11-20 17:00 +00", "2026-11-23 09:00 +00", ""},
		{"Mon-Fri 09:00-17:00", "2026-11-20 12:00 +00", "", "2026-11-20 17:00 +00"},
		{"daily 01:00-05:00", "2026-11-21 00:00 +00", "2026-11-21 01:00 +00", ""},
		{"DAILY 01:00-05:00", "2026-11-21 04:59 +00", "", "2026-11-21 05:00 +00"},
		{"Fri-Mon 10:00-11:00", "2026-11-24 10:30 +00", "2026-11-27 10:00 +00", ""},
		{"Fri-Mon 10:00-11:00", "2026-11-23 10:30 +00", "", "2026-11-23 11:00 +00"},
		{"wednesday,Sat 10:00-11:00", "2026-11-21 11:00 +00", "2026-11-25 10:00 +00", ""},
		{"Sat 00:00-24:00; Sun 00:00-06:00", "2026-11-21 12:00 +00", "", "2026-11-22 06:00 +00"},
		{"Sat 20:00-23:00; Sat 22:00-06:00", "2026-11-21 21:00 +00", "", "2026-11-22 06:00 +00"},
		{"Sat 20:00-06:00; Sat 22:00-23:00", "2026-11-21 21:00 +00", "", "2026-11-22 06:00 +00"},
		{"daily 00:00-24:00", "2026-11-21 12:00 +00", "", "never"},
	}
	for _, tt := range tests {
		t.Run(tt.weekly+" at "+tt.when, func(t *testing.T) {
			check(t, parse(t, "UTC", strings.Split(tt.weekly, "; ")...), tt.when, tt.opens, tt.closes)
		})
	}
}

// TestClockChanges: London goes from GMT to BST at 2026-03-29 01:00 UTC and
// back at 2026-10-25 01:00 UTC; New York goes from EST to EDT at 2026-03-08
// 07:00 UTC and back at 2026-11-01 06:00 UTC. Samoa had no 2011-12-30.
func TestClockChanges(t *testing.T) {
	tests := []struct {
		name, zone, weekly string
		when               string
		opens, closes      string
	}{
		{"summer hours", "Europe/London", "Sat 22:00-06:00", "2026-07-04 12:00 +00", "2026-07-04 21:00 +00", ""},
		{"night is an hour shorter", "Europe/London", "Sat 22:00-06:00", "2026-03-28 22:00 +00", "", "2026-03-29 05:00 +00"},
		{"night is an hour longer", "Europe/London", "Sat 22:00-06:00", "2026-10-24 21:00 +00", "", "2026-10-25 06:00 +00"},
		{"opening is skipped", "Europe/London", "Sun 01:30-05:00", "2026-03-29 00:30 +00", "2026-03-29 01:00 +00", ""},
		{"opening was skipped", "Europe/London", "Sun 01:30-05:00", "2026-03-29 01:00 +00", "", "2026-03-29 04:00 +00"},
		{"closing is skipped", "Europe/London", "Sat 22:00-01:30", "2026-03-29 00:59 +00", "", "2026-03-29 01:00 +00"},
		{"closing was skipped", "Europe/London", "Sat 22:00-01:30", "2026-03-29 01:00 +00", "2026-04-04 21:00 +00", ""},
		{"wholly skipped", "Europe/London", "Sun 01:10-01:50", "2026-03-29 00:00 +00", "2026-04-05 00:10 +00", ""},
		{"opens at the first of two", "Europe/London", "Sun 01:30-05:00", "2026-10-25 00:29 +00", "2026-10-25 00:30 +00", ""},
		{"stays open through the second", "Europe/London", "Sun 01:30-05:00", "2026-10-25 01:10 +00", "", "2026-10-25 05:00 +00"},
		{"closes at the first of two", "Europe/London", "Sun 00:30-01:30", "2026-10-25 00:00 +00", "", "2026-10-25 00:30 +00"},
		{"does not open again", "Europe/London", "Sun 00:30-01:30", "2026-10-25 01:10 +00", "2026-11-01 00:30 +00", ""},
		{"whole day of 23 hours", "Europe/London", "Sun 00:00-24:00", "2026-03-29 00:00 +00", "", "2026-03-29 23:00 +00"},
		{"whole day of 25 hours", "Europe/London", "Sun 00:00-24:00", "2026-10-24 23:00 +00", "", "2026-10-26 00:00 +00"},
		{"New York, night is shorter", "America/New_York", "Sat 22:00-06:00", "2026-03-08 03:00 +00", "", "2026-03-08 10:00 +00"},
		{"New York, opening is skipped", "America/New_York", "Sun 02:15-02:45", "2026-03-08 06:00 +00", "2026-03-15 06:15 +00", ""},
		{"New York, night is longer", "America/New_York", "Sat 22:00-06:00", "2026-11-01 02:00 +00", "", "2026-11-01 11:00 +00"},
		{"New York, second coming", "America/New_York", "Sun 01:00-01:30", "2026-11-01 06:10 +00", "2026-11-08 06:00 +00", ""},
		{"a day that was not", "Pacific/Apia", "Fri 09:00-10:00", "2011-12-29 20:00 +00", "2012-01-05 19:00 +00", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check(t, parse(t, tt.zone, tt.weekly), tt.when, tt.opens, tt.closes)
		})
	}
}

func check(t *testing.T, c calendar.Calendar, when, opens, closes string) {
	t.Helper()
	now := at(t, when)
	wantOpens, wantCloses := now, time.Time{}
	if opens != "" {
		wantOpens = at(t, opens)
	}
	if closes != "" && closes != "never" {
		wantCloses = at(t, closes)
	}
	if got := c.Open(now); got != (opens == "") {
		t.Errorf("Open = %v", got)
	}
	if got := c.NextOpen(now); !got.Equal(wantOpens) {
		t.Errorf("NextOpen = %v, want %v", got.UTC(), wantOpens.UTC())
	}
	if got := c.Closes(now); !got.Equal(wantCloses) {
		t.Errorf("Closes = %v, want %v", got.UTC(), wantCloses.UTC())
	}
}

func TestOpenFor(t *testing.T) {
	tests := []struct {
		weekly   string
		from, to string
		want     time.Duration
	}{
		{"Sat 22:00-06:00", "2026-11-21 00:00 +00", "2026-11-22 00:00 +00", 2 * time.Hour},
		{"Sat 22:00-06:00", "2026-11-21 23:00 +00", "2026-11-21 23:30 +00", 30 * time.Minute},
		{"Sat 22:00-06:00", "2026-11-01 12:00 +00", "2026-11-29 12:00 +00", 32 * time.Hour},
		{"Sat 22:00-06:00", "2026-11-22 07:00 +00", "2026-11-24 00:00 +00", 0},
		{"Sat 22:00-06:00", "2026-11-22 00:00 +00", "2026-11-21 00:00 +00", 0},
		{"daily 00:00-24:00", "2026-01-01 00:00 +00", "2026-03-01 12:00 +00", (59*24 + 12) * time.Hour},
	}
	for _, tt := range tests {
		if got := parse(t, "UTC", tt.weekly).OpenFor(at(t, tt.from), at(t, tt.to)); got != tt.want {
			t.Errorf("%s open between %s and %s for %v, want %v", tt.weekly, tt.from, tt.to, got, tt.want)
		}
	}
}

func TestZero(t *testing.T) {
	var c calendar.Calendar
	now := at(t, "2026-11-21 12:00 +00")
	if c.Open(now) || !c.NextOpen(now).IsZero() || !c.Closes(now).IsZero() || c.OpenFor(now, now.Add(time.Hour)) != 0 {
		t.Error("the zero calendar opens")
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", "it needs days and times"},
		{"Sat", "it needs days and times"},
		{"22:00-06:00", "it needs days and times"},
		{"Sat 22:00 - 06:00", "it needs days and times"},
		{"Caturday 22:00-06:00", "days are daily"},
		{"Mon- 22:00-06:00", "days are daily"},
		{"Mon,,Tue 22:00-06:00", "days are daily"},
		{"Mon-Tue-Wed 22:00-06:00", "days are daily"},
		{"Sat 22:00", "times are 00:00 to 23:59"},
		{"Sat 22-06", "times are 00:00 to 23:59"},
		{"Sat 22:00-25:00", "times are 00:00 to 23:59"},
		{"Sat 22:60-23:00", "times are 00:00 to 23:59"},
		{"Sat 24:00-01:00", "times are 00:00 to 23:59"},
		{"Sat 23:00-24:01", "times are 00:00 to 23:59"},
		{"Sat +1:00-02:00", "times are 00:00 to 23:59"},
		{"Sat 10:00-10:00", "it ends when it begins"},
	}
	for _, tt := range tests {
		_, err := calendar.ParseWindow(tt.in)
		if err == nil || !strings.HasPrefix(err.Error(), "wants a window such as") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.in, err, tt.want)
		}
	}

	_, err := calendar.Parse("offpeak", []string{"Sat", "Sun 1-2"}, "Mars/Olympus")
	for _, want := range []string{`read calendar "offpeak"`, "Mars/Olympus", `"Sat"`, `"Sun 1-2"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %s", err, want)
		}
	}
	if _, err := calendar.Parse("none", nil, "UTC"); err == nil {
		t.Error("a calendar without windows is accepted")
	}
	if c, err := calendar.Parse("here", []string{"daily 00:00-24:00"}, ""); err != nil || c.Name() != "here" {
		t.Errorf("without a zone: %q, %v", c.Name(), err)
	}
}

func ExampleCalendar_NextOpen() {
	c, err := calendar.Parse("offpeak", []string{"Sat 22:00-06:00"}, "UTC")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.NextOpen(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)))
	// Output: 2026-11-21 22:00:00 +0000 UTC
}

// FuzzCalendar demands that the three answers agree with each other.
func FuzzCalendar(f *testing.F) {
	for _, seed := range []string{"Sat 22:00-06:00", "Mon-Fri 09:00-17:00", "daily 00:00-24:00", "Sun 01:10-01:50", "Sat,Sun 02:00-01:59"} {
		f.Add(seed, int64(1_774_746_000), uint8(0))
		f.Add(seed, int64(1_792_890_000), uint8(1))
	}
	zones := []string{"Europe/London", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe", "UTC"}
	f.Fuzz(func(t *testing.T, weekly string, unix int64, zone uint8) {
		c, err := calendar.Parse("f", []string{weekly}, zones[int(zone)%len(zones)])
		if err != nil {
			return
		}
		now := time.Unix(unix%(1<<33), 0)
		opens := c.NextOpen(now)
		if c.Open(now) != opens.Equal(now) || opens.Before(now) || !c.Open(opens) {
			t.Fatalf("%q at %v: open %v, opens %v", weekly, now, c.Open(now), opens)
		}
		closes := c.Closes(opens)
		if !closes.IsZero() && (!closes.After(opens) || c.Open(closes) || !c.Open(closes.Add(-time.Second))) {
			t.Fatalf("%q from %v closes %v", weekly, opens, closes)
		}
		if open := c.OpenFor(now, now.Add(7*24*time.Hour)); open < 0 || open > 7*24*time.Hour {
			t.Fatalf("%q is open for %v of a week", weekly, open)
		}
		if w, err := calendar.ParseWindow(weekly); err != nil || !slices.Equal(strings.Fields(weekly), strings.Fields(w.String())) {
			t.Fatalf("%q is shown as %q, %v", weekly, w, err)
		}
	})
}
