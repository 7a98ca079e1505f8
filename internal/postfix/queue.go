package postfix

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The queues that postqueue lists. Corrupt mail is set aside and not listed by
// the versions that were seen, but it is one of postfix's queues.
const (
	Active   = "active"
	Corrupt  = "corrupt"
	Deferred = "deferred"
	Hold     = "hold"
	Incoming = "incoming"
	Maildrop = "maildrop"
)

// Listed are the queues of which postqueue -j shows every message: a queue of
// these that a whole listing does not name is empty.
func Listed() []string { return []string{Active, Deferred, Hold, Incoming, Maildrop} }

// ListedAsText are the queues that postqueue -p tells apart. It marks active
// and held mail only, so that incoming mail is counted with the deferred.
func ListedAsText() []string { return []string{Active, Deferred, Hold} }

// A Message is one message in the queue.
type Message struct {
	ID      string
	Queue   string
	Arrival time.Time
	Size    int64 // bytes

	// Delays are the classes of what delays its recipients, each once, in the
	// order in which they were listed; none if nothing is said to delay it.
	Delays []Reason
}

// delayed adds the class of a delay's text, as postfix words it.
func (m *Message) delayed(text string) {
	if r := Classify(text); !slices.Contains(m.Delays, r) {
		m.Delays = append(m.Delays, r)
	}
}

// A Total sums up one queue.
type Total struct {
	Messages int
	Bytes    int64
	Oldest   time.Time // when its oldest message arrived; zero if it is empty
}

// Totals sums messages up by queue. Only queues that hold a message are in it.
func Totals(messages []Message) map[string]Total {
	totals := make(map[string]Total)
	for _, m := range messages {
		t := totals[m.Queue]
		t.Messages++
		t.Bytes += m.Size
		if t.Oldest.IsZero() || m.Arrival.Before(t.Oldest) {
			t.Oldest = m.Arrival
		}
		totals[m.Queue] = t
	}
	return totals
}

// Delayed counts messages by what delays them. A message whose recipients are
// delayed by several classes counts once in each of them; one that nothing is
// said to delay counts in none.
func Delayed(messages []Message) map[Reason]int {
	counts := make(map[Reason]int)
	for _, m := range messages {
		for _, r := range m.Delays {
			counts[r]++
		}
	}
	return counts
}

// listing gathers the messages of one listing. A message that moves while the
// queue is listed is listed twice: the later line is where it is now.
type listing struct {
	messages []Message
	at       map[string]int // index in messages by ID
	problems int
	first    error
}

func (l *listing) add(m Message) {
	if i, ok := l.at[m.ID]; ok {
		l.messages[i] = m
		return
	}
	if l.at == nil {
		l.at = make(map[string]int)
	}
	l.at[m.ID] = len(l.messages)
	l.messages = append(l.messages, m)
}

// problem remembers the first line that could not be read, and counts them all.
func (l *listing) problem(err error) {
	if l.first == nil {
		l.first = err
	}
	l.problems++
}

// err tells what could not be read; nil if everything was.
func (l *listing) err() error {
	switch l.problems {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("read mail queue: %w", l.first)
	default:
		return fmt.Errorf("read mail queue: %w (and %d more problems)", l.first, l.problems-1)
	}
}

// ErrStatusUnknown says that postfix did not tell whether it runs.
var ErrStatusUnknown = errors.New("it does not say whether the mail system runs")

// Running tells from the exit status of "postfix status", and from what it
// printed, whether the mail system runs. It prints nothing where its standard
// error is no terminal (Postfix 3.4 and later), and its exit status is 1 too
// where it does not run as root or finds no configuration: then the error is
// ErrStatusUnknown.
func Running(exit int, printed string) (bool, error) {
	switch {
	case strings.Contains(printed, "the Postfix mail system is running"):
		return true, nil
	case strings.Contains(printed, "the Postfix mail system is not running"):
		return false, nil
	case exit == 0:
		return true, nil
	default:
		return false, ErrStatusUnknown
	}
}

// SaysDown tells from postqueue's standard error whether it found nobody to
// ask. Asked by root it lists the queue all the same.
func SaysDown(stderr string) bool {
	return strings.Contains(strings.ToLower(stderr), "mail system is down")
}

// KnowsNoJSON tells from postqueue's standard error whether it is older than
// Postfix 3.1 and refused -j.
func KnowsNoJSON(stderr string) bool {
	for _, sign := range []string{"invalid option", "illegal option", "usage: postqueue"} {
		if strings.Contains(stderr, sign) {
			return true
		}
	}
	return false
}

// Relayhost returns the setting from what "postconf -h relayhost" printed. It
// is empty where mail goes straight to its destination.
func Relayhost(printed string) string {
	for line := range strings.Lines(printed) {
		if line = strings.TrimSpace(line); line != "" {
			return strings.ToValidUTF8(line, "?")
		}
	}
	return ""
}
