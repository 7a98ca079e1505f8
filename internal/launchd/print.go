package launchd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// NotFound is launchctl's exit status for a job that is not loaded.
const NotFound = 113

// ErrCutOff is in the chain of an error when the text ended too early. What
// came before is returned all the same.
var ErrCutOff = errors.New("the text is cut off")

// A Job is what launchd says of a job that is loaded.
type Job struct {
	Label    string
	Path     string // of its property list; "" if it has none on disk
	State    string // running, not running, spawn scheduled or xpcproxy
	JobState string // exited, running, spawn failed, uninitialized, …
	Runs     *uint64
	ExitCode *int // of the last run; nil if it never exited, or was killed
	Signal   *int // that ended the last run; nil if none did
}

// Running tells whether the job has a process now.
func (j Job) Running() bool { return j.State == "running" }

// SpawnFailed tells whether launchd could not start the job at all.
func (j Job) SpawnFailed() bool { return j.JobState == "spawn failed" }

// textLimit bounds what launchctl prints: a real job has 2 to 10 kB.
const textLimit = 4 << 20

// ParsePrint reads what `launchctl print DOMAIN/LABEL` prints:
//
//	system/com.example.sync = {
//		state = not running
//		runs = 18
//		last exit code = 78: EX_CONFIG
//		…
//	}
//
// The text is not meant for programs. Only lines with exactly one leading tab
// speak of the job: nested blocks repeat their names.
func ParsePrint(text string) (Job, error) {
	if len(text) > textLimit {
		return Job{}, fmt.Errorf("read launchctl print: %d MiB are too much to be true", len(text)>>20)
	}
	var j Job
	var errs []error
	begun, ended := false, false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case !begun && strings.TrimSpace(line) == "":
		case !begun:
			label, ok := labelOf(line)
			if !ok {
				return Job{}, fmt.Errorf("read launchctl print: not a job: %q", shorten(line))
			}
			j.Label, begun = label, true
		case line == "}":
			ended = true
		case !ended && strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, "\t\t"):
			if err := j.set(line[1:]); err != nil {
				errs = append(errs, fmt.Errorf("read launchctl print: %w", err))
			}
		}
	}
	switch {
	case !begun:
		return Job{}, errors.New("read launchctl print: nothing was printed")
	case !ended:
		errs = append(errs, fmt.Errorf("read launchctl print: %w", ErrCutOff))
	}
	return j, errors.Join(errs...)
}

// labelOf returns the label in "system/LABEL = {" or "gui/501/LABEL = {".
func labelOf(line string) (string, bool) {
	name, ok := strings.CutSuffix(line, " = {")
	if !ok {
		return "", false
	}
	domain, label, ok := strings.Cut(name, "/")
	if domain != "system" { // user domains have a number
		_, label, ok = strings.Cut(label, "/")
	}
	return label, ok && label != "" && !strings.ContainsAny(label, "\t\x00")
}

// set takes one line "KEY = VALUE" of the job's own.
func (j *Job) set(line string) error {
	key, value, ok := strings.Cut(line, " = ")
	if !ok || value == "{" {
		return nil
	}
	switch key {
	case "path":
		if strings.HasPrefix(value, "/") { // else "(submitted by NAME)"
			j.Path = value
		}
	case "state":
		j.State = value
	case "job state":
		j.JobState = value
	case "runs":
		n, err := strconv.ParseUint(value, 10, 53) // a float64 holds it exactly
		if err != nil {
			return fmt.Errorf("runs is %q", shorten(value))
		}
		j.Runs = &n
	case "last exit code": // "0", "78: EX_CONFIG" or "(never exited)"
		if strings.Trim(value, "()") == "never exited" {
			return nil
		}
		code, _, _ := strings.Cut(value, ":")
		return number(&j.ExitCode, key, code)
	case "last terminating signal": // "Terminated: 15"
		return number(&j.Signal, key, value[strings.LastIndexByte(value, ' ')+1:])
	}
	return nil
}

func number(into **int, key, word string) error {
	n, err := strconv.ParseInt(word, 10, 32)
	if err != nil {
		return fmt.Errorf("%s is %q", key, shorten(word))
	}
	*into = new(int(n))
	return nil
}

// ParseDisabled reads what `launchctl print-disabled system` prints: which
// jobs somebody turned off or on, whatever their property lists say. A line is
// `"LABEL" => disabled`, or `=> true` on older systems.
func ParseDisabled(text string) (map[string]bool, error) {
	if len(text) > textLimit {
		return nil, fmt.Errorf("read launchctl print-disabled: %d MiB are too much to be true", len(text)>>20)
	}
	if !strings.Contains(text, "disabled services = {") {
		return nil, fmt.Errorf("read launchctl print-disabled: no list: %q", shorten(text))
	}
	disabled := make(map[string]bool)
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " => ")
		if !ok || len(name) < 3 || name[0] != '"' || name[len(name)-1] != '"' {
			continue
		}
		switch value {
		case "true", "disabled":
			disabled[name[1:len(name)-1]] = true
		case "false", "enabled":
			disabled[name[1:len(name)-1]] = false
		}
	}
	return disabled, nil
}

// shorten makes text fit an error message.
func shorten(text string) string {
	const limit = 100
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	if len(text) > limit {
		text = text[:limit] + "…"
	}
	return strings.ToValidUTF8(text, "?")
}
