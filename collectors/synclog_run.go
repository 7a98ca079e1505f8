package collectors

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// A syncRun is one run of rsync as its log shows it.
type syncRun struct {
	start     time.Time // zero if the log has no times
	began     bool      // rsync printed something of it
	summary   bool      // it closed with a summary
	rehearsed bool      // --dry-run: nothing was copied

	sent, received, total, speedup syncNumber
	rate                           syncNumber
	exit                           *int // of rsync, where the log has it
	stated                         bool // exit is what the script wrote down
	complained                     bool // it printed errors
}

// A syncNumber is a number that rsync printed.
type syncNumber struct {
	value float64
	known bool
	whole bool // printed without decimals
	about bool // rounded: printed with a unit, such as 5.10M
}

// vanished is the exit code for files that went away while they were listed,
// which is harmless.
const vanished = 24

// finished tells whether the run came to its end. One without -v prints
// nothing; then the script knows.
func (r syncRun) finished() bool {
	return r.summary || r.stated && r.exit != nil && (*r.exit == 0 || *r.exit == vanished)
}

// failed tells whether the log says that the run failed. What the script wrote
// down as exit code counts more than single complaints.
func (r syncRun) failed() bool {
	switch {
	case r.exit == nil:
		return r.complained
	case *r.exit == 0 || *r.exit == vanished:
		return r.complained && !r.stated
	default:
		return true
	}
}

// duration is how long the run took. rsync prints a rate and not the time:
// bytes / (0.5 + whole seconds) in Samba's rsync, with two decimals, and
// bytes / seconds in openrsync, with none.
func (r syncRun) duration() (seconds float64, known bool) {
	bytes := r.sent.value + r.received.value
	if !r.sent.known || !r.received.known || !r.rate.known || r.rate.value <= 0 || bytes <= 0 {
		return 0, false
	}
	seconds = bytes / r.rate.value
	if r.rate.about || !r.rate.whole {
		seconds = math.Round(seconds - 0.5)
	}
	return max(seconds, 0), true
}

// syncCount reads a number of bytes: 1200681, 1,200,681, or 5.10M (-h).
func syncCount(text string) syncNumber {
	digits, unit := withoutUnit(text)
	if unit == 1 {
		digits = unparted(digits) // no bytes are divided
	}
	return syncValue(digits, unit)
}

// syncRate reads a number that may have decimals: 40897.09, 4,958.75, 1234.
func syncRate(text string) syncNumber {
	digits, unit := withoutUnit(text)
	return syncValue(digits, unit)
}

// withoutUnit parts 5.10M into 5.10 and a million. That -hh counts in 1024s
// cannot be told from what it prints.
func withoutUnit(text string) (digits string, unit float64) {
	digits = strings.TrimRight(text, "KMGTP")
	unit = 1
	if power := strings.Index("KMGTP", text[len(digits):]); power >= 0 && len(digits) < len(text) {
		unit = math.Pow(1000, float64(power+1))
	}
	return strings.TrimRight(digits, ".,"), unit
}

// syncValue reads digits whose decimals, if there are any, come after the last
// separator; one with three digits behind it parts thousands.
func syncValue(digits string, unit float64) syncNumber {
	last := strings.LastIndexAny(digits, ".,")
	whole := last < 0 || unit == 1 && len(digits)-last-1 == 3
	text := unparted(digits)
	if !whole {
		text = unparted(digits[:last]) + "." + digits[last+1:]
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(n*unit, 0) {
		return syncNumber{}
	}
	return syncNumber{value: n * unit, known: true, whole: whole, about: unit != 1}
}

// unparted is digits without what parts them.
func unparted(digits string) string {
	return strings.ReplaceAll(strings.ReplaceAll(digits, ",", ""), ".", "")
}
