package remediate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/remediate"
)

// with returns the remedy file with more keys.
func with(more string) string {
	return remedyFile + "    " + strings.ReplaceAll(more, "\n", "\n    ") + "\n"
}

// interrupting has each plan interrupt the mail service.
func interrupting(w *world) {
	w.with(func() {
		for _, target := range w.targets {
			target.plan.Interrupts = "smtp"
		}
	})
}

func TestGates(t *testing.T) {
	for _, tt := range []struct {
		name, file, server string
		spoil              func(w *world)
		gate               string
		told               []string // within the first 90s
	}{
		{name: "calendar", file: with("guards: {calendar: offpeak}"), gate: "calendar", spoil: func(w *world) { w.closed["offpeak"] = true }},
		{name: "has not fired for long", file: with("guards: {for: 5m}"), gate: "for"},
		{name: "no such server", file: remedyFile, server: "x", gate: "target", told: []string{"failed!"}},
		{name: "server cannot be reached", file: remedyFile, gate: "target", told: []string{"failed!"}, spoil: func(w *world) { delete(w.targets, "a") }},
		{name: "label is missing", file: strings.ReplaceAll(remedyFile, "postfix", `"{{ .service }}"`), gate: "template", told: []string{"failed!"}},
		{name: "target refuses to plan", file: remedyFile, gate: "plan", told: []string{"failed!"}, spoil: func(w *world) { w.targets["a"].planErr = errors.New("not in actions.allow") }},
		{name: "nothing to do", file: remedyFile, gate: "nothing", spoil: func(w *world) { w.targets["a"].plan.Steps = nil }},
		{name: "partner is down", file: remedyFile, gate: "serving", told: []string{"failed!"}, spoil: func(w *world) { w.targets["a"].plan.Interrupts, w.serving["b"] = "smtp", false }},
		{name: "partner must be healthy", file: with("guards: {partner: healthy}"), gate: "serving", told: []string{"failed!"}, spoil: func(w *world) { w.serving["b"] = false }},
		{name: "shadow", file: strings.ReplaceAll(remedyFile, "mode: auto", "mode: shadow"), gate: "shadow", told: []string{"alert!"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, tt.file, func(t *testing.T, w *world) {
				if tt.spoil != nil {
					w.with(func() { tt.spoil(w) })
				}
				server := "a"
				if tt.server != "" {
					server = tt.server
				}
				w.fire(server)
				w.sleep(90 * time.Second)
				w.want("history", w.history(), server+" restart-mail suppressed "+tt.gate) // once, and not at each look
				w.want("told", w.told(), tt.told...)
				if len(w.targets["b"].orders) > 0 || w.targets["a"] != nil && len(w.targets["a"].orders) > 0 {
					t.Error("a step was done")
				}
				if got := metric(t, w, `minikeeper_remediation_suppressed_total{remedy="restart-mail",gate="`+tt.gate+`"}`); got != 1 {
					t.Errorf("suppressed %v times, want 1", got)
				}
			})
		})
	}
}

func TestShadowShowsItsPlan(t *testing.T) {
	play(t, strings.ReplaceAll(remedyFile, "mode: auto", ""), func(_ *testing.T, w *world) {
		w.fire("a")
		w.sleep(5 * time.Second)
		if r := w.only(); len(r.Plan.Steps) != 1 || r.PlanHash == "" {
			w.t.Errorf("shadow run %+v", r)
		}
	})
}

func TestPairIsNeverActiveTogether(t *testing.T) {
	play(t, with("guards: {concurrent: {site: 4}}"), func(t *testing.T, w *world) {
		w.fire("b")
		w.fire("a")
		w.sleep(5 * time.Second)
		w.want("history", w.history(), "a restart-mail verifying", "b restart-mail suppressed partner")
		w.sleep(30 * time.Second)
		all := w.runs(remediate.Query{State: minikeeper.RunSucceeded, Server: "b"})
		first := w.runs(remediate.Query{State: minikeeper.RunSucceeded, Server: "a"})
		if len(all) != 1 || len(first) != 1 || all[0].Admitted.Before(first[0].Ended) {
			t.Errorf("b does not run after a: %q", w.history())
		}
	})
}

func TestInterruptingRunsWhilePartnerServes(t *testing.T) {
	play(t, remedyFile, func(_ *testing.T, w *world) {
		interrupting(w)
		w.fire("a")
		w.sleep(5 * time.Second)
		w.want("history", w.history(), "a restart-mail verifying")
	})
}

func TestConcurrency(t *testing.T) {
	play(t, with("guards: {concurrent: {total: 1}}"), func(_ *testing.T, w *world) {
		w.fire("a")
		w.sleep(2 * time.Second)
		w.fire("c")
		w.sleep(3 * time.Second)
		w.want("history", w.history(), "a restart-mail verifying", "c restart-mail suppressed concurrent")
	})
}

func TestAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		file      string
		interrupt bool
		want      string
	}{
		"does not interrupt":    {remedyFile, false, "c restart-mail verifying"},
		"interrupts":            {remedyFile, true, "c restart-mail awaiting_approval"},
		"interrupts, and may":   {with("guards: {alone: allow}"), true, "c restart-mail verifying"},
		"must always ask first": {with("guards: {alone: ask}"), false, "c restart-mail awaiting_approval"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, tt.file, func(_ *testing.T, w *world) {
				if tt.interrupt {
					interrupting(w)
				}
				w.fire("c")
				w.sleep(5 * time.Second)
				w.want("history", w.history(), tt.want)
			})
		})
	}
}

func TestApproval(t *testing.T) {
	play(t, strings.ReplaceAll(remedyFile, "mode: auto", "mode: propose"), func(t *testing.T, w *world) {
		w.fire("a")
		w.sleep(5 * time.Second)
		r := w.only()
		if r.State != minikeeper.RunAwaitingApproval || r.HoldsSlot {
			t.Fatalf("run %+v", r)
		}
		if err := w.engine.Approve(t.Context(), r.ID, "another plan", "alice"); !errors.Is(err, remediate.ErrWrongPlan) {
			t.Errorf("approval of another plan: %v", err)
		}
		w.with(func() { w.targets["a"].plan.Steps[0].Name = "something else" })
		if err := w.engine.Approve(t.Context(), r.ID, r.PlanHash, "alice"); err != nil {
			t.Fatal(err)
		}
		w.sleep(5 * time.Second)
		changed := w.only()
		if changed.State != minikeeper.RunAwaitingApproval || changed.PlanHash == r.PlanHash || len(w.targets["a"].orders) > 0 {
			t.Fatalf("a changed plan was not asked for again: %+v", changed)
		}
		if err := w.engine.Approve(t.Context(), r.ID, changed.PlanHash, "alice"); err != nil {
			t.Fatal(err)
		}
		w.sleep(20 * time.Second)
		if done := w.only(); done.State != minikeeper.RunSucceeded || done.Approver != "alice" {
			t.Errorf("run %+v", done)
		}
		w.want("told", w.told(), "approval!", "approval!", "started", "succeeded")
		if err := w.engine.Approve(t.Context(), r.ID, changed.PlanHash, "alice"); !errors.Is(err, remediate.ErrNotNow) {
			t.Errorf("approval of what has ended: %v", err)
		}
	})
}

func TestApprovedRunWaitsForItsGuards(t *testing.T) {
	play(t, with("guards: {approval: required, calendar: offpeak}"), func(t *testing.T, w *world) {
		w.fire("a")
		w.sleep(2 * time.Second)
		w.with(func() { w.closed["offpeak"] = true })
		r := w.only()
		if err := w.engine.Approve(t.Context(), r.ID, r.PlanHash, "alice"); err != nil {
			t.Fatal(err)
		}
		w.sleep(5 * time.Minute)
		if r = w.only(); r.State != minikeeper.RunPending || r.HoldsSlot || !strings.Contains(r.Reason, "calendar") {
			t.Errorf("run %+v", r)
		}
		w.with(func() { w.closed["offpeak"] = false })
		w.sleep(20 * time.Second)
		w.want("history", w.history(), "a restart-mail succeeded")
	})
}

func TestDenyAndExpiry(t *testing.T) {
	for name, decide := range map[string]func(w *world, r remediate.Record) error{
		"denied":  func(w *world, r remediate.Record) error { return w.engine.Deny(w.t.Context(), r.ID, "alice") },
		"expired": func(w *world, _ remediate.Record) error { w.sleep(24*time.Hour + 20*time.Minute); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			playFor(t, with("guards: {approval: required}"), 10*time.Minute, func(t *testing.T, w *world) {
				w.fire("a")
				w.sleep(11 * time.Minute)
				if err := decide(w, w.only()); err != nil {
					t.Fatal(err)
				}
				w.sleep(time.Hour)
				w.want("history", w.history(), "a restart-mail cancelled denied") // and it asks no more
			})
		})
	}
}

func TestPause(t *testing.T) {
	play(t, remedyFile, func(t *testing.T, w *world) {
		if err := w.engine.Pause(t.Context(), remediate.PauseSite, "london", "moving the rack", "alice"); err != nil {
			t.Fatal(err)
		}
		w.fire("a")
		w.fire("c")
		w.sleep(5 * time.Second)
		w.want("history", w.history(), "a restart-mail suppressed paused", "c restart-mail verifying")
		if err := w.engine.Resume(t.Context(), remediate.PauseSite, "london", "alice"); err != nil {
			t.Fatal(err)
		}
		w.sleep(30 * time.Second)
		if len(w.runs(remediate.Query{Server: "a", State: minikeeper.RunSucceeded})) != 1 {
			t.Errorf("after resume: %q", w.history())
		}
		if err := w.engine.Pause(t.Context(), "planet", "earth", "", "alice"); err == nil {
			t.Error("anything can be paused")
		}
	})
}

func TestManualStart(t *testing.T) {
	play(t, strings.ReplaceAll(remedyFile, "mode: auto", "mode: shadow"), func(t *testing.T, w *world) {
		labels := map[string]string{"server": "a"}
		p, err := w.engine.Preview(t.Context(), "restart-mail", labels, "alice")
		if err != nil || len(p.Plan.Steps) != 1 || p.Refusal != nil || p.Server != "a" {
			t.Errorf("preview %+v, %v", p, err)
		}
		if len(w.history()) > 0 {
			t.Errorf("a preview is in the journal: %q", w.history())
		}
		r, err := w.engine.Start(t.Context(), "restart-mail", labels, "alice")
		if err != nil || r.Asker != "alice" {
			t.Fatalf("run %+v, %v", r, err)
		}
		_, err = w.engine.Start(t.Context(), "restart-mail", map[string]string{"server": "b"}, "alice")
		if refusal, ok := errors.AsType[*remediate.Refusal](err); !ok || refusal.Gate != remediate.GateConcurrent {
			t.Errorf("a second run at the site: %v", err)
		}
		w.sleep(20 * time.Second)
		w.want("history", w.history(), "a restart-mail succeeded", "b restart-mail suppressed concurrent")
		if _, err := w.engine.Start(t.Context(), "restart", labels, "alice"); !errors.Is(err, remediate.ErrNoRemedy) {
			t.Errorf("unknown remedy: %v", err)
		}
	})
}

func TestHostileLabelStaysALabel(t *testing.T) {
	file := strings.ReplaceAll(remedyFile, `up{server="{{ .server }}"}`, `up{share="{{ .share }}"}`)
	play(t, file, func(t *testing.T, w *world) {
		w.fire("a", "share", "x\"} or vector(1) or up{share=\"\\`")
		w.sleep(5 * time.Second)
		want := `up{share="x\x22} or vector(1) or up{share=\x22\x5c\x60"} == 1`
		if got := w.claims[0].Expr; got != want {
			t.Errorf("expression\n got %s\nwant %s", got, want)
		}
	})
}

func TestNoJournalNoAction(t *testing.T) {
	play(t, remedyFile, func(t *testing.T, w *world) {
		w.stop()
		w.engine = nil
		broken := brokenJournal{w.journal}
		e := remediate.New(remediate.Deps{
			Journal: broken, Alerts: w, Prover: w, Services: w, Fleet: w, Calendars: w,
			PlanHash: func(minikeeper.Plan) string { return "p" }, Log: discard(),
		}, w.options, remedies(t, remedyFile))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		w.fire("a")
		if err := e.Run(ctx); err == nil {
			t.Error("an engine that could not take over ended well")
		}
		if len(w.targets["a"].orders) > 0 {
			t.Error("a step was done without a journal")
		}
		w.start()
	})
}

// brokenJournal can be read, but its disk is full.
type brokenJournal struct{ remediate.Journal }

func (brokenJournal) Update(context.Context, string, func(remediate.Tx) error) error {
	return errors.New("the disk is full")
}
