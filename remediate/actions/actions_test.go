package actions_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/command/commandtest"
	"github.com/minikeeper/minikeeper/internal/testkit"
	"github.com/minikeeper/minikeeper/remediate/actions"
)

// TestBuiltin demands of every action what people need to trust it: a name
// that is the key, a description, a page, and no plan from a wrong order.
func TestBuiltin(t *testing.T) {
	for key, action := range actions.Builtin() {
		t.Run(key, func(t *testing.T) {
			if action.Name() != key {
				t.Errorf("Name() = %q", action.Name())
			}
			d := action.Describe()
			if !strings.HasSuffix(d.Doc, ".") {
				t.Errorf("Doc %q is not a sentence", d.Doc)
			}
			page := readPage(t, key)
			for _, p := range d.Params {
				if p.Doc == "" || !strings.Contains(page, "`"+p.Name+"`") {
					t.Errorf("parameter %q is not explained", p.Name)
				}
			}
			_, err := action.Plan(t.Context(), actions.Machine{Run: commandtest.New(t)}, map[string]string{"colour": "blue"})
			if err == nil {
				t.Error("an unknown parameter was planned")
			}
			if _, err := action.Do(t.Context(), actions.Machine{Run: commandtest.New(t)}, minikeeper.Step{Op: "no such thing"}); err == nil {
				t.Error("an unknown operation succeeded")
			}
		})
	}
}

// readPage returns the page about an action and checks that it answers what
// people ask before they allow it.
func readPage(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "actions", name+".md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	if !strings.HasPrefix(page, "# "+name+"\n") {
		t.Errorf("docs/actions/%s.md does not begin with its name", name)
	}
	for _, question := range []string{"plan", "permission", "idempotent", "interrupt", "revert", "verif"} {
		if !strings.Contains(strings.ToLower(page), question) {
			t.Errorf("docs/actions/%s.md says nothing about %q", name, question)
		}
	}
	return page
}

func TestDescriptionCheck(t *testing.T) {
	d := actions.Description{Params: []actions.Param{{Name: "share", Doc: "which share", Required: true}, {Name: "depth"}}}
	tests := []struct {
		name string
		with map[string]string
		want string
	}{
		{"complete", map[string]string{"share": "casper", "depth": ""}, ""},
		{"template", map[string]string{"share": "{{ .share }}"}, ""},
		{"misspelt", map[string]string{"shar": "casper"}, `refused: unknown parameter "shar" (have depth, share)`},
		{"left out", nil, `refused: parameter "share" is missing: which share`},
		{"empty", map[string]string{"share": ""}, `refused: parameter "share" is missing: which share`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := d.Check(tt.with)
			if got := text(err); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if err != nil && !errors.Is(err, actions.ErrRefused) {
				t.Error("the error is not ErrRefused")
			}
		})
	}
}

func TestPlanHash(t *testing.T) {
	plan := minikeeper.Plan{Action: "reindex-nbi", Steps: []minikeeper.Step{{
		Name: "set the index", Op: "reindex", Args: map[string]string{"nbi": "caf\xe9.nbi", "to": "4711"}, Timeout: time.Minute,
	}}}
	hash := actions.PlanHash(plan)

	t.Run("is the same on the other end of a connection", func(t *testing.T) {
		data, err := json.Marshal(plan)
		if err != nil {
			t.Fatal(err)
		}
		var received minikeeper.Plan
		if err := json.Unmarshal(data, &received); err != nil {
			t.Fatal(err)
		}
		if got := actions.PlanHash(received); got != hash {
			t.Errorf("%s there, %s here", got, hash)
		}
	})
	t.Run("is another for whatever differs", func(t *testing.T) {
		changes := map[string]func(*minikeeper.Plan){
			"action":     func(p *minikeeper.Plan) { p.Action = "resync" },
			"interrupts": func(p *minikeeper.Plan) { p.Interrupts = "smtp" },
			"idempotent": func(p *minikeeper.Plan) { p.Idempotent = true },
			"argument":   func(p *minikeeper.Plan) { p.Steps[0].Args = map[string]string{"nbi": "x.nbi", "to": "4712"} },
			"timeout":    func(p *minikeeper.Plan) { p.Steps[0].Timeout++ },
			"command":    func(p *minikeeper.Plan) { p.Steps[0].Command = &minikeeper.Command{Path: "true"} },
			"steps":      func(p *minikeeper.Plan) { p.Steps = nil },
		}
		for name, change := range changes {
			other := plan
			other.Steps = slices.Clone(plan.Steps)
			change(&other)
			if actions.PlanHash(other) == hash {
				t.Errorf("a plan with another %s has the same hash", name)
			}
		}
	})
}

func TestCommandPlan(t *testing.T) {
	m := actions.Machine{Commands: map[string][]string{
		"restart-share": {"/usr/sbin/sharing", "-e", "casper; rm -rf /"},
		"empty":         {},
	}}
	for name, with := range map[string]map[string]string{
		"known":   {"command": "restart-share"},
		"unknown": {"command": "/bin/sh"},
		"empty":   {"command": "empty"},
		"unnamed": {},
		"extra":   {"command": "restart-share", "args": "-x"},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := actions.Builtin()["command"].Plan(t.Context(), m, with)
			testkit.Golden(t, filepath.Join("testdata", "command", name+".golden"), render(plan, err))
		})
	}
}

func TestFlushPlan(t *testing.T) {
	flush := actions.Builtin()["flush-mail-queue"]
	for name, m := range map[string]actions.Machine{
		"main":            {},
		"second-instance": {Postfix: actions.PostfixMachine{ConfigDir: "/etc/postfix-out", Command: map[string]string{"postqueue": "/opt/bin/postqueue"}}},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := flush.Plan(t.Context(), m, nil)
			testkit.Golden(t, filepath.Join("testdata", "flush-mail-queue", name+".golden"), render(plan, err))
		})
	}
}

// render shows a plan as people see it, with all that a guard judges.
func render(p minikeeper.Plan, err error) string {
	if err != nil {
		return fmt.Sprintf("error: %v\n", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s idempotent=%v interrupts=%q\n", p.Action, p.Idempotent, p.Interrupts)
	for i, s := range p.Steps {
		fmt.Fprintf(&b, "%d. %s (at most %v)\n", i, s, s.Timeout)
		if s.Revert != "" {
			fmt.Fprintf(&b, "   revert: %s\n", s.Revert)
		}
	}
	return b.String()
}

// text returns the message of err, or "".
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
