package launchd_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper/internal/launchd"
)

func TestParsePrint(t *testing.T) {
	const nested = "\tcoalition = {\n\t\tstate = active\n\t\truns = 99\n\t\tlast exit code = 9\n\t}\n"
	tests := []struct {
		name, text string
		want       launchd.Job
		err        string
	}{
		{
			name: "exited", text: "system/a = {\n\tpath = /Library/LaunchDaemons/a.plist\n\tstate = not running\n\truns = 18\n\tlast exit code = 0\n" + nested + "\tjob state = exited\n}\n",
			want: launchd.Job{Label: "a", Path: "/Library/LaunchDaemons/a.plist", State: "not running", JobState: "exited", Runs: new(uint64(18)), ExitCode: new(0)},
		},
		{name: "named code", text: "system/a = {\n\tlast exit code = 78: EX_CONFIG\n}\n", want: launchd.Job{Label: "a", ExitCode: new(78)}},
		{name: "never exited", text: "gui/501/a.b = {\n\tlast exit code = (never exited)\n}\n", want: launchd.Job{Label: "a.b"}},
		{name: "never exited, bare", text: "system/a = {\n\tlast exit code = never exited\n}\n", want: launchd.Job{Label: "a"}},
		{name: "signal", text: "system/a = {\n\tlast terminating signal = Killed: 9\n}\n", want: launchd.Job{Label: "a", Signal: new(9)}},
		{name: "signal of two words", text: "system/a = {\n\tlast terminating signal = Illegal instruction: 4\n}\n", want: launchd.Job{Label: "a", Signal: new(4)}},
		{name: "no file", text: "system/a = {\n\tpath = (submitted by smd.370)\n}", want: launchd.Job{Label: "a"}},
		{name: "label with a slash", text: "system/a/b = {\n}\n", want: launchd.Job{Label: "a/b"}},
		{name: "odd numbers", text: "system/a = {\n\truns = many\n\tlast exit code = ?\n\tstate = running\n}\n", want: launchd.Job{Label: "a", State: "running"}, err: "read launchctl print: runs is \"many\"\nread launchctl print: last exit code is \"?\""},
		{name: "cut off", text: "system/a = {\n\tstate = running\n\tru", want: launchd.Job{Label: "a", State: "running"}, err: "read launchctl print: the text is cut off"},
		{name: "what follows the end", text: "system/a = {\n}\n\tstate = running\n", want: launchd.Job{Label: "a"}},
		{name: "nothing", text: "\n\n", err: "read launchctl print: nothing was printed"},
		{name: "no job", text: "Usage: launchctl print\n", err: `read launchctl print: not a job: "Usage: launchctl print"`},
		{name: "huge", text: strings.Repeat("x", 5<<20), err: "read launchctl print: 5 MiB are too much to be true"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := launchd.ParsePrint(tt.text)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if message(err) != tt.err {
				t.Errorf("error %q, want %q", message(err), tt.err)
			}
			if strings.Contains(tt.name, "cut off") && !errors.Is(err, launchd.ErrCutOff) {
				t.Error("not ErrCutOff")
			}
		})
	}
}

func TestParseDisabled(t *testing.T) {
	got, err := launchd.ParseDisabled("\tdisabled services = {\n\t\t\"a\" => disabled\n\t\t\"b\" => enabled\n\t\t\"c\" => true\n\t\t\"d\" => false\n\t\t\"e\" => perhaps\n\t\t\"\" => true\n\t}\n")
	if diff := cmp.Diff(map[string]bool{"a": true, "b": false, "c": true, "d": false}, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if _, err := launchd.ParseDisabled("Usage:"); err == nil {
		t.Error("no list was read as one")
	}
}

func plistOf(body string) []byte {
	return []byte(`<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict>` + body + `</dict></plist>`)
}

func TestParsePlist(t *testing.T) {
	const label = "<key>Label</key><string>a</string><key>Program</key><string>/bin/p</string>"
	calendar := func(body string) string { return label + "<key>StartCalendarInterval</key>" + body }
	tests := []struct{ name, body, want, err string }{
		{"program", label, "{a [/bin/p] false   []}", ""},
		{"arguments", "<key>Label</key><string>a</string><key>ProgramArguments</key><array><string>/bin/p</string><string>-x</string></array>", "{a [/bin/p -x] false   []}", ""},
		{"both", label + "<key>ProgramArguments</key><array><string>p</string><string>-x</string></array>", "{a [/bin/p -x] false   []}", ""},
		{"disabled, with logs", label + "<key>Disabled</key><true/><key>StandardOutPath</key><string>/o</string><key>StandardErrorPath</key><string>/e</string>", "{a [/bin/p] true /o /e []}", ""},
		{"weekly", calendar("<dict><key>Hour</key><integer>22</integer><key>Minute</key><integer>0</integer><key>Weekday</key><integer>6</integer></dict>"), "{a [/bin/p] false   [{0 22 -1 6 -1}]}", ""},
		{"Sunday is 7", calendar("<array><dict><key>Weekday</key><integer>7</integer></dict><dict/></array>"), "{a [/bin/p] false   [{-1 -1 -1 0 -1} {-1 -1 -1 -1 -1}]}", ""},
		{"hour 25", calendar("<dict><key>Hour</key><integer>25</integer></dict>"), "", "read property list: StartCalendarInterval: Hour is 25, not from 0 to 23"},
		{"hour in words", calendar("<dict><key>Hour</key><string>noon</string></dict>"), "", "read property list: StartCalendarInterval: Hour is noon, not from 0 to 23"},
		{"no calendar", calendar("<string>daily</string>"), "", "read property list: StartCalendarInterval: not a dictionary"},
		{"no label", "<key>Program</key><string>/bin/p</string>", "", `read property list: Label is ""`},
		{"a label that is a path", "<key>Label</key><string>../a</string>", "", `read property list: Label is "../a"`},
		{"nothing to run", "<key>Label</key><string>a</string>", "", "read property list: neither Program nor ProgramArguments"},
		{"damaged", "<key>Label", "", "read property list: damaged"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := launchd.ParsePlist(plistOf(tt.body))
			if message(err) != tt.err {
				t.Fatalf("error %q, want %q", message(err), tt.err)
			}
			if err == nil && fmt.Sprint(got) != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
		})
	}
	for name, data := range map[string]string{"an old one": "{Label=a;}", "a word": "hello", "nothing": "", "an array": `<?xml version="1.0"?><plist><array/></plist>`, "huge": strings.Repeat(" ", 1<<20)} {
		if _, err := launchd.ParsePlist([]byte(data)); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}

func TestSchedule(t *testing.T) {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	every := launchd.Interval{Minute: launchd.Any, Hour: launchd.Any, Day: launchd.Any, Weekday: launchd.Any, Month: launchd.Any}
	with := func(change func(*launchd.Interval)) launchd.Interval {
		i := every
		change(&i)
		return i
	}
	saturday := with(func(i *launchd.Interval) { i.Weekday, i.Hour, i.Minute = 6, 22, 0 })
	night := with(func(i *launchd.Interval) { i.Hour, i.Minute = 1, 30 })
	either := with(func(i *launchd.Interval) { i.Day, i.Weekday, i.Hour, i.Minute = 13, 5, 0, 0 })
	leap := with(func(i *launchd.Interval) { i.Month, i.Day, i.Hour, i.Minute = 2, 29, 3, 0 })
	never := with(func(i *launchd.Interval) { i.Month, i.Day = 2, 30 })
	tests := []struct {
		name      string
		schedule  launchd.Schedule
		now, want string // "" if there is none
	}{
		{"this evening", launchd.Schedule{saturday}, "2026-11-21 22:00", "2026-11-21 22:00"},
		{"a week ago", launchd.Schedule{saturday}, "2026-11-21 21:59", "2026-11-14 22:00"},
		{"every minute", launchd.Schedule{every}, "2026-11-21 21:59", "2026-11-21 21:59"},
		{"the newer of two", launchd.Schedule{saturday, night}, "2026-11-22 12:00", "2026-11-22 01:30"},
		{"day or weekday: the day", launchd.Schedule{either}, "2026-10-14 12:00", "2026-10-13 00:00"},
		{"day or weekday: the weekday", launchd.Schedule{either}, "2026-10-16 12:00", "2026-10-16 00:00"},
		{"leap day", launchd.Schedule{leap}, "2026-11-21 00:00", "2024-02-29 03:00"},
		{"leap day over 2100", launchd.Schedule{leap}, "2104-02-28 00:00", "2096-02-29 03:00"},
		{"no such day", launchd.Schedule{never}, "2026-11-21 00:00", ""},
		{"the hour that summer time leaves out", launchd.Schedule{night}, "2026-03-29 12:00", "2026-03-29 02:30"},
		{"nothing", nil, "2026-11-21 00:00", ""},
	}
	const layout = "2006-01-02 15:04"
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now, err := time.ParseInLocation(layout, tt.now, london)
			if err != nil {
				t.Fatal(err)
			}
			due, ok := tt.schedule.Last(now)
			if got := due.Format(layout); ok != (tt.want != "") || ok && got != tt.want {
				t.Errorf("got %s, %v, want %s", got, ok, tt.want)
			}
		})
	}
	now := time.Date(2026, 11, 21, 23, 0, 0, 0, london)
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{30 * time.Minute, 0}, {time.Hour, 0}, {time.Hour + time.Second, 1}, {8 * 24 * time.Hour, 2}, {10000 * time.Hour, 50}} {
		if got := (launchd.Schedule{saturday}).Count(now.Add(-tt.after), now, 50); got != tt.want {
			t.Errorf("%d since %v ago, want %d", got, tt.after, tt.want)
		}
	}
}

func TestSecure(t *testing.T) {
	for _, tt := range []struct {
		uid, gid uint32
		mode     fs.FileMode
		want     bool
	}{
		{0, 0, 0o644, true},
		{0, 0, 0o600, true},
		{501, 0, 0o644, false},
		{0, 20, 0o644, false},
		{0, 0, 0o664, false},
		{0, 0, 0o646, false},
		{0, 0, 0o644 | fs.ModeSymlink, false},
		{0, 0, 0o755 | fs.ModeDir, false},
	} {
		if got := launchd.Secure(tt.uid, tt.gid, tt.mode); got != tt.want {
			t.Errorf("%d:%d %v: %v", tt.uid, tt.gid, tt.mode, got)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func FuzzParsePrint(f *testing.F) {
	f.Add("system/com.example.sync = {\n\tstate = not running\n\truns = 18\n\tlast exit code = 78: EX_CONFIG\n}\n")
	f.Add("gui/501/x = {\n\tlast terminating signal = Terminated: 15\n\tpath = (submitted by smd.370)\n")
	f.Add("\tdisabled services = {\n\t\t\"a\" => true\n\t}\n")
	f.Fuzz(func(t *testing.T, text string) {
		if job, err := launchd.ParsePrint(text); err == nil && job.Label == "" {
			t.Errorf("a job without a label: %q", text)
		}
		if disabled, err := launchd.ParseDisabled(text); err == nil && disabled == nil {
			t.Error("no list and no error")
		}
	})
}

func FuzzParsePlist(f *testing.F) {
	f.Add(plistOf("<key>Label</key><string>a</string><key>Program</key><string>/bin/p</string>"))
	f.Add(plistOf("<key>Label</key><string>a</string><key>Program</key><string>p</string><key>StartCalendarInterval</key><array><dict><key>Day</key><integer>31</integer></dict></array>"))
	f.Add([]byte("bplist00\xd1\x01\x02ULabelQa"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := launchd.ParsePlist(data)
		if err != nil {
			return
		}
		if !launchd.ValidLabel(p.Label) {
			t.Errorf("label %q", p.Label)
		}
		now := time.Date(2026, 11, 21, 23, 0, 0, 0, time.UTC)
		if due, ok := p.Calendar.Last(now); ok && due.After(now) {
			t.Errorf("was due at %v, which is to come", due)
		}
	})
}
