package command_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/command"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	program(t, dir, "greet", "#!/bin/sh\necho \"hello $1\"; echo oops >&2; exit 3\n")

	res, err := command.NewLocal(dir).Run(t.Context(), minikeeper.Command{Path: "greet", Args: []string{"a b; exit 9"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(res.Stdout), "hello a b; exit 9\n"; got != want {
		t.Errorf("stdout %q, want %q: arguments must not meet a shell", got, want)
	}
	if string(res.Stderr) != "oops\n" || res.Exit != 3 {
		t.Errorf("stderr %q exit %d, want %q and 3", res.Stderr, res.Exit, "oops\n")
	}
}

func TestRunSearchesGivenFoldersFirst(t *testing.T) {
	dir := t.TempDir()
	program(t, dir, "true", "#!/bin/sh\necho ours\n")

	res, err := command.NewLocal(dir).Run(t.Context(), minikeeper.Command{Path: "true"})
	if err != nil || string(res.Stdout) != "ours\n" {
		t.Errorf("got %q, %v; want our own program", res.Stdout, err)
	}
}

func TestRunUnknownProgram(t *testing.T) {
	_, err := command.NewLocal("").Run(t.Context(), minikeeper.Command{Path: "no-such-program-here"})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "no-such-program-here") {
		t.Errorf("got %v, want an fs.ErrNotExist that names the program", err)
	}
}

// A grandchild that holds the pipe open must not hold us.
func TestRunKillsTheWholeGroup(t *testing.T) {
	dir := t.TempDir()
	program(t, dir, "stuck", "#!/bin/sh\nsleep 60 &\nsleep 60\n")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()

	start := time.Now()
	_, err := command.NewLocal(dir).Run(ctx, minikeeper.Command{Path: "stuck"})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want deadline exceeded", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v: the grandchild was waited for", took)
	}
}

func TestRunEndlessOutput(t *testing.T) {
	_, err := command.NewLocal("").Run(t.Context(), minikeeper.Command{Path: "yes"})
	if err == nil || !strings.Contains(err.Error(), "printed more than") {
		t.Errorf("got %v, want an error about too much output", err)
	}
}

func program(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
