package keeper_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/command/commandtest"
	"github.com/minikeeper/minikeeper/internal/keeper"
	"github.com/minikeeper/minikeeper/remediate/actions"
)

// repair is an action whose plan and doing a test decides.
type repair struct {
	plan func(with map[string]string) (minikeeper.Plan, error)
	do   func(ctx context.Context, s minikeeper.Step) (string, error)
	done atomic.Int32 // operations begun
}

func (*repair) Name() string                  { return "repair" }
func (*repair) Describe() actions.Description { return actions.Description{} }

func (r *repair) Plan(_ context.Context, _ actions.Machine, with map[string]string) (minikeeper.Plan, error) {
	if r.plan != nil {
		return r.plan(with)
	}
	return plan(2), nil
}

func (r *repair) Do(ctx context.Context, _ actions.Machine, s minikeeper.Step) (string, error) {
	r.done.Add(1)
	if r.do != nil {
		return r.do(ctx, s)
	}
	return "did " + s.Name, nil
}

// plan returns a plan of n operations.
func plan(n int) minikeeper.Plan {
	p := minikeeper.Plan{Action: "repair", Idempotent: true}
	for i := range n {
		p.Steps = append(p.Steps, minikeeper.Step{Name: fmt.Sprintf("step %d", i), Op: "fix", Timeout: time.Minute})
	}
	return p
}

// order returns the order of a run with plan(2).
func order(run string, fence int64) minikeeper.Order {
	return minikeeper.Order{Run: run, Fence: fence, Action: "repair", PlanHash: actions.PlanHash(plan(2))}
}

// open returns a keeper of dir that may repair with r. It is closed when the
// test ends, if not before.
func open(t *testing.T, dir string, r *repair) *keeper.Keeper {
	t.Helper()
	k, err := keeper.New(config(dir, r))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close(context.Background()) })
	return k
}

func config(dir string, r *repair) keeper.Config {
	return keeper.Config{
		Actions:  map[string]actions.Action{"repair": r, "forbidden": r},
		Allow:    []string{"repair"},
		StateDir: dir,
	}
}

// reopen closes k as a process does that ends, and returns the next one.
func reopen(t *testing.T, k *keeper.Keeper, dir string, r *repair) *keeper.Keeper {
	t.Helper()
	if err := k.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return open(t, dir, r)
}

// refused fails the test unless err is a refusal that says want.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	if _, ok := errors.AsType[keeper.Refused](err); !ok {
		t.Fatalf("got %v, want a refusal", err)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("refused with %q, want %q", err, want)
	}
}

func TestPlan(t *testing.T) {
	broken := errors.New("read the machine: permission denied")
	tests := []struct {
		name    string
		order   minikeeper.Order
		plan    func(map[string]string) (minikeeper.Plan, error)
		refusal string
		err     string
	}{
		{name: "allowed", order: minikeeper.Order{Action: "repair"}},
		{
			name: "not allowed", order: minikeeper.Order{Action: "forbidden"},
			refusal: `action "forbidden" is not allowed on this server (allowed: repair)`,
		},
		{
			name: "no such action", order: minikeeper.Order{Action: "reboot"},
			refusal: `action "reboot" is not allowed on this server (allowed: repair)`,
		},
		{
			name: "wrong parameter", order: minikeeper.Order{Action: "repair", With: map[string]string{"x": "y"}},
			plan: func(with map[string]string) (minikeeper.Plan, error) {
				return minikeeper.Plan{}, actions.Description{}.Check(with)
			},
			refusal: `unknown parameter "x" (have none)`,
		},
		{
			name: "unreadable machine", order: minikeeper.Order{Action: "repair"},
			plan: func(map[string]string) (minikeeper.Plan, error) { return minikeeper.Plan{}, broken },
			err:  broken.Error(),
		},
		{
			name: "panic", order: minikeeper.Order{Action: "repair"},
			plan: func(map[string]string) (minikeeper.Plan, error) { panic("nil map") },
			err:  "plan repair: panic: nil map",
		},
		{
			name: "step without a timeout", order: minikeeper.Order{Action: "repair"},
			plan: func(map[string]string) (minikeeper.Plan, error) {
				return minikeeper.Plan{Steps: []minikeeper.Step{{Name: "wait", Op: "wait"}}}, nil
			},
			err: "plan repair: step 0 (wait) has no timeout",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := open(t, t.TempDir(), &repair{plan: tt.plan})
			got, err := k.Plan(t.Context(), tt.order)
			switch {
			case tt.refusal != "":
				refused(t, err, tt.refusal)
			case tt.err != "":
				if _, ok := errors.AsType[keeper.Refused](err); ok || err == nil || err.Error() != tt.err {
					t.Errorf("got %v, want %s", err, tt.err)
				}
			case err != nil || cmp.Diff(plan(2), got) != "":
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestNewRefusesUnknownAction(t *testing.T) {
	cfg := config(t.TempDir(), &repair{})
	cfg.Allow = []string{"reboot"}
	if _, err := keeper.New(cfg); err == nil || err.Error() != `allow action "reboot": there is no such action (have forbidden, repair)` {
		t.Errorf("got %v", err)
	}
}

func TestConfigure(t *testing.T) {
	r := &repair{}
	k := open(t, t.TempDir(), r)
	if _, err := k.Do(t.Context(), order("run-1", 1), 0); err != nil {
		t.Fatal(err)
	}
	if err := k.Configure(actions.Machine{}, []string{"reboot"}); err == nil {
		t.Error("an action that does not exist may be done")
	}
	if err := k.Configure(actions.Machine{}, []string{"forbidden"}); err != nil {
		t.Fatal(err)
	}
	_, err := k.Plan(t.Context(), minikeeper.Order{Action: "repair"})
	refused(t, err, "(allowed: forbidden)")
	_, err = k.Do(t.Context(), order("run-1", 1), 1)
	refused(t, err, "(allowed: forbidden)")
	if got, err := k.Do(t.Context(), order("run-1", 1), 0); err != nil || got.Output != "did step 0" {
		t.Errorf("what was done before is not told: %+v, %v", got, err)
	}
	if err := k.Configure(actions.Machine{Run: commandtest.New(t)}, []string{"repair"}); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Do(t.Context(), order("run-1", 1), 1); err != nil {
		t.Error(err)
	}
}

func TestDoIsDoneOnce(t *testing.T) {
	dir, r := t.TempDir(), &repair{}
	k := open(t, dir, r)
	o := order("run-1", 7)

	first, err := k.Do(t.Context(), o, 0)
	if err != nil || first.Output != "did step 0" || first.Error != "" || first.End.Before(first.Start) {
		t.Fatalf("got %+v, %v", first, err)
	}
	again, err := k.Do(t.Context(), o, 0)
	if diff := cmp.Diff(first, again); err != nil || diff != "" {
		t.Errorf("asked again: %v %s", err, diff)
	}
	k = reopen(t, k, dir, r)
	again, err = k.Do(t.Context(), o, 0)
	if diff := cmp.Diff(first, again); err != nil || diff != "" {
		t.Errorf("asked again after a restart: %v %s", err, diff)
	}
	if second, err := k.Do(t.Context(), o, 1); err != nil || second.Output != "did step 1" {
		t.Errorf("the next step after a restart: %+v, %v", second, err)
	}
	if n := r.done.Load(); n != 2 {
		t.Errorf("%d operations were done, want 2", n)
	}
}

func TestDoRefuses(t *testing.T) {
	with := func(o minikeeper.Order, change func(*minikeeper.Order)) minikeeper.Order {
		change(&o)
		return o
	}
	tests := []struct {
		name  string
		order minikeeper.Order
		step  int
		want  string
	}{
		{"an action that is not allowed", with(order("run-2", 8), func(o *minikeeper.Order) { o.Action = "forbidden" }), 0, "not allowed"},
		{"another plan", with(order("run-2", 8), func(o *minikeeper.Order) { o.PlanHash = strings.Repeat("0", 64) }), 0, "the plan is another one by now"},
		{"no plan", with(order("run-2", 8), func(o *minikeeper.Order) { o.PlanHash = "" }), 0, "names no run or no plan"},
		{"no run", order("", 8), 0, "names no run or no plan"},
		{"an older fence", order("run-2", 6), 0, "fence 6 is older than 7, that of run run-1"},
		{"the fence of another run", order("run-2", 7), 0, "fence 7 is that of run run-1"},
		{"a run that begins in the middle", order("run-2", 8), 1, "it has not begun here"},
		{"a step before the first", order("run-2", 8), -1, "it has not begun here"},
		{"a run that goes on with another plan", with(order("run-1", 7), func(o *minikeeper.Order) { o.PlanHash = "0" }), 1, "run run-1 began with another plan"},
		{"a run that goes on with another fence", order("run-1", 8), 1, "run run-1 began with another plan"},
		{"a step that the plan does not have", order("run-1", 7), 2, "the plan of run run-1 has no step 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, r := t.TempDir(), &repair{}
			k := open(t, dir, r)
			if _, err := k.Do(t.Context(), order("run-1", 7), 0); err != nil {
				t.Fatal(err)
			}
			_, err := k.Do(t.Context(), tt.order, tt.step)
			refused(t, err, tt.want)
			_, err = reopen(t, k, dir, r).Do(t.Context(), tt.order, tt.step)
			refused(t, err, tt.want)
			if n := r.done.Load(); n != 1 {
				t.Errorf("%d operations were done, want only that of run-1", n)
			}
		})
	}
}

func TestDoRefusesToGoOnAfterAFailure(t *testing.T) {
	r := &repair{do: func(context.Context, minikeeper.Step) (string, error) { return "half", errors.New("no space") }}
	k := open(t, t.TempDir(), r)
	got, err := k.Do(t.Context(), order("run-1", 1), 0)
	if err != nil || got.Error != "no space" || got.Output != "half" {
		t.Fatalf("got %+v, %v", got, err)
	}
	_, err = k.Do(t.Context(), order("run-1", 1), 1)
	refused(t, err, "step 0 of run run-1 has not succeeded")
}

func TestOneRunAtATime(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	r := &repair{do: func(context.Context, minikeeper.Step) (string, error) {
		close(begun)
		<-finish
		return "finished", nil
	}}
	k := open(t, t.TempDir(), r)
	asker, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := k.Do(asker, order("run-1", 1), 0)
		left <- err
	}()
	<-begun
	if run, err := k.Running(t.Context()); run != "run-1" || err != nil {
		t.Errorf("Running() = %q, %v", run, err)
	}
	_, err := k.Do(t.Context(), order("run-2", 2), 0)
	refused(t, err, "step 0 of run run-1 is being performed")

	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the asker who left got %v", err)
	}
	if _, ok := errors.AsType[keeper.Refused](err); !ok {
		t.Errorf("got %v", err)
	}
	close(finish)
	got, err := k.Do(t.Context(), order("run-1", 1), 0)
	if err != nil || got.Output != "finished" || r.done.Load() != 1 {
		t.Errorf("the step did not go on without its asker: %+v, %v", got, err)
	}
	if run, _ := k.Running(t.Context()); run != "" {
		t.Errorf("Running() = %q after the end", run)
	}
}

func TestAskersShareAnAttempt(t *testing.T) {
	finish := make(chan struct{})
	r := &repair{do: func(context.Context, minikeeper.Step) (string, error) { <-finish; return "finished", nil }}
	k := open(t, t.TempDir(), r)
	results := make(chan minikeeper.StepResult)
	for range 8 {
		go func() {
			got, err := k.Do(t.Context(), order("run-1", 1), 0)
			if err != nil {
				t.Error(err)
			}
			results <- got
		}()
	}
	close(finish)
	first := <-results
	for range 7 {
		if diff := cmp.Diff(first, <-results); diff != "" {
			t.Error(diff)
		}
	}
	if n := r.done.Load(); n != 1 {
		t.Errorf("done %d times", n)
	}
}

func TestCloseWaitsForTheStep(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	r := &repair{do: func(context.Context, minikeeper.Step) (string, error) { close(begun); <-finish; return "finished", nil }}
	dir := t.TempDir()
	k := open(t, dir, r)
	go func() { _, _ = k.Do(t.Context(), order("run-1", 1), 0) }()
	<-begun

	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Close(impatient); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	_, err := k.Do(t.Context(), order("run-2", 2), 0)
	refused(t, err, "the keeper is stopping")
	close(finish)
	k = reopen(t, k, dir, r)
	if got, err := k.Do(t.Context(), order("run-1", 1), 0); err != nil || got.Output != "finished" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestStepResults(t *testing.T) {
	long := strings.Repeat("é", 4000) // each two bytes
	tests := []struct {
		name   string
		do     func(ctx context.Context, s minikeeper.Step) (string, error)
		output string
		err    string
	}{
		{"success", nil, "did step 0", ""},
		{"panic", func(context.Context, minikeeper.Step) (string, error) { panic("index out of range") }, "", "step 0: panic: index out of range"},
		{"too long", func(ctx context.Context, _ minikeeper.Step) (string, error) {
			<-ctx.Done()
			return "half", ctx.Err()
		}, "half", "did not end within 1m0s and was stopped: context deadline exceeded"},
		{"much output", func(context.Context, minikeeper.Step) (string, error) {
			return "a" + long + "b", errors.New("x" + long)
		}, strings.Repeat("é", 2047) + "b", strings.Repeat("é", 2048)},
		{"not UTF-8", func(context.Context, minikeeper.Step) (string, error) { return "caf\xe9", nil }, "caf\uFFFD", ""},
		{"nothing but bytes", func(context.Context, minikeeper.Step) (string, error) {
			return strings.Repeat("a\xff", 4000), nil
		}, strings.Repeat("a\uFFFD", 1024), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				k := open(t, dir, &repair{do: tt.do})
				got, err := k.Do(t.Context(), order("run-1", 1), 0)
				if err != nil {
					t.Fatal(err)
				}
				if got.Output != tt.output || got.Error != tt.err {
					t.Errorf("got output %q (%d), error %q", got.Output, len(got.Output), got.Error)
				}
				if !utf8.ValidString(got.Output) || len(got.Output) > 4096 || len(got.Error) > 4096 {
					t.Error("the result is not bounded text")
				}
			})
		})
	}
}

func TestCommandSteps(t *testing.T) {
	tests := []struct {
		name string
		call commandtest.Call
		want minikeeper.StepResult
	}{
		{
			"success",
			commandtest.Call{Want: "fix -v all", Give: minikeeper.Result{Stdout: []byte("one\n"), Stderr: []byte("two\n")}},
			minikeeper.StepResult{Output: "one\ntwo"},
		},
		{"silence", commandtest.Call{Want: "fix -v all"}, minikeeper.StepResult{}},
		{
			"failure",
			commandtest.Call{Want: "fix -v all", Give: minikeeper.Result{Stderr: []byte("fix: trying\nfix: no way\n"), Exit: 75}},
			minikeeper.StepResult{Output: "fix: trying\nfix: no way", Error: "exit 75: fix: no way"},
		},
		{"silent failure", commandtest.Call{Want: "fix -v all", Give: minikeeper.Result{Exit: 1}}, minikeeper.StepResult{Error: "exit 1"}},
		{
			"did not run",
			commandtest.Call{Want: "fix -v all", Give: minikeeper.Result{Stdout: []byte("half")}, Err: errors.New("run fix: killed")},
			minikeeper.StepResult{Output: "half", Error: "run fix: killed"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := minikeeper.Plan{Action: "repair", Steps: []minikeeper.Step{{
				Name: "fix", Command: &minikeeper.Command{Path: "fix", Args: []string{"-v", "all"}}, Timeout: time.Minute,
			}}}
			cfg := config(t.TempDir(), &repair{plan: func(map[string]string) (minikeeper.Plan, error) { return p, nil }})
			cfg.Machine.Run = commandtest.New(t, tt.call)
			k, err := keeper.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close(t.Context())
			got, err := k.Do(t.Context(), minikeeper.Order{Run: "r", Fence: 1, Action: "repair", PlanHash: actions.PlanHash(p)}, 0)
			got.Start, got.End = time.Time{}, time.Time{}
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
}

func TestCollect(t *testing.T) {
	k := open(t, t.TempDir(), &repair{})
	if _, err := k.Collect(t.Context()); err == nil {
		t.Error("a server without collectors measured")
	}
	cfg := config(t.TempDir(), &repair{})
	cfg.Collect = func(_ context.Context, names ...string) ([]minikeeper.Measurement, error) {
		return []minikeeper.Measurement{{Collector: strings.Join(names, "+")}}, errors.New("one of them failed")
	}
	k, err := keeper.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close(t.Context())
	got, err := k.Collect(t.Context(), "disk", "raid")
	if len(got) != 1 || got[0].Collector != "disk+raid" || err == nil {
		t.Errorf("got %v, %v", got, err)
	}
}
