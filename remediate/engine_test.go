package remediate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/remediate"
)

func TestHealsAndProves(t *testing.T) {
	play(t, remedyFile, func(t *testing.T, w *world) {
		w.targets["a"].skew = -time.Hour // its clock is wrong, which must not matter
		w.fire("a")
		w.sleep(5 * time.Second)
		r := w.only()
		if r.State != minikeeper.RunVerifying || !r.HoldsSlot || len(r.Steps) != 1 || r.Steps[0].Result == nil {
			t.Errorf("after the step: %+v", r)
		}
		w.sleep(20 * time.Second)
		w.want("history", w.history(), "a restart-mail succeeded")
		w.resolve("a")
		w.sleep(5 * time.Second)
		w.want("told", w.told(), "started", "succeeded")

		r = w.only()
		if took := r.Ended.Sub(r.Acted); took < 10*time.Second || took > 13*time.Second {
			t.Errorf("proven after %s, and it had to be stable for 10s", took)
		}
		if r.HoldsSlot || r.Fence == 0 || r.With["service"] != "postfix" || r.Site != "london" {
			t.Errorf("run %+v", r)
		}
		c := w.claims[0]
		if c.Expr != `up{server="a"} == 1` || c.Server != "a" || c.Measurements[0].Start.Before(c.After) || c.After.Before(r.Steps[0].Intent) {
			t.Errorf("claim %+v", c)
		}
		if o := w.targets["a"].orders[0]; o.Run != r.ID || o.Fence != r.Fence || o.PlanHash != r.PlanHash {
			t.Errorf("order %+v for run %+v", o, r)
		}
	})
}

func TestUnprovenFails(t *testing.T) {
	for name, spoil := range map[string]func(w *world){
		"the expression never holds": func(w *world) { w.targets["a"].do = doNothing },
		"the samples are old":        func(w *world) { w.stale = true },
		"the target does not answer": func(w *world) { w.targets["a"].away = errors.New("connection refused") },
		"it was measured before": func(w *world) {
			w.targets["a"].do = func(context.Context, minikeeper.Order, int) (minikeeper.StepResult, error) {
				w.with(func() { w.proven["a"] = true })
				return minikeeper.StepResult{End: time.Now().Add(time.Hour)}, nil // so all it measures is too old
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, remedyFile, func(t *testing.T, w *world) {
				w.with(func() { spoil(w) })
				w.fire("a")
				w.sleep(2*time.Minute + 10*time.Second)
				if name == "it was measured before" {
					// The measurements count as failed, which the prover judges.
					if c := w.claims[0]; c.Measurements[0].Error == "" {
						t.Errorf("an old measurement is offered as evidence: %+v", c)
					}
					return
				}
				r := w.runs(remediate.Query{State: minikeeper.RunFailed})[0]
				if r.Gate != "unproven" || r.HoldsSlot {
					t.Errorf("run %+v", r)
				}
				if took := r.Ended.Sub(r.Acted); took < 2*time.Minute || took > 2*time.Minute+2*time.Second {
					t.Errorf("gave up after %s, want 2m", took)
				}
				w.want("told", w.told(), "started", "failed!")
			})
		})
	}
}

func doNothing(context.Context, minikeeper.Order, int) (minikeeper.StepResult, error) {
	return minikeeper.StepResult{Start: time.Now(), End: time.Now()}, nil
}

func TestEvidenceMustHoldWithoutBreak(t *testing.T) {
	play(t, remedyFile, func(t *testing.T, w *world) {
		w.fire("a")
		w.sleep(8 * time.Second)
		w.with(func() { w.proven["a"] = false })
		w.sleep(2 * time.Second)
		w.with(func() { w.proven["a"] = true })
		w.sleep(5 * time.Second)
		if r := w.only(); r.State != minikeeper.RunVerifying {
			t.Errorf("run is %s although the evidence broke 5s ago", r.State)
		}
		w.sleep(10 * time.Second)
		if r := w.only(); r.State != minikeeper.RunSucceeded {
			t.Errorf("run is %s", r.State)
		}
	})
}

func TestFailingStep(t *testing.T) {
	play(t, remedyFile, func(t *testing.T, w *world) {
		w.with(func() {
			w.targets["a"].plan.Steps = append(w.targets["a"].plan.Steps, minikeeper.Step{Name: "never", Op: "never"})
			w.targets["a"].do = func(context.Context, minikeeper.Order, int) (minikeeper.StepResult, error) {
				return minikeeper.StepResult{Start: time.Now(), End: time.Now(), Error: "exit 75"}, nil
			}
		})
		w.fire("a")
		w.sleep(5 * time.Second)
		r := w.runs(remediate.Query{State: minikeeper.RunFailed})[0]
		if r.Gate != "step" || !strings.Contains(r.Reason, "exit 75") || len(r.Steps) != 1 {
			t.Errorf("run %+v", r)
		}
		w.want("told", w.told(), "started", "failed!")
	})
}

func TestAttemptsCooldownAndCircuit(t *testing.T) {
	playFor(t, remedyFile, 5*time.Minute, func(t *testing.T, w *world) {
		w.with(func() { w.targets["a"].do = doNothing })
		w.fire("a")
		w.sleep(2 * time.Hour)
		// Three runs 15 minutes apart, then the attempts are used up. The third
		// failure in a row opened the circuit.
		w.want("history", w.history(),
			"a restart-mail failed unproven", "a restart-mail suppressed cooldown",
			"a restart-mail failed unproven", "a restart-mail failed unproven",
			"a restart-mail suppressed attempts")
		w.want("told", w.told(), "started", "failed!", "started", "failed!", "started", "failed!", "failed!")
		all := w.runs(remediate.Query{State: minikeeper.RunFailed})
		for i := range all[1:] {
			if gap := all[i+1].Started.Sub(all[i].Ended); gap < 15*time.Minute {
				t.Errorf("only %s between two runs", gap)
			}
		}
		w.sleep(24 * time.Hour) // attempts are free again, but the remedy now has to ask
		last := w.history()[len(w.history())-1]
		if last != "a restart-mail awaiting_approval" {
			t.Errorf("after the circuit opened: %q", w.history())
		}
	})
}

func TestPersonLiftsTheCap(t *testing.T) {
	playFor(t, remedyFile, 5*time.Minute, func(t *testing.T, w *world) {
		w.with(func() { w.targets["a"].do = doNothing })
		w.fire("a")
		w.sleep(2 * time.Hour)
		if got := metric(t, w, `minikeeper_remedy_circuit_open{remedy="restart-mail"}`); got != 1 {
			t.Errorf("circuit open %v", got)
		}
		if got := metric(t, w, `minikeeper_remedy_mode{remedy="restart-mail",mode="propose"}`); got != 1 {
			t.Errorf("mode propose %v", got)
		}
		if err := w.engine.Resume(t.Context(), remediate.PauseRemedy, "restart-mail", "alice"); err != nil {
			t.Fatal(err)
		}
		if got := metric(t, w, `minikeeper_remedy_mode{remedy="restart-mail",mode="auto"}`); got != 1 {
			t.Errorf("mode auto %v", got)
		}
		w.sleep(23 * time.Hour)
		if n := len(w.runs(remediate.Query{State: minikeeper.RunFailed})); n <= 3 {
			t.Errorf("%d runs, want a fourth without asking", n)
		}
	})
}

// metric returns the value of the runner's own sample that prints as name.
func metric(t *testing.T, w *world, name string) float64 {
	t.Helper()
	samples, err := w.engine.Metrics().Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		if text, _, _ := strings.Cut(s.String(), " "); text == name {
			return s.Value
		}
	}
	t.Fatalf("no sample %s in %v", name, samples)
	return 0
}

func TestResolvedAlertStopsWaitingRun(t *testing.T) {
	play(t, remedyFile+"    guards: {approval: required}\n", func(t *testing.T, w *world) {
		w.fire("a")
		w.sleep(5 * time.Second)
		w.want("history", w.history(), "a restart-mail awaiting_approval")
		w.resolve("a")
		w.sleep(5 * time.Second)
		w.want("history", w.history(), "a restart-mail cancelled")
		w.want("told", w.told(), "approval!", "resolved")
		if len(w.targets["a"].orders) != 0 {
			t.Error("a step was done")
		}
	})
}

func TestEscalation(t *testing.T) {
	play(t, remedyFile+`    escalate: [restart-all]
  - name: restart-all
    action: resync
    target: "{{ .server }}"
    mode: auto
    verify: {expr: 'up{server="{{ .server }}"} == 1', within: 1m}
`, func(t *testing.T, w *world) {
		w.with(func() {
			w.targets["a"].do = func(ctx context.Context, o minikeeper.Order, i int) (minikeeper.StepResult, error) {
				w.with(func() { w.proven["a"] = o.Action == "resync" })
				return doNothing(ctx, o, i)
			}
		})
		w.fire("a")
		w.sleep(2*time.Minute + 30*time.Second)
		w.want("history", w.history(), "a restart-mail failed unproven", "a restart-all succeeded")
		w.want("told", w.told(), "started", "failed", "started", "succeeded")
	})
}

func TestTellsWhenTheLadderIsUsedUp(t *testing.T) {
	play(t, remedyFile+`    escalate: [restart-all]
  - name: restart-all
    action: resync
    target: "{{ .server }}"
    mode: auto
    verify: {expr: 'up{server="{{ .server }}"} == 1', within: 1m}
`, func(t *testing.T, w *world) {
		w.with(func() { w.targets["a"].do = doNothing })
		w.fire("a")
		w.sleep(4 * time.Minute)
		w.want("told", w.told(), "started", "failed", "started", "failed!")
	})
}

// refusal is how a keeper says that it did nothing.
type refusal struct{}

func (refusal) Error() string     { return "the plan is another one by now" }
func (refusal) NothingDone() bool { return true }

func TestRefusedStepIsNotUnknown(t *testing.T) {
	play(t, remedyFile, func(t *testing.T, w *world) {
		w.with(func() {
			w.targets["a"].do = func(context.Context, minikeeper.Order, int) (minikeeper.StepResult, error) {
				return minikeeper.StepResult{}, fmt.Errorf("ask a: %w", refusal{})
			}
		})
		w.fire("a")
		w.sleep(5 * time.Second)
		r := w.runs(remediate.Query{State: minikeeper.RunFailed})[0]
		if r.Gate != "refused" || r.HoldsSlot || !r.Lost.IsZero() || r.Steps[0].Result == nil {
			t.Errorf("run %+v", r)
		}
		w.want("told", w.told(), "started", "failed!")
	})
}
