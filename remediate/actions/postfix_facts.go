package actions

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/postfix"
)

// lookAtPostfix reads what a plan depends on. It changes nothing.
func lookAtPostfix(ctx context.Context, m Machine) (postfixFacts, error) {
	f := postfixFacts{machine: m.Postfix, service: postfix.Service{Kind: postfix.Plain}}
	// A second instance is nobody's service: launchd and systemd know the main one.
	if dir := m.Postfix.ConfigDir; dir == "" || filepath.Clean(dir) == "/etc/postfix" {
		f.service = postfix.DetectService(m.Root, m.GOOS)
	}
	var err error
	if f.masterState, err = lookAtMaster(ctx, m); err != nil {
		return postfixFacts{}, err
	}
	if f.managed, err = isManaged(ctx, m, f); err != nil {
		return postfixFacts{}, err
	}
	return f, nil
}

// statusTimeout bounds "postfix status", which takes a fraction of a second.
const statusTimeout = 5 * time.Second

// A masterState is what is known of master.
type masterState struct {
	running bool // master holds its lock
	hangs   bool // postfix does not answer within statusTimeout
}

// lookAtMaster asks postfix, which tries master's lock: a file that holds an
// old pid does not deceive it. "postfix status" says nothing where nobody sits
// at a terminal, and then its exit status 1 is also that of a postfix that
// could not look; and since it writes to the log through master, it waits for
// ever for one that hangs. Then master itself is asked: it exits with 0 only if
// the lock is free.
func lookAtMaster(ctx context.Context, m Machine) (masterState, error) {
	status := postfixCommand(m.Postfix, "postfix", "status")
	res, hangs, err := runFor(ctx, m, statusTimeout, *status)
	if err != nil {
		return masterState{}, fmt.Errorf("ask whether postfix runs: %w", err)
	}
	if !hangs {
		if running, err := postfix.Running(res.Exit, outputOf(res)); err == nil {
			return masterState{running: running}, nil
		}
	}
	test, err := masterTest(ctx, m)
	if err != nil {
		return masterState{}, fmt.Errorf("ask whether postfix runs: %w", err)
	}
	res, err = m.Run.Run(ctx, test)
	switch {
	case err != nil:
		return masterState{}, fmt.Errorf("ask whether postfix runs: %w", err)
	case res.Exit == 0:
		return masterState{}, nil
	case hangs: // nothing but a master that hangs makes it wait
		return masterState{running: true, hangs: true}, nil
	default:
		return masterState{}, fmt.Errorf("ask whether postfix runs: %w (only root is told): %w", postfix.ErrStatusUnknown, exitError(test, res))
	}
}

// runFor runs c for at most d. That it hangs is an answer; that ctx ends is not.
func runFor(ctx context.Context, m Machine, d time.Duration, c minikeeper.Command) (res minikeeper.Result, hangs bool, err error) {
	short, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	res, err = m.Run.Run(short, c)
	if err != nil && short.Err() != nil && ctx.Err() == nil {
		return res, true, nil
	}
	return res, false, err
}

// masterTest returns the command that has master try its own lock. Without -d
// it would first begin a session of its own, which the leader of a process
// group may not do, and the runner makes each program one.
func masterTest(ctx context.Context, m Machine) (minikeeper.Command, error) {
	path := m.Postfix.Command["master"]
	if path == "" {
		dir, err := postfixSetting(ctx, m, "daemon_directory")
		if err != nil {
			return minikeeper.Command{}, err
		}
		path = filepath.Join(dir, "master")
	}
	c := postfixCommand(m.Postfix, "master", "-d", "-t")
	c.Path = path
	return *c, nil
}

// postfixSetting asks postconf for a setting that is an absolute path.
func postfixSetting(ctx context.Context, m Machine, name string) (string, error) {
	c := postfixCommand(m.Postfix, "postconf", "-h", name)
	res, err := m.Run.Run(ctx, *c)
	if err != nil {
		return "", err
	}
	value := strings.TrimSpace(string(res.Stdout))
	if res.Exit != 0 {
		return "", exitError(*c, res)
	}
	if !filepath.IsAbs(value) {
		return "", fmt.Errorf("%s: %q is not an absolute path", c, value)
	}
	return value, nil
}

// Exit statuses of launchctl print and systemctl is-active.
const (
	launchdNotFound = 113
	systemdInactive = 3
	systemdNoUnit   = 4
)

// isManaged tells whether the service that is responsible for master has it.
// systemd is asked only about a master that runs: a unit that lost its master
// may count as active or as failed, and is restarted either way.
func isManaged(ctx context.Context, m Machine, f postfixFacts) (bool, error) {
	switch {
	case f.service.Kind == postfix.Launchd:
		return jobLoaded(ctx, m, f.service.Label)
	case f.service.Kind == postfix.Systemd && f.running:
		c := minikeeper.Command{Path: program(m.Postfix.Command, "systemctl"), Args: []string{"is-active", f.service.Unit}}
		return answers(ctx, m, c, systemdInactive, systemdNoUnit)
	default:
		return false, nil
	}
}

// jobLoaded asks launchd whether it knows the job called label.
func jobLoaded(ctx context.Context, m Machine, label string) (bool, error) {
	c := minikeeper.Command{Path: launchctl(m), Args: []string{"print", "system/" + label}}
	return answers(ctx, m, c, launchdNotFound)
}

// answers runs c and tells yes from no by its exit status.
func answers(ctx context.Context, m Machine, c minikeeper.Command, no ...int) (bool, error) {
	res, err := m.Run.Run(ctx, c)
	if err != nil {
		return false, err
	}
	if res.Exit == 0 {
		return true, nil
	}
	if slices.Contains(no, res.Exit) {
		return false, nil
	}
	return false, exitError(c, res)
}

// exitError says with which status c ended, and its last words.
func exitError(c minikeeper.Command, res minikeeper.Result) error {
	if said := lastLine(outputOf(res)); said != "" {
		return fmt.Errorf("%s: exit %d: %s", c, res.Exit, said)
	}
	return fmt.Errorf("%s: exit %d", c, res.Exit)
}

// outputOf returns all that a command printed.
func outputOf(res minikeeper.Result) string {
	return string(bytes.TrimSpace(bytes.Join([][]byte{res.Stdout, res.Stderr}, nil)))
}

// lastLine returns the last line of s that is not empty: programs tell their
// reason at the end.
func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
