// Package command runs programs on this machine. It is the only package that
// imports os/exec, so what minikeeper can start is read here: argument lists,
// never a shell line, with a fixed environment, a bounded memory of what the
// program printed, and a process group that dies with its context.
//
// It decides nothing: which programs may run is the keeper's allow-list.
package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/minikeeper/minikeeper"
)

// outputLimit bounds what is kept of each output stream. postqueue -j of a
// relay with 100,000 stuck messages is about 40 MB.
const outputLimit = 64 << 20

// usualFolders are searched after the given ones: launchd gives its daemons a
// PATH without the folders that Homebrew installs to.
const usualFolders = "/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin:/usr/local/sbin:/opt/homebrew/bin:/opt/homebrew/sbin"

// Local runs commands as children of this process.
type Local struct {
	path string
}

// NewLocal returns a Local that looks programs up in path, a list of folders
// as in the environment's PATH, and then in the usual folders.
func NewLocal(path string) Local {
	return Local{path: strings.Trim(path+":"+usualFolders, ":")}
}

var _ minikeeper.Runner = Local{}

// Run implements minikeeper.Runner. An output longer than 64 MiB is an error,
// and the program is killed.
func (l Local) Run(ctx context.Context, c minikeeper.Command) (minikeeper.Result, error) {
	if err := ctx.Err(); err != nil {
		return minikeeper.Result{}, fmt.Errorf("run %s: %w", c.Path, context.Cause(ctx))
	}
	program, err := l.find(c.Path)
	if err != nil {
		return minikeeper.Result{}, fmt.Errorf("run %s: %w", c.Path, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	stdout, stderr := bounded{full: cancel}, bounded{full: cancel}
	cmd := exec.CommandContext(ctx, program, c.Args...)
	cmd.Env = []string{"PATH=" + l.path, "LC_ALL=C", "HOME=" + os.Getenv("HOME")}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second

	err = cmd.Run()
	res := minikeeper.Result{Stdout: stdout.buf, Stderr: stderr.buf}
	if err == nil {
		return res, nil
	}
	if ctx.Err() != nil {
		return res, fmt.Errorf("run %s: %w", c.Path, context.Cause(ctx))
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		res.Exit = exit.ExitCode()
		return res, nil
	}
	return res, fmt.Errorf("run %s: %w", c.Path, err)
}

// find returns the program called name, which may be a path.
func (l Local) find(name string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) {
		return name, nil
	}
	for _, dir := range filepath.SplitList(l.path) {
		if !filepath.IsAbs(dir) {
			continue // a program of the working directory is nobody's intention
		}
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: no program of this name in %s", fs.ErrNotExist, l.path)
}

// errOutputTooLong is why a talkative program was killed.
var errOutputTooLong = fmt.Errorf("printed more than %d MiB", outputLimit>>20)

// bounded keeps what is written to it, and calls full when that is too much.
type bounded struct {
	buf  []byte
	full context.CancelCauseFunc
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.buf)+len(p) > outputLimit {
		b.full(errOutputTooLong)
		return 0, errOutputTooLong
	}
	b.buf = append(b.buf, p...)
	return len(p), nil
}
