package notify

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/slack-go/slack"

	"github.com/minikeeper/minikeeper"
)

const (
	// lateAfter is how old an event is whose message apologises.
	lateAfter = 5 * time.Minute

	maxSubject = 150 // characters
	maxLine    = 1000
	outputTail = 15 // lines of what a failed step printed
)

// A Message is an event in words, for every kind of channel.
type Message struct {
	ID     string // the same each time the event is sent
	Thread string // the same for all events of one incident; "" if it is alone

	At      time.Time // when it is sent
	Subject string
	Text    string // complete in itself
	HTML    string
	Blocks  []slack.Block
	Run     string // the run's id; "" if it is about none
}

// Render puts e into words, to be sent at now. It is pure. trouble is why
// earlier attempts failed; a message that is late says so.
func Render(e minikeeper.Event, now time.Time, trouble string) Message {
	l := compose(e, now, trouble)
	m := Message{
		ID: messageID(e), Thread: threadID(e), At: now,
		Subject: l.subject, Text: l.text(), HTML: l.html(), Blocks: l.blocks(),
	}
	if e.Run != nil {
		m.Run = e.Run.ID
	}
	return m
}

// messageID is told from those of another journal by the event's time.
func messageID(e minikeeper.Event) string {
	return fmt.Sprintf("event-%d.%s", e.ID, digest(strconv.FormatInt(e.At.UnixNano(), 10), string(e.Kind), e.Key))
}

// threadID changes when the alert has been away and comes back.
func threadID(e minikeeper.Event) string {
	if e.Alert.Name == "" {
		return ""
	}
	return "incident-" + digest(e.Key, strconv.FormatInt(e.Alert.ActiveAt.UnixNano(), 10))
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(strconv.Itoa(len(p)) + ":" + p)) // a hash never fails
	}
	return hex.EncodeToString(h.Sum(nil)[:10])
}

// A letter is a message before it is set in a format. Its strings are clean.
type letter struct {
	subject  string
	headline string
	lead     string
	late     string // "" if it is in time
	sections []section
	ask      []string // what is asked of people; none: nothing
	commands []string // that do it
	footer   string
}

type section struct {
	title string
	lines []string
}

// compose decides what is said, and in which order.
func compose(e minikeeper.Event, now time.Time, trouble string) letter {
	w := wordsFor(e)
	l := letter{
		subject:  clip("[minikeeper] "+join(": ", place(e), w.subject), maxSubject),
		headline: w.headline,
		lead:     clip(oneLine(e.Summary), maxLine),
		late:     lateness(e, now, trouble),
		footer:   footer(e),
	}
	if e.Alert.Name != "" {
		l.add("What happened", alertLines(e.Alert, now))
	}
	if e.Run != nil {
		l.add(w.steps, stepLines(*e.Run))
		l.add(w.reason, reasonLines(*e.Run))
	}
	if e.NeedsPeople {
		l.ask, l.commands = w.ask, w.commands
	}
	return l
}

func (l *letter) add(title string, lines []string) {
	if title != "" && len(lines) > 0 {
		l.sections = append(l.sections, section{title, lines})
	}
}

// place is SITE/SERVER, as far as they are known.
func place(e minikeeper.Event) string {
	site, server := e.Alert.Labels["site"], e.Alert.Labels["server"]
	if e.Run != nil {
		site, server = cmp.Or(e.Run.Site, site), cmp.Or(e.Run.Server, server)
	}
	return join("/", oneLine(site), oneLine(server))
}

func join(sep, a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + sep + b
}

func lateness(e minikeeper.Event, now time.Time, trouble string) string {
	late := now.Sub(e.At)
	if late < lateAfter {
		return ""
	}
	s := fmt.Sprintf("This message is %s late: it was written at %s.", span(late), stamp(e.At))
	if trouble = oneLine(trouble); trouble != "" {
		s += " What kept it: " + clip(trouble, 300)
	}
	return s
}

func alertLines(a minikeeper.Alert, now time.Time) []string {
	var list []string
	for _, name := range []string{"summary", "description"} {
		list = append(list, lines(a.Annotations[name], 20)...)
	}
	if !a.ActiveAt.IsZero() {
		since := "Since " + stamp(a.ActiveAt)
		if end := a.ResolvedAt; !end.IsZero() {
			since += " until " + stamp(end) + " (" + span(end.Sub(a.ActiveAt)) + ")"
		} else {
			since += " (" + span(now.Sub(a.ActiveAt)) + " ago)"
		}
		list = append(list, since)
	}
	if runbook := oneLine(a.Annotations["runbook_url"]); runbook != "" {
		list = append(list, "Runbook: "+clip(runbook, maxLine))
	}
	return append(list, "Alert: "+clip(oneLine(minikeeper.Alert{Labels: a.Labels}.Key()), maxLine))
}

// stepLines tells what was done, or what the plan is.
func stepLines(r minikeeper.Run) []string {
	var list []string
	if len(r.Steps) == 0 {
		for i, s := range r.Plan.Steps {
			list = append(list, fmt.Sprintf("%d. %s", i+1, clip(oneLine(s.String()), maxLine)))
		}
		return list
	}
	records := slices.SortedFunc(slices.Values(r.Steps), func(a, b minikeeper.StepRecord) int { return cmp.Compare(a.Index, b.Index) })
	for _, s := range records {
		list = append(list, fmt.Sprintf("%d. %s (%s)", s.Index+1, clip(oneLine(s.Step.String()), maxLine), fate(s.Result)))
		if s.Result != nil && s.Result.Error != "" {
			for _, line := range lines(s.Result.Output, outputTail) {
				list = append(list, "   | "+line)
			}
		}
	}
	return list
}

func fate(r *minikeeper.StepResult) string {
	switch {
	case r == nil:
		return "its outcome is not known"
	case r.Error != "":
		return "failed after " + span(r.End.Sub(r.Start)) + ": " + clip(oneLine(r.Error), 300)
	default:
		return "done in " + span(r.End.Sub(r.Start))
	}
}

func reasonLines(r minikeeper.Run) []string { return lines(r.Reason, 10) }

func footer(e minikeeper.Event) string {
	s := ""
	if e.Run != nil {
		s = join(" · ", s, "run "+oneLine(e.Run.ID))
		s = join(" · ", s, "remedy "+oneLine(e.Run.Remedy))
	}
	if e.ID != 0 {
		s = join(" · ", s, "event "+strconv.FormatInt(e.ID, 10))
	}
	return join(" · ", s, stamp(e.At))
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// span shows d as people say it, in at most two units.
func span(d time.Duration) string {
	d = max(d, 0)
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%d min %d s", minutes, int(d.Seconds())%60)
	case d >= time.Second:
		return fmt.Sprintf("%.3g s", d.Seconds())
	default:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
}
