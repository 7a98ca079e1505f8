package collectors

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/minikeeper/minikeeper"
)

// SyncLogSettings are the settings of the synclog collector.
type SyncLogSettings struct {
	Files []string // logs of rsync jobs, absolute paths
}

// Names of the synclog collector's metrics.
const (
	synclogTimestamp   = "minikeeper_synclog_last_run_timestamp_seconds"
	synclogDuration    = "minikeeper_synclog_last_run_duration_seconds"
	synclogFinished    = "minikeeper_synclog_last_run_finished"
	synclogExit        = "minikeeper_synclog_last_run_exit_code"
	synclogTotal       = "minikeeper_synclog_total_size_bytes"
	synclogTransferred = "minikeeper_synclog_transferred_bytes"
	synclogSpeedup     = "minikeeper_synclog_speedup_ratio"
	synclogFalse       = "minikeeper_synclog_false_success"
)

// Why the summary that a run closed with is not to be believed.
const (
	falseError  = "error"  // it failed, by its exit code or its complaints
	falseEmpty  = "empty"  // its source held nothing
	falseShrunk = "shrunk" // its source held less than half of what the run before found there
)

// shrunkTo is the part of the former size below which a source has shrunk.
const shrunkTo = 0.5

// silence is how long a log may grow no more while a run goes on. A run that
// was silent for longer has been broken off.
const silence = 24 * time.Hour

// synclog reads the logs that scripts around rsync leave behind. It believes
// no summary: rsync prints it after failed runs too.
type synclog struct {
	deps   Deps
	parser *syncParser
}

func newSyncLog(d Deps) (Collector, error) {
	seen := make(map[string]bool)
	for _, file := range d.Settings.SyncLog.Files {
		if !filepath.IsAbs(file) {
			return nil, fmt.Errorf("synclog: file %q must be an absolute path", file)
		}
		if seen[file] {
			return nil, fmt.Errorf("synclog: file %q is named twice", file)
		}
		seen[file] = true
	}
	return synclog{deps: d, parser: newSyncParser(time.Local)}, nil
}

// Families implements Collector.
func (synclog) Families() []minikeeper.Family {
	gauge := func(name, help string, labels ...string) minikeeper.Family {
		return minikeeper.Family{Name: name, Help: help, Type: minikeeper.Gauge, Labels: append([]string{"file"}, labels...)}
	}
	return []minikeeper.Family{
		gauge(synclogTimestamp, "When the last run in the log began; when the log was last written where it has no times."),
		gauge(synclogDuration, "How long the last run took, from the rate that it printed."),
		gauge(synclogFinished, "Whether the last run came to its end, by its closing summary or its exit code (1), or was broken off (0)."),
		gauge(synclogExit, "Exit code of rsync in the last run, where the log has it."),
		gauge(synclogTotal, "Size of all files of the source, as the last run found them."),
		gauge(synclogTransferred, "Bytes that the last run sent and received."),
		gauge(synclogSpeedup, "Total size divided by the bytes that were transferred."),
		gauge(synclogFalse, "Whether the last run closed with a summary that is not to be believed, for this reason (1), or not (0).", "reason"),
	}
}

// Collect implements Collector.
func (s synclog) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	var samples []minikeeper.Sample
	var errs []error
	for _, file := range s.deps.Settings.SyncLog.Files {
		if err := ctx.Err(); err != nil {
			return samples, errors.Join(append(errs, context.Cause(ctx))...)
		}
		read, err := s.read(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("read sync log %s: %w", file, err))
		}
		samples = append(samples, read...)
	}
	return samples, errors.Join(errs...)
}

// errNoRun is what a log is refused with in which nobody can find a run.
var errNoRun = errors.New("no run of rsync in it")

// read reads one log, and what it was before it was last rotated where there
// are fewer than the two runs in it that are compared.
func (s synclog) read(file string) ([]minikeeper.Sample, error) {
	path := s.deps.path(file)
	log, err := readTail(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	runs := s.parser.runs(log.text, log.quiet(silence))
	if len(runs) < 2 && log.whole {
		before, beforeErr := readRotated(path)
		switch {
		case beforeErr != nil:
			err = errors.Join(err, beforeErr)
		case before.found:
			err = nil // that the log itself is not there yet is how it is rotated
			runs = s.parser.runs(before.text+"\n"+log.text, log.quiet(silence) || !log.found)
			if !log.found || len(log.text) == 0 {
				log.modified = before.modified
			}
		}
	}
	if err != nil {
		return nil, err
	}
	if len(runs) == 0 {
		if len(log.text) == 0 {
			return nil, nil // new, and no run has ended yet
		}
		return nil, errNoRun
	}
	return syncSamples(file, runs, log.modified), nil
}

// syncSamples are what the last of runs says, beside the one before.
func syncSamples(file string, runs []syncRun, modified time.Time) []minikeeper.Sample {
	if newestFirst(runs) {
		slices.Reverse(runs)
	}
	last := runs[len(runs)-1]
	var samples []minikeeper.Sample
	add := func(name string, value float64, more ...string) {
		if !math.IsNaN(value) && !math.IsInf(value, 0) {
			samples = append(samples, sample(name, value, append([]string{"file", file}, more...)...))
		}
	}
	began := last.start
	if began.IsZero() {
		began = modified
	}
	add(synclogTimestamp, float64(began.Unix()))
	if seconds, ok := last.duration(); ok {
		add(synclogDuration, seconds)
	}
	add(synclogFinished, bool01(last.finished()))
	if last.exit != nil {
		add(synclogExit, float64(*last.exit))
	}
	if !last.finished() {
		return samples
	}
	if last.sent.known && last.received.known {
		add(synclogTransferred, last.sent.value+last.received.value)
	}
	if last.speedup.known {
		add(synclogSpeedup, last.speedup.value)
	}
	add(synclogFalse, bool01(last.failed()), "reason", falseError)
	if !last.total.known {
		return samples
	}
	add(synclogTotal, last.total.value)
	add(synclogFalse, bool01(last.total.value == 0), "reason", falseEmpty)
	if before, known := totalBefore(runs); known {
		add(synclogFalse, bool01(last.total.value < shrunkTo*before), "reason", falseShrunk)
	}
	return samples
}

// newestFirst tells whether a log has its newest run at its top, as some
// scripts write it.
func newestFirst(runs []syncRun) bool {
	for i := 1; i < len(runs); i++ {
		if runs[i].start.IsZero() || !runs[i].start.Before(runs[i-1].start) {
			return false
		}
	}
	return len(runs) > 1
}

// totalBefore is the size of the source when it was last found whole, before
// the last run: runs that failed or found nothing are no measure.
func totalBefore(runs []syncRun) (total float64, known bool) {
	for _, run := range slices.Backward(runs[:len(runs)-1]) {
		if run.summary && run.total.known && run.total.value > 0 && !run.failed() {
			return run.total.value, true
		}
	}
	return 0, false
}
