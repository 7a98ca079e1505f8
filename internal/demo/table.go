package demo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// A Row is the story of one fault, from when it was done.
type Row struct {
	Fault    string
	Broken   time.Time
	Detected time.Time // when its alert fired
	Remedy   string    // empty if there is none
	Outcome  string
	Verified time.Time // when the repair was proven
	Told     time.Time // when the mail about it arrived
	By       string    // how people were told
	Heals    bool      // whether minikeeper is expected to heal it
}

// OK tells whether everything happened that should: a fault that can be healed
// was detected, healed, proven and told; any other was detected and told.
func (r Row) OK() bool {
	if r.Detected.IsZero() || r.Told.IsZero() {
		return false
	}
	return !r.Heals || !r.Verified.IsZero()
}

// WriteTable writes rows for people, and the reason for every row that is not
// as it should be.
func WriteTable(w io.Writer, rows []Row) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "fault\tdetected after\tremedy\toutcome\tverified after\ttold")
	for _, r := range rows {
		told := "-"
		if !r.Told.IsZero() {
			told = r.By + " after " + r.after(r.Told)
		}
		fmt.Fprintln(table, strings.Join([]string{
			r.Fault, r.after(r.Detected), dash(r.Remedy), dash(r.Outcome), r.after(r.Verified), told,
		}, "\t"))
	}
	return table.Flush()
}

// after is the time from the fault to t, or a dash if t never came.
func (r Row) after(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%.1f s", t.Sub(r.Broken).Seconds())
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
