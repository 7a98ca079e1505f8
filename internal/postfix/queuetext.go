package postfix

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseQueueText reads what "postqueue -p" printed, which is all that Postfix
// before 3.1 has:
//
//	-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------
//	3F373F5418*     848 Sun Aug  2 16:49:03  sender@example.com
//	(connect to mx.example.com[192.0.2.5]:25: Connection refused)
//	                                         recipient@example.com
//
//	-- 1 Kbytes in 1 Request.
//
// The header differs between versions, ids may be long (base 52), and the
// reason's indent is not stable. "*" after the id is active mail, "!" held,
// "#" forced to expire. Arrival is local time without a year: the latest year
// that is not after now, in now's location.
//
// A listing that announces more messages than it shows gives those that could
// be read beside the error.
func ParseQueueText(printed string, now time.Time) ([]Message, error) {
	var l listing
	entries, announced := 0, -1
	var current string // the message that a reason is about
	number := 0
	for line := range strings.Lines(printed) {
		number++
		switch kindOf(line) {
		case lineEntry:
			entries++
			m, err := parseEntry(line, now)
			current = m.ID
			if err != nil {
				l.problem(fmt.Errorf("line %d: %w", number, err))
				continue
			}
			l.add(m)
		case lineTrailer:
			n, err := parseTrailer(line)
			if err != nil {
				l.problem(fmt.Errorf("line %d: %w", number, err))
			}
			announced = n
		case lineEmptyQueue:
			announced = 0
		case lineReason:
			if i, ok := l.at[current]; ok {
				l.messages[i].delayed(reasonOf(line))
			}
		case lineOther:
		}
	}
	switch {
	case announced < 0 && l.first == nil:
		l.problem(errors.New("the listing ends without its total"))
	case announced > entries:
		l.problem(fmt.Errorf("%d messages announced, %d shown", announced, entries))
	}
	return l.messages, l.err()
}

// A lineKind is what a line of postqueue -p is.
type lineKind int

const (
	lineOther      lineKind = iota // header, recipient, blank
	lineReason                     // "(what delays the recipients below)"
	lineEntry                      // begins a message
	lineTrailer                    // "-- 1 Kbytes in 2 Requests."
	lineEmptyQueue                 // "Mail queue is empty"
)

// kindOf tells what line is. What begins in the first column is an entry
// unless it begins with what no queue id begins with.
func kindOf(line string) lineKind {
	switch {
	case strings.HasPrefix(line, "Mail queue is empty"):
		return lineEmptyQueue
	case strings.HasPrefix(line, "-- "):
		return lineTrailer
	case reasonOf(line) != "":
		return lineReason
	case strings.TrimSpace(line) == "", strings.ContainsAny(line[:1], " \t(-"):
		return lineOther
	default:
		return lineEntry
	}
}

// reasonOf returns what stands in the parentheses that are all of line, or "".
// No recipient looks like that: an address with a parenthesis has it quoted.
func reasonOf(line string) string {
	inner, opened := strings.CutPrefix(strings.TrimSpace(line), "(")
	inner, closed := strings.CutSuffix(inner, ")")
	if !opened || !closed {
		return ""
	}
	return strings.TrimSpace(inner)
}

// parseEntry reads the line that begins a message:
// ID[marks] SIZE WEEKDAY MONTH DAY TIME SENDER. The sender may be absent.
func parseEntry(line string, now time.Time) (Message, error) {
	fields := strings.Fields(line)
	if len(fields) < 6 {
		return Message{}, fmt.Errorf("no message: %.60q", strings.TrimSpace(line))
	}
	id := strings.TrimRight(fields[0], "*!#")
	if !isQueueID(id) {
		return Message{}, fmt.Errorf("no queue id: %.60q", fields[0])
	}
	size, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil || size < 0 {
		return Message{}, fmt.Errorf("message %s: no size: %.60q", id, fields[1])
	}
	arrival, err := parseArrival(strings.Join(fields[3:6], " "), now)
	if err != nil {
		return Message{}, fmt.Errorf("message %s: %w", id, err)
	}
	return Message{ID: id, Queue: queueOf(fields[0][len(id):]), Arrival: arrival, Size: size}, nil
}

// isQueueID tells whether s has the letters and digits of a short (base 16) or
// long (base 52) queue id only.
func isQueueID(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}

// queueOf returns the queue that the marks after an id stand for.
func queueOf(marks string) string {
	switch {
	case strings.Contains(marks, "!"):
		return Hold
	case strings.Contains(marks, "*"):
		return Active
	default:
		return Deferred
	}
}

// parseArrival reads "Aug 2 16:49:03" as the latest such moment that is not
// more than a day after now: clocks and zones may disagree a little, and the
// 29th of February needs a leap year.
func parseArrival(s string, now time.Time) (time.Time, error) {
	const reach = 8 // years without a leap year at most, at the turn of a century
	for year := now.Year() + 1; year >= now.Year()-reach; year-- {
		at, err := time.ParseInLocation("2006 Jan 2 15:04:05", strconv.Itoa(year)+" "+s, now.Location())
		if err == nil && !at.After(now.Add(24*time.Hour)) {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("no arrival time: %.60q", s)
}

// parseTrailer returns N of "-- SIZE Kbytes in N Requests.", or -1.
func parseTrailer(line string) (int, error) {
	_, after, ok := strings.Cut(line, " in ")
	count, word, spaced := strings.Cut(strings.TrimSpace(after), " ")
	n, err := strconv.Atoi(count)
	if !ok || !spaced || err != nil || n < 0 || !strings.HasPrefix(word, "Request") {
		return -1, fmt.Errorf("no total: %.60q", strings.TrimSpace(line))
	}
	return n, nil
}
