package collectors

import (
	"math"
	"regexp"
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

// A syncParser finds runs in logs.
type syncParser struct {
	zone              *time.Location // of the times in them
	sent, total       *regexp.Regexp
	logged            *regexp.Regexp // what --log-file puts before each line
	code, exit, error *regexp.Regexp
	date              *regexp.Regexp
}

func newSyncParser(zone *time.Location) *syncParser {
	const number = `([0-9][0-9.,]*[KMGTP]?)`
	return &syncParser{
		zone:   zone,
		sent:   regexp.MustCompile(`sent ` + number + `(?: bytes| B)\s+received ` + number + `(?: bytes| B)(?:\s+` + number + ` bytes/sec)?`),
		total:  regexp.MustCompile(`total size(?: is)? ` + number + `(?:\s+speedup is ([0-9][0-9.,]*))?(\s+\((?:DRY RUN|BATCH ONLY)\))?`),
		logged: regexp.MustCompile(`^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[\d+\] (.*)$`),
		code:   regexp.MustCompile(`rsync (?:error|warning): .{1,300}? \(code (\d{1,3})\)`),
		exit:   regexp.MustCompile(`(?i)^\W{0,3}(?:rsync )?exit(?:ed)?(?: with)?(?: status| code)?\s*[:=]?\s*(\d{1,3})\W{0,3}$`),
		error:  regexp.MustCompile(`(?:^|\.\.\. ?)(?:rsync: |rsync error: |rsync\(\d+\): error: |rsync: error: )|rsync: .{1,300}? failed: [^()]{1,100} \(\d+\)`),
		date:   regexp.MustCompile(`^(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d) (?:[A-Z0-9+-]{1,6} )?(\d{4})$`),
	}
}

// runs returns the runs in text that have ended, in its order. The last one
// may still go on, unless the log has been quiet for too long.
func (p *syncParser) runs(text string, quiet bool) []syncRun {
	var all []syncRun
	var now syncRun
	closed := func(another bool) {
		over := now.summary || now.complained || now.exit != nil || now.began && (another || quiet) || !now.start.IsZero() && another
		switch {
		case !over || now.rehearsed:
		case !now.began && now.stated && len(all) > 0 && !all[len(all)-1].stated: // written after the time of the end
			all[len(all)-1].exit, all[len(all)-1].stated = now.exit, true
		default:
			all = append(all, now)
		}
		now = syncRun{}
	}
	for line := range strings.FieldsFuncSeq(text, func(c rune) bool { return c == '\n' || c == '\r' }) {
		line = strings.TrimSpace(line)
		if at, ok := p.timestamp(line); ok {
			closed(true)
			now.start = at
			continue
		}
		var at time.Time
		if len(line) > 4 && line[4] == '/' {
			at, line = p.unlogged(line)
		}
		if begins(line) && (now.began || now.summary) {
			closed(true)
		}
		p.read(line, &now, closed)
		if now.start.IsZero() && now.began {
			now.start = at
		}
	}
	closed(false)
	return all
}

// unlogged parts a line of --log-file into its time and the rest.
func (p *syncParser) unlogged(line string) (time.Time, string) {
	m := p.logged.FindStringSubmatch(line)
	if m == nil {
		return time.Time{}, line
	}
	at, err := time.ParseInLocation("2006/01/02 15:04:05", m[1], p.zone)
	if err != nil {
		return time.Time{}, line
	}
	return at, strings.TrimSpace(m[2])
}

// begins knows the first line of a run with -v.
func begins(line string) bool {
	for _, first := range []string{
		"receiving file list", "building file list", // 2.6.9
		"receiving incremental file list", "sending incremental file list", // 3.x
		"Transfer starting: ", // openrsync
	} {
		if strings.HasPrefix(line, first) {
			return true
		}
	}
	return false
}

// read takes what a line says into the run.
func (p *syncParser) read(line string, run *syncRun, closed func(another bool)) {
	if begins(line) {
		run.began = true
	}
	if m := lastMatch(p.sent, around(line, " received ")); m != nil {
		if run.summary {
			closed(true) // a run without -v begins with nothing
		}
		run.began, run.summary = true, true
		run.sent, run.received, run.rate = syncCount(m[1]), syncCount(m[2]), syncRate(m[3])
	}
	if m := lastMatch(p.total, around(line, "total size ")); m != nil && run.summary {
		run.total, run.speedup = syncCount(m[1]), syncRate(m[2])
		run.rehearsed = m[3] != ""
	}
	p.complaints(line, run)
}

// complaints takes errors and exit codes into the run.
func (p *syncParser) complaints(line string, run *syncRun) {
	if m := p.stated(line); m != nil {
		run.exit, run.stated = exitCode(m[1]), true
		return
	}
	start := around(line, "rsync")
	if start == "" {
		return
	}
	if m := p.code.FindStringSubmatch(start); m != nil {
		if !run.stated {
			run.exit = exitCode(m[1])
		}
		if run.exit != nil && *run.exit == vanished {
			return
		}
	}
	if p.error.MatchString(start) || p.error.MatchString(line[:min(len(line), nearby)]) {
		run.began, run.complained = true, true
	}
}

// stated finds the exit code that a script wrote down. Few lines are looked at
// closely: a log may have hundreds of thousands.
func (p *syncParser) stated(line string) []string {
	if len(line) > 60 || !strings.Contains(strings.ToLower(line), "exit") {
		return nil
	}
	return p.exit.FindStringSubmatch(line)
}

func exitCode(digits string) *int {
	n, err := strconv.Atoi(digits)
	if err != nil || n > 255 {
		return nil
	}
	return &n
}

// nearby is how much of a line is looked at around a word. Scripts that write
// all that rsync printed into one line make it as long as they like.
const nearby = 512

// around returns the part of line around the last word in it.
func around(line, word string) string {
	at := strings.LastIndex(line, word)
	if at < 0 {
		return ""
	}
	return line[max(at-nearby, 0):min(at+nearby, len(line))]
}

// lastMatch is what the last match of re in text captured. What comes before
// it on a line may be names of files.
func lastMatch(re *regexp.Regexp, text string) []string {
	if text == "" {
		return nil
	}
	all := re.FindAllStringSubmatch(text, -1)
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// timestamp reads a line that is a time and nothing else, as scripts write it
// before they start rsync. Without a zone it is the machine's own.
func (p *syncParser) timestamp(line string) (time.Time, bool) {
	if len(line) < len("15:04:05 01-02-06") || len(line) > 40 || strings.Count(line, ":") < 2 {
		return time.Time{}, false
	}
	if m := p.date.FindStringSubmatch(line); m != nil { // date(1); its zone is a word of many meanings
		at, err := time.ParseInLocation("Mon Jan _2 15:04:05 2006", m[1]+" "+m[2], p.zone)
		return at, err == nil
	}
	for _, layout := range []string{
		"15:04:05 01-02-06", // date +"%H:%M:%S %m-%d-%y"
		time.DateTime, "2006-01-02 15:04:05 -0700", time.RFC3339, "2006-01-02T15:04:05-0700", "2006/01/02 15:04:05",
	} {
		if at, err := time.ParseInLocation(layout, line, p.zone); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// syncCount reads a number of bytes: 1200681, 1,200,681, or 5.10M (-h).
func syncCount(text string) syncNumber {
	digits, unit := withoutUnit(text)
	if unit == 1 {
		digits = strings.NewReplacer(",", "", ".", "").Replace(digits) // no bytes are divided
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
	plain := strings.NewReplacer(",", "", ".", "")
	whole := last < 0 || unit == 1 && len(digits)-last-1 == 3
	text := plain.Replace(digits)
	if !whole {
		text = plain.Replace(digits[:last]) + "." + digits[last+1:]
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(n*unit, 0) {
		return syncNumber{}
	}
	return syncNumber{value: n * unit, known: true, whole: whole, about: unit != 1}
}
