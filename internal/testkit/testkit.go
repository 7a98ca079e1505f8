// Package testkit holds what tests of several packages share: golden files,
// the folder of recorded samples, and the programs that a test talks to. It
// is imported by tests only.
package testkit

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files with what the code does now")

// Golden compares got with the file at path; -update rewrites the file.
func Golden(t testing.TB, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read golden file (-update writes it): %v", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// Peers skips the test unless all of programs are installed, and says which is
// not. Where MINIKEEPER_REQUIRE_PEERS=1 nothing is skipped: the test fails.
func Peers(t testing.TB, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			Missing(t, name+" is not installed")
		}
	}
}

// Missing skips the test for a reason that lies in the machine, or fails it
// where MINIKEEPER_REQUIRE_PEERS=1.
func Missing(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("MINIKEEPER_REQUIRE_PEERS") == "1" {
		t.Fatalf("MINIKEEPER_REQUIRE_PEERS=1, but %s", reason)
	}
	t.Skip(reason)
}

// Root skips the test unless it runs as root.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Missing(t, "this test needs root")
	}
}

// Samples returns the path of name among the recorded samples that lie beside
// the checkout, in shared/fixtures. They are other people's files, so they are
// not part of this repository; without them the test is skipped.
func Samples(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = parent
	}
	path := filepath.Join(filepath.Dir(dir), "shared", "fixtures", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Skipf("recorded sample %s is not beside this checkout", name)
	}
	return path
}
