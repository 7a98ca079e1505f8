package keeper

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"github.com/minikeeper/minikeeper"
)

// keepRuns is how many runs the record keeps when the keeper starts. A run
// that is older is refused by its fence.
const keepRuns = 500

// A line is one line of the record: exactly one of its fields is set.
type line struct {
	Accepted *accepted `json:"accepted,omitempty"`
	Intent   *intent   `json:"intent,omitempty"`
	Outcome  *outcome  `json:"outcome,omitempty"`
}

// accepted says that a run may do its plan here.
type accepted struct {
	Run    string          `json:"run"`
	Fence  int64           `json:"fence"`
	Action string          `json:"action"`
	Hash   string          `json:"plan_hash"`
	Plan   minikeeper.Plan `json:"plan"`
}

// intent is on disk before a step begins.
type intent struct {
	Run  string    `json:"run"`
	Step int       `json:"step"`
	At   time.Time `json:"at"`
}

// outcome is what a step left behind.
type outcome struct {
	Run    string                `json:"run"`
	Step   int                   `json:"step"`
	Result minikeeper.StepResult `json:"result"`
}

// A runRecord is what is known of a run.
type runRecord struct {
	accepted
	steps map[int]*stepRecord
}

// A stepRecord is a step that was begun. Without a result nobody knows more.
type stepRecord struct {
	began  time.Time
	result *minikeeper.StepResult
}

// step returns what is known of step i, or nil if it was not begun.
func (r *runRecord) step(i int) *stepRecord {
	if r == nil {
		return nil
	}
	return r.steps[i]
}

// A record is the durable memory of a keeper: a file of JSON lines that only
// grows while the keeper runs. It is not safe for concurrent use.
type record struct {
	lock *os.File
	file *lineFile
	runs map[string]*runRecord
	last *runRecord // the one with the highest fence
	owed []line     // outcomes that the disk did not take
}

// openRecord reads the record in dir and keeps others from it.
func openRecord(dir string) (*record, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockFile(filepath.Join(dir, "keeper.lock"))
	if err != nil {
		return nil, err
	}
	r := &record{lock: lock, runs: make(map[string]*runRecord)}
	if err := r.load(filepath.Join(dir, "steps.jsonl")); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return r, nil
}

// lockFile locks the file at path until it is closed or the process ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: another process keeps this server: %w", path, err), f.Close())
	}
	return f, nil
}

// load reads the file at path, forgets old runs, and opens it for more.
func (r *record) load(path string) error {
	lines, good, err := readLines(path)
	if err != nil {
		return err
	}
	for i, l := range lines {
		if err := r.apply(l); err != nil {
			return fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
	}
	if r.forget() {
		// A full disk does not take the shorter file either: go on with the long one.
		if n, err := rewrite(path, r.lines()); err == nil {
			good = n
		}
	}
	r.file, err = openLines(path, good)
	return err
}

// apply takes in one line.
func (r *record) apply(l line) error {
	switch {
	case l.Accepted != nil:
		run := &runRecord{accepted: *l.Accepted, steps: make(map[int]*stepRecord)}
		r.runs[run.Run] = run
		if r.last == nil || run.Fence >= r.last.Fence {
			r.last = run
		}
		return nil
	case l.Intent != nil:
		run := r.runs[l.Intent.Run]
		if run == nil {
			return fmt.Errorf("intent of run %q, which was not accepted", l.Intent.Run)
		}
		run.steps[l.Intent.Step] = &stepRecord{began: l.Intent.At}
		return nil
	case l.Outcome != nil:
		step := r.runs[l.Outcome.Run].step(l.Outcome.Step)
		if step == nil {
			return fmt.Errorf("outcome of step %d of run %q, which was not begun", l.Outcome.Step, l.Outcome.Run)
		}
		step.result = &l.Outcome.Result
		return nil
	default:
		return errors.New("the line says nothing")
	}
}

// intend puts on disk that a step is about to begin, and with the first one
// that the run was accepted. Nothing has changed if it fails.
func (r *record) intend(run *runRecord, step int, at time.Time) error {
	lines := []line{{Intent: &intent{Run: run.Run, Step: step, At: at}}}
	if r.runs[run.Run] == nil {
		lines = append([]line{{Accepted: &run.accepted}}, lines...)
	}
	if err := r.file.append(slices.Concat(r.owed, lines)); err != nil {
		return err
	}
	r.owed = nil
	for _, l := range lines {
		if err := r.apply(l); err != nil {
			return err
		}
	}
	return nil
}

// conclude records what a step left behind, in memory even if not on disk.
func (r *record) conclude(run *runRecord, step int, result minikeeper.StepResult) error {
	l := line{Outcome: &outcome{Run: run.Run, Step: step, Result: result}}
	if err := r.apply(l); err != nil {
		return err
	}
	r.owed = append(r.owed, l)
	if err := r.file.append(r.owed); err != nil {
		return err
	}
	r.owed = nil
	return nil
}

// interrupted returns the steps that were begun and have no outcome.
func (r *record) interrupted() []intent {
	var found []intent
	for _, run := range r.ordered() {
		for i, s := range run.steps {
			if s.result == nil {
				found = append(found, intent{Run: run.Run, Step: i, At: s.began})
			}
		}
	}
	return found
}

// close gives the record up.
func (r *record) close() error {
	return errors.Join(r.file.close(), r.lock.Close())
}

// ordered returns the runs, oldest first.
func (r *record) ordered() []*runRecord {
	runs := make([]*runRecord, 0, len(r.runs))
	for _, run := range r.runs {
		runs = append(runs, run)
	}
	slices.SortFunc(runs, func(a, b *runRecord) int {
		return cmp.Or(cmp.Compare(a.Fence, b.Fence), cmp.Compare(a.Run, b.Run))
	})
	return runs
}

// forget drops the oldest runs beyond keepRuns and tells whether there were any.
func (r *record) forget() bool {
	runs := r.ordered()
	if len(runs) <= keepRuns {
		return false
	}
	for _, run := range runs[:len(runs)-keepRuns] {
		delete(r.runs, run.Run)
	}
	return true
}

// lines returns the record as it is written.
func (r *record) lines() []line {
	var lines []line
	for _, run := range r.ordered() {
		lines = append(lines, line{Accepted: &run.accepted})
		for i := range len(run.Plan.Steps) {
			s := run.steps[i]
			if s == nil {
				continue
			}
			lines = append(lines, line{Intent: &intent{Run: run.Run, Step: i, At: s.began}})
			if s.result != nil {
				lines = append(lines, line{Outcome: &outcome{Run: run.Run, Step: i, Result: *s.result}})
			}
		}
	}
	return lines
}

// rewrite replaces the file at path, and returns its new length.
func rewrite(path string, lines []line) (int64, error) {
	data, err := marshal(lines)
	if err != nil {
		return 0, err
	}
	if err := renameio.WriteFile(path, data, 0o600); err != nil {
		return 0, err
	}
	return int64(len(data)), nil
}

// marshal returns lines as they are written.
func marshal(lines []line) ([]byte, error) {
	var data []byte
	for _, l := range lines {
		text, err := json.Marshal(l)
		if err != nil {
			return nil, err
		}
		data = append(append(data, text...), '\n')
	}
	return data, nil
}
