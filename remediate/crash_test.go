package remediate_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/remediate"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// hang is a step that nobody hears the end of.
func hang(ctx context.Context, _ minikeeper.Order, _ int) (minikeeper.StepResult, error) {
	<-ctx.Done()
	return minikeeper.StepResult{}, ctx.Err()
}

func TestCrashIsUnknownAndVerifiedFirst(t *testing.T) {
	play(t, remedyFile, func(t *testing.T, w *world) {
		w.with(func() { w.targets["a"].do = hang })
		w.fire("a")
		w.sleep(5 * time.Second)
		id := w.only().ID
		w.crash(func() { w.with(func() { w.targets["a"].running = id }) })
		w.sleep(5 * time.Minute) // longer than within: but the step is still being done
		r := w.only()
		if r.State != minikeeper.RunUnknown || !r.HoldsSlot || r.Steps[0].Result != nil {
			t.Errorf("after the crash: %+v", r)
		}
		w.with(func() { w.targets["a"].running, w.proven["a"] = "", true })
		w.sleep(15 * time.Second)
		r = w.only() // nothing was run again
		if r.State != minikeeper.RunSucceeded || r.HoldsSlot || len(w.targets["a"].orders) != 1 {
			t.Errorf("after the proof: %+v, %d orders", r, len(w.targets["a"].orders))
		}
	})
}

func TestCrashUnproven(t *testing.T) {
	for name, tt := range map[string]struct {
		idempotent bool
		want       []string
	}{
		"idempotent actions are tried again": {true, []string{
			"a restart-mail failed unproven", "a restart-mail suppressed cooldown", "a restart-mail succeeded",
		}},
		"others wait for a person": {false, []string{
			"a restart-mail failed unproven", "a restart-mail suppressed cooldown", "a restart-mail suppressed lost",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			playFor(t, remedyFile, 10*time.Second, func(t *testing.T, w *world) {
				w.with(func() {
					w.targets["a"].do = hang
					w.targets["a"].plan.Idempotent = tt.idempotent
				})
				w.fire("a")
				w.sleep(25 * time.Second)
				w.crash(func() { w.with(func() { w.targets["a"].do = nil }) })
				w.sleep(25 * time.Minute)
				w.want("history", w.history(), tt.want...)
				first := w.runs(remediate.Query{})[0]
				if tt.idempotent {
					return
				}
				if err := w.engine.Close(t.Context(), first.ID, "alice"); err != nil {
					t.Fatal(err)
				}
				w.sleep(time.Minute)
				w.want("after a person looked", w.history(), append(tt.want, "a restart-mail succeeded")...)
			})
		})
	}
}

func TestSilentServerKeepsItsSlot(t *testing.T) {
	playFor(t, remedyFile, 10*time.Second, func(t *testing.T, w *world) {
		w.with(func() { w.targets["a"].do = hang })
		w.fire("a")
		w.sleep(25 * time.Second)
		w.crash(func() { w.with(func() { w.targets["a"].away = errors.New("no route") }) })
		w.sleep(5 * time.Minute)
		r := w.runs(remediate.Query{State: minikeeper.RunFailed})[0]
		if !r.HoldsSlot || r.Gate != "unproven" {
			t.Errorf("run %+v", r)
		}
		w.fire("b")
		w.sleep(time.Minute)
		if n := len(w.targets["b"].orders); n > 0 {
			t.Error("the partner was touched while nobody knows about a")
		}
		w.with(func() { w.targets["a"].away = nil })
		w.sleep(time.Minute)
		if r := w.runs(remediate.Query{State: minikeeper.RunFailed})[0]; r.HoldsSlot {
			t.Error("the slot was not given back although the server says that no step runs")
		}
		if n := len(w.targets["b"].orders); n != 1 {
			t.Errorf("the partner had %d orders after that", n)
		}
	})
}

func TestCloseUnknown(t *testing.T) {
	play(t, remedyFile, func(t *testing.T, w *world) {
		w.with(func() {
			w.targets["a"].do = func(context.Context, minikeeper.Order, int) (minikeeper.StepResult, error) {
				return minikeeper.StepResult{}, errors.New("connection reset")
			}
			w.targets["a"].away = errors.New("no route")
		})
		w.fire("a")
		w.sleep(5 * time.Second)
		r := w.only()
		if r.State != minikeeper.RunUnknown || !strings.Contains(r.Reason, "connection reset") {
			t.Fatalf("a step without an answer: %+v", r)
		}
		if err := w.engine.Close(t.Context(), r.ID, "alice"); err != nil {
			t.Fatal(err)
		}
		w.sleep(5 * time.Second)
		r = w.runs(remediate.Query{State: minikeeper.RunFailed})[0]
		if r.HoldsSlot || r.Gate != "closed" {
			t.Errorf("run %+v", r)
		}
		if err := w.engine.Close(t.Context(), r.ID, "alice"); !errors.Is(err, remediate.ErrNotNow) {
			t.Errorf("closed twice: %v", err)
		}
	})
}

func TestShutdownWaitsForTheStep(t *testing.T) {
	play(t, remedyFile, func(t *testing.T, w *world) {
		w.fire("a")
		w.sleep(500 * time.Millisecond) // the step takes 2s
		w.stop()
		r := w.only()
		if len(r.Steps) != 1 || r.Steps[0].Result == nil || r.State != minikeeper.RunVerifying {
			t.Errorf("after the shutdown: %+v", r)
		}
		w.start()
		w.sleep(20 * time.Second)
		if r := w.only(); r.State != minikeeper.RunSucceeded || len(w.targets["a"].orders) != 1 {
			t.Errorf("after the next start: %+v", r)
		}
	})
}

func TestStepTimeout(t *testing.T) {
	play(t, remedyFile, func(t *testing.T, w *world) {
		w.with(func() { w.targets["a"].do = hang })
		w.fire("a")
		w.sleep(64 * time.Second)
		if r := w.only(); r.State != minikeeper.RunRunning {
			t.Fatalf("run is %s before its step's timeout", r.State)
		}
		w.sleep(3 * time.Second)
		if r := w.only(); r.State != minikeeper.RunUnknown {
			t.Errorf("run is %s after its step's timeout", r.State)
		}
	})
}
