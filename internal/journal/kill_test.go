package journal_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/journal"
	"github.com/minikeeper/minikeeper/remediate"
)

// victimEnv names the journal that this test binary writes to until it is killed.
const victimEnv = "MINIKEEPER_TEST_JOURNAL_VICTIM"

func TestMain(m *testing.M) {
	if path := os.Getenv(victimEnv); path != "" {
		fmt.Fprintln(os.Stderr, victim(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// victim admits runs and does their steps as fast as it can, and prints the id
// of each once the journal says that it is on disk.
func victim(path string) error {
	ctx := context.Background()
	j, err := journal.Open(ctx, path)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		id := fmt.Sprintf("%d-%d", os.Getpid(), i)
		for stage, write := range []func(remediate.Tx) error{
			func(tx remediate.Tx) error { return tx.SaveRun(record(id, on(id))) },
			func(tx remediate.Tx) error {
				r := record(id, on(id), started(epoch))
				return errors.Join(tx.SaveRun(r), tx.Intend(id, 0, r.Plan.Steps[0], epoch))
			},
			func(tx remediate.Tx) error {
				return errors.Join(tx.Conclude(id, 0, minikeeper.StepResult{Start: epoch, End: epoch}),
					tx.SaveRun(record(id, on(id), started(epoch), ended(minikeeper.RunSucceeded, epoch))),
					tx.Tell(minikeeper.Event{Summary: id}))
			},
		} {
			if err := j.Update(ctx, "victim", write); err != nil {
				return err
			}
			fmt.Printf("%d %s\n", stage, id)
		}
	}
}

// TestKilled kills a process that writes, at any moment, again and again. What
// it was told to be on disk must be there, and nothing may be half there.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	acknowledged := make(map[string]int)
	for round := range 12 {
		killOne(t, path, time.Duration(30+round*17)*time.Millisecond, acknowledged)
		checkKilled(t, path, acknowledged)
	}
	if len(acknowledged) == 0 {
		t.Error("nothing was ever written")
	}
}

// killOne runs a victim for d after its first write, and notes what it printed.
func killOne(t *testing.T, path string, d time.Duration, acknowledged map[string]int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, first := bufio.NewScanner(out), true
	for lines.Scan() {
		var stage int
		var id string
		if n, _ := fmt.Sscanf(lines.Text(), "%d %s", &stage, &id); n == 2 {
			acknowledged[id] = stage
		}
		if first {
			first = false
			time.AfterFunc(d, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait() // it was killed
}

func checkKilled(t *testing.T, path string, acknowledged map[string]int) {
	t.Helper()
	j, err := journal.Open(t.Context(), path) // the lock went with the process
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if _, _, err := j.Verify(t.Context(), ""); err != nil {
		t.Error(err)
	}
	all := read(t, j, func(r remediate.Reader) ([]remediate.Record, error) { return r.Runs(remediate.Query{Limit: 1 << 20}) })
	found := make(map[string]int)
	for _, r := range all {
		found[r.ID] = stageOf(t, r)
	}
	for id, stage := range acknowledged {
		if got, ok := found[id]; !ok || got < stage {
			t.Errorf("run %s was at stage %d on disk before the kill, and is at %d (%v)", id, stage, got, ok)
		}
	}
	told, err := j.Undelivered(t.Context(), epoch, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	ended := 0
	for _, stage := range found {
		if stage == 2 {
			ended++
		}
	}
	if len(told) != ended {
		t.Errorf("%d runs ended, and people are told of %d", ended, len(told))
	}
}

// stageOf tells how far r came, and finds what is half there.
func stageOf(t *testing.T, r remediate.Record) int {
	t.Helper()
	switch {
	case r.State == minikeeper.RunPending && len(r.Steps) == 0:
		return 0
	case r.State == minikeeper.RunRunning && len(r.Steps) == 1 && r.Steps[0].Result == nil:
		return 1
	case r.State == minikeeper.RunSucceeded && len(r.Steps) == 1 && r.Steps[0].Result != nil:
		return 2
	default:
		t.Errorf("run %s is half there: %s", r.ID, strings.TrimSpace(fmt.Sprintf("%+v", r)))
		return -1
	}
}
