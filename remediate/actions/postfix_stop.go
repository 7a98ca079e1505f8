package actions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
)

// How often and how long stopMaster looks whether a killed master is gone.
const (
	stopLooks = 50
	stopPause = 200 * time.Millisecond
)

// stopMaster stops a master that runs past launchd and systemd. "postfix stop"
// promises to use force after five seconds; on systems where awk's exit
// status is not what its script expects it does not, and where it waits for
// master to take its log it never comes so far. So that is done here. A master
// that is stopped already is as good.
func stopMaster(ctx context.Context, m Machine) (string, error) {
	stop := postfixCommand(m.Postfix, "postfix", "stop")
	res, _, err := runFor(ctx, m, tryTimeout, *stop)
	if err != nil {
		return outputOf(res), fmt.Errorf("stop postfix: %w", err)
	}
	state, err := lookAtMaster(ctx, m)
	if err != nil {
		return outputOf(res), fmt.Errorf("stop postfix: %w", err)
	}
	if !state.running {
		return outputOf(res), nil
	}
	pid, err := killMaster(ctx, m)
	if err != nil {
		return outputOf(res), fmt.Errorf("stop postfix, which does not stop by itself: %w", err)
	}
	return strings.TrimSpace(fmt.Sprintf("%s\nmaster %d was killed", outputOf(res), pid)), nil
}

// killMaster kills the process that holds master's lock and waits until the
// lock is free. Master's children notice, and end.
func killMaster(ctx context.Context, m Machine) (pid int, err error) {
	queue, err := postfixSetting(ctx, m, "queue_directory")
	if err != nil {
		return 0, err
	}
	if pid, err = readPID(filepath.Join(m.Root, queue, "pid", "master.pid")); err != nil {
		return 0, err
	}
	// The lock is held, so the pid should be that of its holder. But a wrong
	// process that is killed is worse than a master that still hangs.
	if err := isMaster(ctx, m, pid); err != nil {
		return 0, err
	}
	kill := minikeeper.Command{Path: program(m.Postfix.Command, "kill"), Args: []string{"-KILL", strconv.Itoa(pid)}}
	res, err := m.Run.Run(ctx, kill)
	if err != nil {
		return 0, err
	}
	if res.Exit != 0 {
		return 0, exitError(kill, res)
	}
	for range stopLooks {
		if state, err := lookAtMaster(ctx, m); err != nil || !state.running {
			return pid, err
		}
		if err := sleep(ctx, stopPause); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("master %d outlives SIGKILL", pid)
}

// isMaster returns an error unless process pid is a postfix master.
func isMaster(ctx context.Context, m Machine, pid int) error {
	c := minikeeper.Command{Path: program(m.Postfix.Command, "ps"), Args: []string{"-o", "comm=", "-p", strconv.Itoa(pid)}}
	res, err := m.Run.Run(ctx, c)
	if err != nil {
		return err
	}
	// Linux prints the name, macOS the whole path.
	if name := strings.TrimSpace(string(res.Stdout)); filepath.Base(name) != "master" {
		return fmt.Errorf("process %d, which master.pid names, is %q and not a master", pid, name)
	}
	return nil
}

// readPID returns the process id in the file at path.
func readPID(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 1 {
		return 0, errors.New("master.pid names no process")
	}
	return pid, nil
}
