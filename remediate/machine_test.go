package remediate_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/remediate"
)

const machineFile = `
remedies:
  - name: restart-mail
    match: ['alertname="MailDown"']
    action: restart-service
    target: "{{ .server }}"
    with: {service: postfix}
    mode: auto
    guards: {calendar: offpeak, cooldown: 30s, attempts: {max: 50, per: 1h}, concurrent: {site: 1, total: 2}}
    verify: {expr: 'up{server="{{ .server }}"} == 1', within: 1m, stable_for: 5s}
    escalate: [ask-first]
  - name: ask-first
    action: resync
    target: "{{ .server }}"
    mode: propose
    guards: {calendar: offpeak, cooldown: 30s, attempts: {max: 50, per: 1h}, concurrent: {site: 1, total: 2}}
    verify: {expr: 'up{server="{{ .server }}"} == 1', within: 1m}
`

// An op is something that happens to the world, and how long nothing else does.
type op struct {
	kind   string
	server string
	wait   time.Duration
}

// TestMachine has random things happen, and holds what must never be against
// each write of the journal and each step that a server is asked for.
func TestMachine(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f != nil && f.Value.String() == f.DefValue {
		if err := f.Value.Set("15"); err != nil {
			t.Fatal(err)
		}
	}
	ops := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) op {
		return op{
			kind: rapid.SampledFrom([]string{
				"fire", "fire", "fire", "resolve", "crash", "crash", "away", "back", "approve", "approve", "deny",
				"close calendar", "open calendar", "open calendar", "down", "up", "pause", "resume",
				"heals", "heals", "fails", "hangs", "breaks", "nothing",
			}).Draw(rt, "kind"),
			server: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "server"),
			wait:   time.Duration(rapid.IntRange(0, 40).Draw(rt, "wait")) * time.Second,
		}
	}), 5, 25)
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{doing: make(map[string]string), mode: make(map[string]string)}
		all := ops.Draw(rt, "ops")
		synctest.Test(t, func(t *testing.T) { m.play(t, all) })
		for _, wrong := range m.wrong {
			rt.Error(wrong)
		}
	})
}

// A machine is a world and what is wrong with it.
type machine struct {
	*world
	guard sync.Mutex
	wrong []string
	doing map[string]string // run whose step a server is really performing
	mode  map[string]string // how its steps end
}

func (m *machine) complain(format string, args ...any) {
	m.guard.Lock()
	defer m.guard.Unlock()
	m.wrong = append(m.wrong, fmt.Sprintf(format, args...))
}

func (m *machine) play(t *testing.T, all []op) {
	m.world = newWorld(t, machineFile)
	m.options.Every = 4 * time.Second
	for name, target := range m.targets {
		target.plan.Interrupts = "smtp"
		target.do = func(ctx context.Context, o minikeeper.Order, i int) (minikeeper.StepResult, error) {
			return m.do(ctx, name, o, i)
		}
	}
	dead := m.live()
	time.Sleep(500 * time.Millisecond) // so that nothing happens at the moment of a look
	for _, o := range all {
		if o.kind == "crash" {
			dead()
			dead = m.live()
			time.Sleep(500*time.Millisecond - time.Duration(time.Now().Nanosecond()))
		}
		m.happen(o)
		time.Sleep(o.wait)
	}
	m.peace()
	time.Sleep(10 * time.Minute)
	for _, r := range m.runs(remediate.Query{Limit: 10000}) {
		if !r.State.Ended() || r.HoldsSlot {
			m.complain("run %s of %s on %s never ended: %s, %s", r.ID, r.Remedy, r.Server, r.State, r.Reason)
		}
	}
	m.stop()
	if _, _, err := m.journal.Verify(t.Context(), ""); err != nil {
		m.complain("%v", err)
	}
	m.closeJournal()
}

// live starts an engine, and returns how to kill it: from then on it cannot
// even write.
func (m *machine) live() (kill func()) {
	j := &mortalJournal{Journal: m.journal, m: m}
	m.startOn(j)
	return func() {
		j.mu.Lock()
		j.dead = true
		j.mu.Unlock()
		m.stop()
	}
}

func (m *machine) happen(o op) {
	switch o.kind {
	case "fire":
		m.fire(o.server)
	case "resolve":
		m.resolve(o.server)
	case "away", "back":
		m.with(func() {
			m.targets[o.server].away = nil
			if o.kind == "away" {
				m.targets[o.server].away = errors.New("no route")
			}
		})
	case "close calendar", "open calendar":
		m.with(func() { m.closed["offpeak"] = o.kind == "close calendar" })
	case "down", "up":
		m.with(func() { m.serving[o.server] = o.kind == "up" })
	case "pause":
		_ = m.engine.Pause(m.t.Context(), remediate.PauseServer, o.server, "", "alice")
	case "resume":
		_ = m.engine.Resume(m.t.Context(), remediate.PauseServer, o.server, "alice")
		_ = m.engine.Resume(m.t.Context(), remediate.PauseRemedy, "restart-mail", "alice")
	case "heals", "fails", "hangs", "breaks", "nothing":
		m.with(func() { m.mode[o.server] = o.kind })
	case "approve", "deny":
		for _, r := range m.runs(remediate.Query{State: minikeeper.RunAwaitingApproval}) {
			if o.kind == "approve" {
				_ = m.engine.Approve(m.t.Context(), r.ID, r.PlanHash, "alice")
			} else {
				_ = m.engine.Deny(m.t.Context(), r.ID, "alice")
			}
		}
	}
}

// peace has all faults end.
func (m *machine) peace() {
	m.with(func() {
		clear(m.alerts)
		for name, target := range m.targets {
			target.away, m.mode[name] = nil, "heals"
		}
	})
}

// do performs a step as a keeper does: what was begun goes on, whether or not
// anybody waits for it.
func (m *machine) do(ctx context.Context, server string, o minikeeper.Order, i int) (minikeeper.StepResult, error) {
	m.checkStep(server, o, i)
	m.mu.Lock()
	mode, took := m.mode[server], 3*time.Second
	m.doing[server], m.targets[server].running = o.Run, o.Run
	m.mu.Unlock()
	if mode == "hangs" {
		took = 3 * time.Minute
	}
	done := make(chan struct{})
	go func() {
		time.Sleep(took)
		m.with(func() {
			m.doing[server], m.targets[server].running = "", ""
			m.proven[server] = mode != "nothing" && mode != "fails"
		})
		close(done)
	}()
	if mode == "breaks" {
		return minikeeper.StepResult{}, errors.New("connection reset")
	}
	select {
	case <-done:
	case <-ctx.Done():
		return minikeeper.StepResult{}, ctx.Err()
	}
	r := minikeeper.StepResult{Start: time.Now().Add(-took), End: time.Now()}
	if mode == "fails" {
		r.Error = "exit 1"
	}
	return r, nil
}

// checkStep holds a step that is asked for against what must be.
func (m *machine) checkStep(server string, o minikeeper.Order, i int) {
	runs := m.runs(remediate.Query{Server: server, Limit: 10000})
	at := slices.IndexFunc(runs, func(r remediate.Record) bool { return r.ID == o.Run })
	if at < 0 || len(runs[at].Steps) != i+1 || runs[at].Steps[i].Result != nil {
		m.complain("step %d of run %s on %s began without an intent in the journal", i, o.Run, server)
	}
	m.with(func() {
		if m.closed["offpeak"] {
			m.complain("run %s on %s began while its calendar was closed", o.Run, server)
		}
		s, _ := m.Server(server)
		for _, other := range append(s.Partners, server) {
			if m.doing[other] != "" {
				m.complain("run %s on %s began while %s was in the middle of run %s", o.Run, server, other, m.doing[other])
			}
		}
		for _, f := range m.targets[server].fences[:len(m.targets[server].fences)-1] {
			if f >= o.Fence {
				m.complain("fence %d came after fence %d", o.Fence, f)
			}
		}
	})
}

// A mortalJournal dies with its engine, and checks each write.
type mortalJournal struct {
	remediate.Journal
	m    *machine
	mu   sync.Mutex
	dead bool
}

var errDead = errors.New("this process is dead")

func (j *mortalJournal) Update(ctx context.Context, who string, fn func(remediate.Tx) error) error {
	return j.Journal.Update(ctx, who, func(tx remediate.Tx) error {
		j.mu.Lock()
		dead := j.dead
		j.mu.Unlock()
		if dead {
			return errDead
		}
		if err := fn(tx); err != nil {
			return err
		}
		open, err := tx.Open()
		j.check(open)
		return err
	})
}

// check holds the runs that are active together against the budget.
func (j *mortalJournal) check(open []remediate.Record) {
	sites, total, servers := make(map[string]int), 0, make(map[string]string)
	for _, r := range open {
		if !r.HoldsSlot {
			continue
		}
		sites[r.Site]++
		total++
		s, _ := j.m.Server(r.Server)
		for _, other := range append(s.Partners, r.Server) {
			if servers[other] != "" {
				j.m.complain("run %s on %s and run %s on %s are active together", r.ID, r.Server, servers[other], other)
			}
		}
		servers[r.Server] = r.ID
	}
	if total > 2 || sites["london"] > 1 || sites["paris"] > 1 {
		j.m.complain("%d runs are active, by site %v", total, sites)
	}
}
