package remediate_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/journal"
	"github.com/minikeeper/minikeeper/remediate"
)

// A world is what an engine acts on: two paired servers and one that stands
// alone, in one site, with one service each.
type world struct {
	t       *testing.T
	mu      sync.Mutex
	journal *journal.Journal
	engine  *remediate.Engine
	stop    func()

	alerts  map[string]minikeeper.Alert // by server
	unsure  map[string]bool
	targets map[string]*target
	proven  map[string]bool // by server: the expression holds
	stale   bool            // but the samples are old
	serving map[string]bool
	closed  map[string]bool // calendars
	claims  []minikeeper.Claim
	options remediate.Options
	files   string
}

// A target is one server.
type target struct {
	w       *world
	name    string
	skew    time.Duration // how far its clock is ahead
	plan    minikeeper.Plan
	planErr error
	do      func(ctx context.Context, o minikeeper.Order, i int) (minikeeper.StepResult, error) // nil: takes 2s and heals
	running string
	away    error // of Running and Collect
	orders  []minikeeper.Order
	fences  []int64
}

const remedyFile = `
remedies:
  - name: restart-mail
    match: ['alertname="MailDown"']
    action: restart-service
    target: "{{ .server }}"
    with: {service: postfix}
    mode: auto
    verify: {expr: 'up{server="{{ .server }}"} == 1', within: 2m, stable_for: 10s}
`

// play runs f in a bubble of time, on a world in which an engine applies files.
func play(t *testing.T, files string, f func(t *testing.T, w *world)) {
	t.Helper()
	playFor(t, files, time.Second, f)
}

// playFor is play for tests that take days: the engine looks less often.
func playFor(t *testing.T, files string, every time.Duration, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, files)
		w.options.Every = every
		w.start()
		f(t, w)
		w.stop()
		w.closeJournal()
	})
}

func newWorld(t *testing.T, files string) *world {
	w := &world{
		t: t, files: files, options: remediate.Options{Poll: time.Second},
		alerts: make(map[string]minikeeper.Alert), unsure: make(map[string]bool),
		proven: make(map[string]bool), serving: make(map[string]bool), closed: make(map[string]bool),
		targets: make(map[string]*target),
	}
	for _, name := range []string{"a", "b", "c"} {
		w.targets[name] = &target{w: w, name: name, plan: minikeeper.Plan{
			Action: "restart-service", Idempotent: true,
			Steps: []minikeeper.Step{{Name: "restart postfix", Op: "restart", Timeout: time.Minute}},
		}}
		w.serving[name] = true
	}
	w.openJournal(filepath.Join(t.TempDir(), "journal.db"))
	return w
}

func (w *world) openJournal(path string) {
	j, err := journal.Open(w.t.Context(), path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.journal = j
}

func (w *world) closeJournal() {
	if err := w.journal.Close(); err != nil {
		w.t.Error(err)
	}
}

// remedies parses src against what the world knows.
func remedies(t testing.TB, src string) []*remediate.Remedy {
	t.Helper()
	all, err := remediate.Parse([]remediate.File{{Name: "test.yml", Src: []byte(src)}}, known())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func known() remediate.Known {
	return remediate.Known{
		Actions: map[string]remediate.ActionInfo{
			"restart-service": {Check: func(with map[string]string) error {
				if with["service"] == "" {
					return errors.New(`parameter "service" is missing`)
				}
				return nil
			}},
			"resync": {},
		},
		Calendars: []string{"offpeak"},
		CheckExpr: func(expr string) error {
			if !strings.ContainsAny(expr, "abcdefghijklmnopqrstuvwxyz") {
				return errors.New("it reads no series")
			}
			return nil
		},
	}
}

// start has a new engine apply the world's remedies.
func (w *world) start() { w.startOn(w.journal) }

func (w *world) startOn(j remediate.Journal) {
	w.engine = remediate.New(remediate.Deps{
		Journal: j, Alerts: w, Prover: w, Services: w, Fleet: w, Calendars: w,
		PlanHash: func(p minikeeper.Plan) string { return fmt.Sprintf("%d steps, %+v", len(p.Steps), p.Steps) },
		Log:      discard(),
	}, w.options, remedies(w.t, w.files))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	engine := w.engine
	go func() { done <- engine.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, errDead) {
			w.t.Errorf("engine: %v", err)
		}
	}
}

// crash ends the engine without giving it any time, and starts another.
func (w *world) crash(then func()) {
	w.stop()
	if then != nil {
		then()
	}
	w.start()
}

// fire has MailDown fire for server.
func (w *world) fire(server string, labels ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]string{"alertname": "MailDown", "server": server}
	for i := 0; i+1 < len(labels); i += 2 {
		all[labels[i]] = labels[i+1]
	}
	w.alerts[server] = minikeeper.Alert{
		Name: all["alertname"], Labels: all, State: minikeeper.AlertFiring, ActiveAt: time.Now(), FiredAt: time.Now(),
	}
}

func (w *world) resolve(server string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.alerts, server)
}

// with changes the world under its lock.
func (w *world) with(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// sleep lets time pass.
func (w *world) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) Snapshot(context.Context) ([]minikeeper.Alert, map[string]bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Values(w.alerts)), maps.Clone(w.unsure), nil
}

// Collectors implements remediate.Prover: whatever proves a repair here is
// read by all of them.
func (*world) Collectors(string) []string { return nil }

func (w *world) Prove(_ context.Context, c minikeeper.Claim) (minikeeper.Evidence, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.claims = append(w.claims, c)
	return minikeeper.Evidence{Proven: w.proven[c.Server], Fresh: !w.stale, At: time.Now(), Why: "because"}, nil
}

func (w *world) Serves(_ context.Context, server, _ string) (bool, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.serving[server] {
		return false, "it is down", nil
	}
	return true, "it is up", nil
}

func (w *world) Server(name string) (minikeeper.Server, bool) {
	s, ok := map[string]minikeeper.Server{
		"a": {Name: "a", Site: "london", Partners: []string{"b"}},
		"b": {Name: "b", Site: "london", Partners: []string{"a"}},
		"c": {Name: "c", Site: "paris"},
	}[name]
	return s, ok
}

func (w *world) Target(name string) (minikeeper.Target, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t, ok := w.targets[name]; ok {
		return t, nil
	}
	return nil, errors.New("no keeper")
}

func (w *world) Open(name string, _ time.Time) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.closed[name], nil
}

func (t *target) Plan(_ context.Context, o minikeeper.Order) (minikeeper.Plan, error) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	return t.plan, t.planErr
}

func (t *target) Do(ctx context.Context, o minikeeper.Order, i int) (minikeeper.StepResult, error) {
	t.w.mu.Lock()
	t.orders, t.fences = append(t.orders, o), append(t.fences, o.Fence)
	do := t.do
	t.w.mu.Unlock()
	if do != nil {
		return do(ctx, o, i)
	}
	start := time.Now().Add(t.skew)
	select {
	case <-time.After(2 * time.Second):
	case <-ctx.Done():
		return minikeeper.StepResult{}, ctx.Err()
	}
	t.w.with(func() { t.w.proven[t.name] = true })
	return minikeeper.StepResult{Start: start, End: time.Now().Add(t.skew)}, nil
}

func (t *target) Running(context.Context) (string, error) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	return t.running, t.away
}

func (t *target) Collect(context.Context, ...string) ([]minikeeper.Measurement, error) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	if t.away != nil {
		return nil, t.away
	}
	return []minikeeper.Measurement{{Collector: "postfix", Start: time.Now().Add(t.skew)}}, nil
}

// runs returns the history, oldest first.
func (w *world) runs(q remediate.Query) []remediate.Record {
	w.t.Helper()
	var all []remediate.Record
	err := w.journal.Read(w.t.Context(), func(r remediate.Reader) (err error) {
		all, err = r.Runs(q)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b remediate.Record) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Server, b.Server), cmp.Compare(a.State, b.State))
	})
	return all
}

// history shows the runs as "server remedy state gate".
func (w *world) history() []string {
	w.t.Helper()
	var lines []string
	for _, r := range w.runs(remediate.Query{}) {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Server, r.Remedy, r.State, r.Gate)))
	}
	return lines
}

// told shows the events as "kind", with a ! where people are needed.
func (w *world) told() []string {
	w.t.Helper()
	pending, err := w.journal.Undelivered(w.t.Context(), time.Now(), 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	var kinds []string
	for _, p := range pending {
		kind := string(p.Event.Kind)
		if p.Event.NeedsPeople {
			kind += "!"
		}
		kinds = append(kinds, kind)
	}
	return kinds
}

// want compares lists of words.
func (w *world) want(what string, got []string, want ...string) {
	w.t.Helper()
	if !slices.Equal(got, want) {
		w.t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// only returns the one run there is.
func (w *world) only() remediate.Record {
	w.t.Helper()
	all := w.runs(remediate.Query{})
	if len(all) != 1 {
		w.t.Fatalf("%d runs, want 1: %q", len(all), w.history())
	}
	return all[0]
}
