package keeper_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/keeper"
	"github.com/minikeeper/minikeeper/remediate/actions"
)

// crashDir names the folder in which a child of this test begins a step that
// it will not live to end.
const crashDir = "MINIKEEPER_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		beginAndHang(dir)
	}
	os.Exit(m.Run())
}

// beginAndHang performs step 0 of run-1 and begins step 1.
func beginAndHang(dir string) {
	r := &repair{do: func(_ context.Context, s minikeeper.Step) (string, error) {
		if s.Name == "step 1" {
			fmt.Println("begun")
			time.Sleep(time.Minute)
		}
		return "done", nil
	}}
	k, err := keeper.New(config(dir, r))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for i := range 2 {
		if _, err := k.Do(context.Background(), order("run-1", 5), i); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
}

// TestKill kills a keeper in the middle of a step.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+dir)
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if said, err := bufio.NewReader(stdout).ReadString('\n'); said != "begun\n" {
		t.Fatalf("the child says %q, %v", said, err)
	}
	if _, err := keeper.New(config(dir, &repair{})); err == nil || !strings.Contains(err.Error(), "another process keeps this server") {
		t.Errorf("a second keeper of one server: %v", err)
	}
	if err := child.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()

	r := &repair{}
	k := open(t, dir, r)
	if got, err := k.Do(t.Context(), order("run-1", 5), 0); err != nil || got.Output != "done" {
		t.Errorf("the step that had ended: %+v, %v", got, err)
	}
	for range 2 {
		_, err := k.Do(t.Context(), order("run-1", 5), 1)
		if _, isRefusal := errors.AsType[keeper.Refused](err); !errors.Is(err, keeper.ErrInterrupted) || isRefusal {
			t.Errorf("the step that was interrupted: %v", err)
		}
	}
	if run, err := k.Running(t.Context()); run != "" || err != nil {
		t.Errorf("Running() = %q, %v", run, err)
	}
	_, err = k.Do(t.Context(), order("run-0", 4), 0)
	refused(t, err, "fence 4 is older than 5")
	if n := r.done.Load(); n != 0 {
		t.Errorf("%d operations were done after the crash", n)
	}
	if _, err := k.Do(t.Context(), order("run-2", 6), 0); err != nil {
		t.Errorf("a new run: %v", err)
	}
}

// TestPowerCut cuts the record at and within its lines, as a machine does that
// stops while it writes, and checks that a step is done again only if its intent
// never was on disk.
func TestPowerCut(t *testing.T) {
	dir := t.TempDir()
	k := open(t, dir, &repair{})
	for i := range 2 {
		if _, err := k.Do(t.Context(), order("run-1", 5), i); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "steps.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) + 1 {
		atLine := n == 0 || whole[n-1] == '\n'
		garbage := []string{"", "\x00\x00\x00"}
		if !atLine {
			garbage = garbage[:1]
			if n%23 != 0 && whole[n] != '\n' { // not each byte of a long line: each is a dozen fsyncs
				continue
			}
		}
		for _, after := range garbage {
			dir := t.TempDir()
			rest := append(bytes.Clone(whole[:n]), after...)
			if err := os.WriteFile(filepath.Join(dir, "steps.jsonl"), rest, 0o600); err != nil {
				t.Fatal(err)
			}
			lines := bytes.Count(whole[:n], []byte("\n")) // accepted, intent 0, outcome 0, intent 1, outcome 1
			r := &repair{}
			k := open(t, dir, r)
			_, err := k.Do(t.Context(), order("run-1", 5), 0)
			began := r.done.Load() == 1
			if wantBegin := lines < 2; began != wantBegin {
				t.Fatalf("cut at %d (%d lines): begun=%v, want %v", n, lines, began, wantBegin)
			}
			if interrupted := errors.Is(err, keeper.ErrInterrupted); interrupted != (lines == 2) {
				t.Fatalf("cut at %d (%d lines): %v", n, lines, err)
			}
			// What is written after the cut must be readable.
			k = reopen(t, k, dir, r)
			if _, err := k.Do(t.Context(), order("run-2", 6), 0); err != nil {
				t.Fatalf("cut at %d: the next run: %v", n, err)
			}
			reopen(t, k, dir, r)
		}
	}
}

func TestCorruptRecord(t *testing.T) {
	for name, tt := range map[string]struct{ content, want string }{
		"not JSON":      {"{\"accepted\":{\"run\":\"a\"}}\nnonsense\n", "steps.jsonl:2: invalid character"},
		"not accepted":  {"{\"intent\":{\"run\":\"a\",\"step\":0}}\n", `steps.jsonl:1: intent of run "a", which was not accepted`},
		"not begun":     {"{\"accepted\":{\"run\":\"a\"}}\n{\"outcome\":{\"run\":\"a\",\"step\":0}}\n", `steps.jsonl:2: outcome of step 0 of run "a", which was not begun`},
		"unknown run":   {"{\"outcome\":{\"run\":\"b\",\"step\":0}}\n", `steps.jsonl:1: outcome of step 0 of run "b", which was not begun`},
		"says nothing":  {"{}\n", "steps.jsonl:1: the line says nothing"},
		"from a future": {"{\"pause\":{}}\n", "steps.jsonl:1: the line says nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "steps.jsonl"), []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 { // and the failure leaves no lock behind
				if _, err := keeper.New(config(dir, &repair{})); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %s", err, tt.want)
				}
			}
		})
	}
}

// TestRecordIsBounded has more runs than the record keeps.
func TestRecordIsBounded(t *testing.T) {
	const runs = 520
	var b bytes.Buffer
	for i := range runs {
		fmt.Fprintf(&b, `{"accepted":{"run":"run-%d","fence":%d,"action":"repair","plan_hash":%q,"plan":{"steps":[{"name":"x","timeout":1}]}}}`+"\n", i, i+1, actions.PlanHash(plan(2)))
		fmt.Fprintf(&b, `{"intent":{"run":"run-%d","step":0,"at":"2026-11-22T03:00:00Z"}}`+"\n", i)
		fmt.Fprintf(&b, `{"outcome":{"run":"run-%d","step":0,"result":{"output":"out %d"}}}`+"\n", i, i)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "steps.jsonl")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &repair{}
	k := open(t, dir, r)
	k = reopen(t, k, dir, r)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := bytes.Count(data, []byte("\n")); got != 3*500 {
		t.Errorf("the record has %d lines, want %d", got, 3*500)
	}
	_, err = k.Do(t.Context(), order("run-0", 1), 0)
	refused(t, err, "fence 1 is older than 520")
	if got, err := k.Do(t.Context(), order("run-519", 520), 0); err != nil || got.Output != "out 519" {
		t.Errorf("got %+v, %v", got, err)
	}
}
