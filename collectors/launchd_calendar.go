package collectors

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/minikeeper/minikeeper"
)

const (
	// calendarGrace is how long after it was due a job may leave no trace yet.
	calendarGrace = 15 * time.Minute

	// missedLimit bounds how many missed runs are counted.
	missedLimit = 100
)

// calendarSamples says when the job was last due, when it last ran, and how
// often it was due and did not run.
func (l *launchdJobs) calendarSamples(s jobState, now time.Time) ([]minikeeper.Sample, error) {
	trace, err := l.traces(s)
	if s.job != nil {
		seen := l.memory.observe(s.label, s.job.Runs, s.job.Running(), now)
		trace.seen, trace.watched = seen.last, seen.since
	}
	var samples []minikeeper.Sample
	if last := trace.last(); !last.IsZero() {
		samples = append(samples, sample(launchdLastRun, unixSeconds(last), "label", s.label))
	}
	if s.file == nil || len(s.file.plist.Calendar) == 0 {
		return samples, err
	}
	calendar := s.file.plist.Calendar
	due, ok := calendar.Last(now.In(l.zone))
	if !ok {
		return samples, err
	}
	samples = append(samples, sample(launchdDue, unixSeconds(due), "label", s.label))
	until := now.Add(-calendarGrace).In(l.zone)
	if since, known := trace.since(); known {
		samples = append(samples, sample(launchdMissed, float64(calendar.Count(since, until, missedLimit)), "label", s.label))
	} else if n := calendar.Count(trace.watched, until, missedLimit); !trace.watched.IsZero() && n > 0 {
		samples = append(samples, sample(launchdMissed, float64(n), "label", s.label))
	}
	return samples, err
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// A runTrace is what tells when a job last ran. What is zero is not known.
type runTrace struct {
	proof   time.Time // the job writes this file on each run: older means that it did not run
	hint    time.Time // the job may write this file: newer means that it ran, older means nothing
	seen    time.Time // launchd counted a run, or the job runs
	watched time.Time // since when launchd's count has been watched
}

func (t runTrace) last() time.Time {
	last := t.proof
	for _, other := range []time.Time{t.hint, t.seen} {
		if other.After(last) {
			last = other
		}
	}
	return last
}

// since returns from when on a run that was due is a missed one; not known
// without a trace that would be there if the job had run.
func (t runTrace) since() (time.Time, bool) {
	if t.proof.IsZero() && t.seen.IsZero() {
		return time.Time{}, false
	}
	return t.last(), true
}

// traces looks at the files that the job writes. The one that the settings
// name, or else the log of its standard output, if it ever wrote to it, is
// proof; its log of errors is a hint only, since most runs have none.
func (l *launchdJobs) traces(s jobState) (runTrace, error) {
	var t runTrace
	if path, ok := l.settings.Evidence[s.label]; ok {
		info, err := os.Stat(l.deps.path(path))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return t, nil // it has not run yet, or never will: nobody knows since when
		case err != nil:
			return t, fmt.Errorf("look for a run of %s: %w", s.label, err)
		}
		t.proof = info.ModTime()
		return t, nil
	}
	if s.file == nil {
		return t, nil
	}
	t.proof = l.lastWritten(s.file.plist.Stdout)
	t.hint = l.lastWritten(s.file.plist.Stderr)
	return t, nil
}

// lastWritten returns when something was last written to a log; zero if there
// is none, or nothing in it.
func (l *launchdJobs) lastWritten(path string) time.Time {
	if path == "" {
		return time.Time{}
	}
	info, err := os.Stat(l.deps.path(path))
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return time.Time{}
	}
	return info.ModTime()
}

// A runMemory knows how often jobs had run when they were last looked at.
type runMemory struct {
	mu   sync.Mutex
	jobs map[string]observedRuns
}

type observedRuns struct {
	runs  uint64
	since time.Time // when the count was first seen
	last  time.Time // when it was last seen to have grown, or the job to run
}

func newRunMemory() *runMemory { return &runMemory{jobs: make(map[string]observedRuns)} }

// observe notes launchd's count of a job. A count that fell begins again: the
// machine was started, or the job loaded anew.
func (m *runMemory) observe(label string, runs *uint64, running bool, now time.Time) observedRuns {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.jobs[label]
	if runs != nil {
		switch {
		case o.since.IsZero():
			o.runs, o.since = *runs, now
		case *runs > o.runs, *runs < o.runs && *runs > 0:
			o.runs, o.last = *runs, now
		default:
			o.runs = *runs
		}
	}
	if running {
		o.last = now
	}
	m.jobs[label] = o
	return o
}
