package actions_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/command"
	"github.com/minikeeper/minikeeper/internal/keeper"
	"github.com/minikeeper/minikeeper/internal/postfix/instance"
	"github.com/minikeeper/minikeeper/internal/postfix/postfixtest"
	"github.com/minikeeper/minikeeper/remediate/actions"
)

// TestRestartRealPostfix breaks a real postfix in several ways, and has a
// keeper carry out every step of what restart-service plans for it.
func TestRestartRealPostfix(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		hurt      func(t *testing.T, relay *instance.Instance)
		rung      string
		steps     int
		interrupt string
		newMaster bool
	}{
		{name: "its master was killed", hurt: kill, steps: 1, newMaster: true},
		{name: "a rung for a running one and its master was killed", hurt: kill, rung: "flush", steps: 1, newMaster: true},
		{name: "it left the pid of another process", hurt: func(t *testing.T, relay *instance.Instance) {
			kill(t, relay)
			file := filepath.Join(filepath.Dir(relay.ConfigDir), "spool", "pid", "master.pid")
			if err := os.WriteFile(file, []byte("1\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, steps: 1, newMaster: true},
		{name: "its master hangs", hurt: hang, steps: 5, interrupt: "smtp", newMaster: true},
		{name: "its master and its log hang", hurt: func(t *testing.T, relay *instance.Instance) {
			hang(t, relay)
			silence(t, relay)
		}, steps: 2, interrupt: "smtp", newMaster: true},
		{name: "nothing is wrong", hurt: func(*testing.T, *instance.Instance) {}, steps: 5, interrupt: "smtp", newMaster: true},
		{name: "nothing is wrong and a reload is asked for", hurt: func(*testing.T, *instance.Instance) {}, rung: "reload", steps: 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // those that hang do nothing but wait
			relay := postfixtest.Start(t, "")
			before := master(t, relay)
			k := keeperOf(t, relay)
			order := minikeeper.Order{
				Run: "run-1", Fence: 1, Action: "restart-service",
				With: map[string]string{"service": "postfix", "rung": tt.rung},
			}
			tt.hurt(t, relay)
			plan := mustPlan(t, k, order)
			if len(plan.Steps) != tt.steps || plan.Interrupts != tt.interrupt {
				t.Errorf("unexpected plan:\n%s", render(plan, nil))
			}
			order.PlanHash = actions.PlanHash(plan)
			for i, step := range plan.Steps {
				got, err := k.Do(t.Context(), order, i)
				if err != nil || got.Error != "" {
					t.Fatalf("%s: %+v, %v", step, got, err)
				}
				t.Logf("%s: %q after %v", step, got.Output, got.End.Sub(got.Start).Round(time.Millisecond))
			}
			if !relay.Alive(t.Context()) {
				t.Fatal("postfix does not run")
			}
			if after := master(t, relay); (after != before) != tt.newMaster {
				t.Errorf("master was %d and is %d", before, after)
			}
			postfixtest.Send(t, relay, "a@example.com", "b@example.com", "it takes mail")
		})
	}
}

// TestBrokenConfiguration checks that a relay that runs is not stopped when it
// would not start again.
func TestBrokenConfiguration(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"main.cf", "master.cf"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := postfixtest.Start(t, "")
			k := keeperOf(t, relay)
			order := minikeeper.Order{
				Run: "run-1", Fence: 1, Action: "restart-service",
				With: map[string]string{"service": "postfix"},
			}
			order.PlanHash = actions.PlanHash(mustPlan(t, k, order))
			path := filepath.Join(relay.ConfigDir, name)
			if err := os.Rename(path, path+".away"); err != nil {
				t.Fatal(err)
			}
			got, err := k.Do(t.Context(), order, 0)
			if err := os.Rename(path+".away", path); err != nil {
				t.Fatal(err)
			}
			if err == nil && got.Error == "" {
				t.Error("nothing is wrong")
			}
			if _, err := k.Do(t.Context(), order, 1); err == nil {
				t.Error("the run went on")
			}
			if !relay.Alive(t.Context()) {
				t.Error("the relay was stopped")
			}
		})
	}
}

// TestFlushRealPostfix flushes a queue that is there and one that is not.
func TestFlushRealPostfix(t *testing.T) {
	t.Parallel()
	relay := postfixtest.Start(t, "")
	k := keeperOf(t, relay)
	order := minikeeper.Order{Run: "run-1", Fence: 1, Action: "flush-mail-queue"}
	order.PlanHash = actions.PlanHash(mustPlan(t, k, order))
	if got, err := k.Do(t.Context(), order, 0); err != nil || got.Error != "" {
		t.Errorf("got %+v, %v", got, err)
	}
	kill(t, relay)
	order.Run, order.Fence = "run-2", 2
	if got, err := k.Do(t.Context(), order, 0); err != nil || !strings.Contains(got.Error, "Mail system is down") && !strings.Contains(got.Error, "mail system is down") {
		t.Errorf("got %+v, %v", got, err)
	}
}

// keeperOf returns a keeper of the machine whose only mail system is relay.
func keeperOf(t *testing.T, relay *instance.Instance) *keeper.Keeper {
	t.Helper()
	k, err := keeper.New(keeper.Config{
		Machine: actions.Machine{
			Run:     command.NewLocal(os.Getenv("PATH")),
			GOOS:    "linux",
			Postfix: actions.PostfixMachine{ConfigDir: relay.ConfigDir},
		},
		Actions:  actions.Builtin(),
		Allow:    []string{"restart-service", "flush-mail-queue"},
		StateDir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return k
}

func mustPlan(t *testing.T, k *keeper.Keeper, o minikeeper.Order) minikeeper.Plan {
	t.Helper()
	plan, err := k.Plan(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func master(t *testing.T, relay *instance.Instance) int {
	t.Helper()
	pid, err := relay.PID()
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// hang stops relay's master as a bug might.
func hang(t *testing.T, relay *instance.Instance) {
	t.Helper()
	pid := master(t, relay)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) }) // it would outlive a test that fails
}

// silence ends the processes of relay's master, of which one takes its log,
// and fills the log's socket. From then on postfix's own commands wait.
func silence(t *testing.T, relay *instance.Instance) {
	t.Helper()
	children := exec.CommandContext(t.Context(), "ps", "-o", "pid=", "--ppid", strconv.Itoa(master(t, relay)))
	out, err := children.Output()
	if err != nil {
		t.Fatal(err)
	}
	for field := range strings.FieldsSeq(string(out)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := command.NewLocal(os.Getenv("PATH")).Run(ctx, minikeeper.Command{Path: "postfix", Args: []string{"-c", relay.ConfigDir, "status"}})
		cancel()
		if err != nil {
			return
		}
	}
	t.Skip("this postfix does not log through its master")
}

// kill kills relay's master and waits until it is gone.
func kill(t *testing.T, relay *instance.Instance) {
	t.Helper()
	if err := relay.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if !relay.Alive(t.Context()) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("master outlives SIGKILL")
}
