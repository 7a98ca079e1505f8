package collectors

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A syncParser finds runs in logs.
type syncParser struct {
	zone        *time.Location // of the times in them
	code, wrong *regexp.Regexp // rsync's exit code, and its complaints
	date        *regexp.Regexp // what date(1) prints
}

func newSyncParser(zone *time.Location) *syncParser {
	return &syncParser{
		zone:  zone,
		code:  regexp.MustCompile(`rsync (?:error|warning): .{1,300}? \(code (\d{1,3})\)`),
		wrong: regexp.MustCompile(`(?:^|\.\.\. ?)(?:rsync: |rsync error: |rsync\(\d+\): error: |rsync: error: )|rsync: .{1,300}? failed: [^()]{1,100} \(\d+\)`),
		date:  regexp.MustCompile(`^(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d) (?:[A-Z0-9+-]{1,6} )?(\d{4})$`),
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
	const layout = "2006/01/02 15:04:05"
	if len(line) < len(layout) {
		return time.Time{}, line
	}
	at, err := time.ParseInLocation(layout, line[:len(layout)], p.zone)
	process, rest, ok := strings.Cut(line[len(layout):], "] ")
	if err != nil || !ok || !strings.HasPrefix(process, " [") {
		return time.Time{}, line
	}
	return at, strings.TrimSpace(rest)
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
	if words, ok := closing(around(line, " received "), "sent", "#", "*", "received", "#", "*"); ok {
		if run.summary {
			closed(true) // a run without -v begins with nothing
		}
		run.began, run.summary = true, true
		run.sent, run.received = syncCount(words[1]), syncCount(words[4])
		if len(words) > 7 && words[7] == "bytes/sec" {
			run.rate = syncRate(words[6])
		}
	}
	if run.summary {
		sizes(around(line, "total size "), run)
	}
	p.complaints(line, run)
}

// sizes takes the second line of a summary into the run.
func sizes(text string, run *syncRun) {
	if words, ok := closing(text, "total", "size", "is", "#", "speedup", "is", "#"); ok {
		run.total, run.speedup = syncCount(words[3]), syncRate(words[6])
		run.rehearsed = len(words) > 8 && (words[7] == "(DRY" || words[7] == "(BATCH")
	} else if words, ok := closing(text, "total", "size", "#"); ok { // --log-file
		run.total = syncCount(words[2])
	}
}

// complaints takes errors and exit codes into the run.
func (p *syncParser) complaints(line string, run *syncRun) {
	if code := statedExit(line); code != nil {
		run.exit, run.stated = code, true
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
	if p.wrong.MatchString(start) || p.wrong.MatchString(line[:min(len(line), nearby)]) {
		run.began, run.complained = true, true
	}
}

// statedExit finds the exit code that a script wrote down, on a line of its
// own such as "exit code: 23" or "[exit status: 0]".
func statedExit(line string) *int {
	if len(line) > 60 || !strings.Contains(line, "xit") && !strings.Contains(line, "XIT") {
		return nil
	}
	words := strings.FieldsFunc(strings.ToLower(line), func(c rune) bool { return (c < '0' || c > '9') && (c < 'a' || c > 'z') })
	if len(words) > 0 && words[0] == "rsync" {
		words = words[1:]
	}
	if len(words) < 2 || words[0] != "exit" && words[0] != "exited" {
		return nil
	}
	for _, word := range words[1 : len(words)-1] {
		if word != "with" && word != "status" && word != "code" {
			return nil
		}
	}
	return exitCode(words[len(words)-1])
}

func exitCode(digits string) *int {
	n, err := strconv.Atoi(digits)
	if err != nil || n > 255 || len(digits) > 3 {
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

// closing returns the words of text from the last place on where they are as
// wanted: # stands for a number, * for any word. What comes before on a line
// may be names of files.
func closing(text string, wanted ...string) (words []string, ok bool) {
	words = strings.Fields(text)
	for i := len(words) - len(wanted); i >= 0; i-- {
		if fits(words[i:], wanted) {
			return words[i:], true
		}
	}
	return nil, false
}

func fits(words, wanted []string) bool {
	for i, want := range wanted {
		digit := words[i][0] >= '0' && words[i][0] <= '9'
		if want != "*" && want != words[i] && (want != "#" || !digit) {
			return false
		}
	}
	return true
}

// timestamp reads a line that is a time and nothing else, as scripts write it
// before they start rsync. Without a zone it is the machine's own.
func (p *syncParser) timestamp(line string) (time.Time, bool) {
	if len(line) < len("15:04:05 01-02-06") || len(line) > 40 || strings.Count(line, ":") < 2 {
		return time.Time{}, false
	}
	if line[0] < '0' || line[0] > '9' {
		m := p.date.FindStringSubmatch(line)
		if m == nil {
			return time.Time{}, false
		}
		at, err := time.ParseInLocation("Mon Jan _2 15:04:05 2006", m[1]+" "+m[2], p.zone) // its zone is a word of many meanings
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
