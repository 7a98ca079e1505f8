package collectors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/launchd"
)

// LaunchdSettings are the settings of the launchd collector.
type LaunchdSettings struct {
	Labels     []string          // jobs to watch; all that have a file in DaemonsDir if empty
	DaemonsDir string            // folder of property lists; /Library/LaunchDaemons if empty
	Evidence   map[string]string // by label, a file that the job writes on each run
	Command    map[string]string // path of launchctl
}

// defaultDaemonsDir is where administrators put their jobs.
const defaultDaemonsDir = "/Library/LaunchDaemons"

// Names of the launchd collector's metrics.
const (
	launchdLoaded   = "minikeeper_launchd_job_loaded"
	launchdRunning  = "minikeeper_launchd_job_running"
	launchdDisabled = "minikeeper_launchd_job_disabled"
	launchdRuns     = "minikeeper_launchd_job_runs_total"
	launchdExitCode = "minikeeper_launchd_job_last_exit_code"
	launchdSignal   = "minikeeper_launchd_job_last_signal"
	launchdLastRun  = "minikeeper_launchd_job_last_run_timestamp_seconds"
	launchdDue      = "minikeeper_launchd_calendar_due_timestamp_seconds"
	launchdMissed   = "minikeeper_launchd_calendar_missed_runs"
	launchdSecure   = "minikeeper_launchd_plist_secure"
	launchdValid    = "minikeeper_launchd_plist_valid"
)

// launchdJobs reads jobs of the system domain and their property lists.
type launchdJobs struct {
	deps     Deps
	settings LaunchdSettings
	zone     *time.Location // of calendars
	memory   *runMemory
}

func newLaunchd(d Deps) (Collector, error) {
	s := d.Settings.Launchd
	if s.DaemonsDir == "" {
		s.DaemonsDir = defaultDaemonsDir
	}
	if !filepath.IsAbs(s.DaemonsDir) {
		return nil, fmt.Errorf("launchd: daemons_dir %q must be an absolute path", s.DaemonsDir)
	}
	for i, label := range s.Labels {
		if !launchd.ValidLabel(label) || slices.Contains(s.Labels[:i], label) {
			return nil, fmt.Errorf("launchd: %q is not the label of a job, or is given twice", label)
		}
	}
	for label, file := range s.Evidence {
		if !filepath.IsAbs(file) {
			return nil, fmt.Errorf("launchd: evidence of %s: %q must be an absolute path", label, file)
		}
	}
	return &launchdJobs{deps: d, settings: s, zone: time.Local, memory: newRunMemory()}, nil
}

// Families implements Collector.
func (*launchdJobs) Families() []minikeeper.Family {
	family := func(name, help string) minikeeper.Family {
		return minikeeper.Family{Name: name, Help: help, Type: minikeeper.Gauge, Labels: []string{"label"}}
	}
	runs := family(launchdRuns, "Times that launchd has started the job since it was loaded.")
	runs.Type = minikeeper.Counter
	return []minikeeper.Family{
		family(launchdLoaded, "Whether launchd knows the job (1) or not (0)."),
		family(launchdRunning, "Whether the job has a process (1) or not (0)."),
		family(launchdDisabled, "Whether somebody turned the job off (1) or not (0)."),
		runs,
		family(launchdExitCode, "Exit code of the job's last run. None if it never ended, or a signal ended it."),
		family(launchdSignal, "Number of the signal that ended the job's last run. None if no signal did."),
		family(launchdLastRun, "When the job was last seen to have run, by its files or by launchd's count."),
		family(launchdDue, "When the job was last due by its calendar."),
		family(launchdMissed, "Times that the job was due since it last ran, as far as is known, at most 100."),
		family(launchdSecure, "Whether the job's property list belongs to root and wheel and nobody else may write it (1), as launchd wants, or not (0)."),
		family(launchdValid, "Whether launchd can read the job's property list (1) or not (0)."),
	}
}

// Collect implements Collector.
func (l *launchdJobs) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	files, filesErr := l.readFolder()
	labels := l.settings.Labels
	if len(labels) == 0 {
		labels = slices.Sorted(maps.Keys(files))
	}
	disabled, disabledErr := l.readDisabled(ctx, len(labels) > 0)

	errs := []error{filesErr, disabledErr}
	var samples []minikeeper.Sample
	for _, label := range labels {
		if ctx.Err() != nil {
			errs = append(errs, fmt.Errorf("read launchd jobs: %w", context.Cause(ctx)))
			break
		}
		state := jobState{label: label, overrides: disabled}
		var err error
		state.job, state.known, err = l.readJob(ctx, label)
		errs = append(errs, err)
		if file, ok := files[label]; ok {
			state.file = &file
		} else if state.job != nil && state.job.Path != "" {
			file := l.readPlist(state.job.Path)
			state.file = &file
		}
		if state.file != nil && state.file.readErr != nil {
			errs = append(errs, state.file.readErr)
		}
		samples = append(samples, state.samples()...)
		calendar, err := l.calendarSamples(state, time.Now())
		samples, errs = append(samples, calendar...), append(errs, err)
	}
	return samples, errors.Join(errs...)
}

// readJob asks launchd for a job. It is known that a job is not loaded, too.
func (l *launchdJobs) readJob(ctx context.Context, label string) (job *launchd.Job, known bool, err error) {
	res, err := l.deps.tool(ctx, l.settings.Command, "launchctl", "print", "system/"+label)
	if res.Exit == launchd.NotFound {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	found, err := launchd.ParsePrint(string(res.Stdout))
	if found.Label == "" {
		return nil, false, fmt.Errorf("job %s: %w", label, err)
	}
	if err != nil {
		err = fmt.Errorf("job %s: %w", label, err)
	}
	return &found, true, err
}

// readDisabled returns what somebody turned on or off; nil if that is not known.
func (l *launchdJobs) readDisabled(ctx context.Context, wanted bool) (map[string]bool, error) {
	if !wanted {
		return nil, nil
	}
	out, err := l.deps.output(ctx, l.settings.Command, "launchctl", "print-disabled", "system")
	if err != nil {
		return nil, err
	}
	return launchd.ParseDisabled(string(out))
}

// jobState is all that is known of one job.
type jobState struct {
	label     string
	job       *launchd.Job // nil if it is not loaded, or that is not known
	known     bool
	file      *jobFile        // nil if it has none
	overrides map[string]bool // nil if they are not known
}

func (s jobState) samples() []minikeeper.Sample {
	var samples []minikeeper.Sample
	add := func(name string, value float64) { samples = append(samples, sample(name, value, "label", s.label)) }
	if s.known {
		add(launchdLoaded, bool01(s.job != nil))
	}
	if j := s.job; j != nil {
		if j.State != "" {
			add(launchdRunning, bool01(j.Running()))
		}
		if j.Runs != nil {
			add(launchdRuns, float64(*j.Runs))
		}
		if j.ExitCode != nil {
			add(launchdExitCode, float64(*j.ExitCode))
		}
		if j.Signal != nil {
			add(launchdSignal, float64(*j.Signal))
		}
	}
	if disabled, known := s.disabled(); known {
		add(launchdDisabled, bool01(disabled))
	}
	if f := s.file; f != nil && f.found {
		add(launchdSecure, bool01(f.secure))
		if f.readErr == nil {
			add(launchdValid, bool01(f.parseErr == nil))
		}
	}
	return samples
}

// disabled tells whether somebody turned the job off: by launchctl or, where
// that was not used, in the file.
func (s jobState) disabled() (disabled, known bool) {
	if s.overrides == nil {
		return false, false
	}
	if disabled, known = s.overrides[s.label]; known {
		return disabled, true
	}
	if f := s.file; f != nil && f.found && f.readErr == nil && f.parseErr == nil {
		return s.file.plist.Disabled, true
	}
	return false, false
}
