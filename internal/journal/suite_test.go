package journal_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/journal"
	"github.com/minikeeper/minikeeper/remediate"
)

// store is what the suite asks of an implementation.
type store interface {
	remediate.Journal
	Undelivered(ctx context.Context, now time.Time, limit int) ([]minikeeper.Pending, error)
	Record(ctx context.Context, event int64, a minikeeper.Attempt) error
	Settle(ctx context.Context, event int64) error
	Verify(ctx context.Context, head string) (rows int, last string, err error)
}

func TestSQLite(t *testing.T) {
	testJournal(t, func(t *testing.T) store { return open(t, filepath.Join(t.TempDir(), "journal.db")) })
}

func open(t testing.TB, path string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

// testJournal is the suite that every implementation has to pass. fresh
// returns an empty journal.
func testJournal(t *testing.T, fresh func(*testing.T) store) {
	for name, test := range map[string]func(*testing.T, store){
		"run comes back as it was saved":            testRunRoundTrip,
		"an error undoes all":                       testRollback,
		"one slot for each server":                  testOneSlot,
		"one open run for each incident and remedy": testOneOpenRun,
		"steps need an intent":                      testSteps,
		"the past of a remedy on a server":          testPast,
		"history can be narrowed":                   testQuery,
		"incidents open once and close":             testIncidents,
		"suppressions are one for each gate":        testSuppressions,
		"fences only grow":                          testFences,
		"circuits and pauses":                       testCircuitsAndPauses,
		"what is counted":                           testTally,
		"the outbox gives what is due":              testOutbox,
		"updates exclude each other":                testExclusive,
		"the chain holds":                           testChain,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

var epoch = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// record returns a run that holds a slot.
func record(id string, change ...func(*remediate.Record)) remediate.Record {
	r := remediate.Record{
		Run: minikeeper.Run{
			ID: id, Remedy: "restart-mail", Action: "restart-service", Server: "lon-mini-1", Site: "london",
			With:  map[string]string{"service": "postfix"},
			Alert: minikeeper.Alert{Name: "MailDown", Labels: map[string]string{"alertname": "MailDown"}, State: minikeeper.AlertFiring, FiredAt: epoch},
			State: minikeeper.RunPending, HoldsSlot: true, Owner: "e-1", Created: epoch,
			Plan: minikeeper.Plan{Action: "restart-service", Steps: []minikeeper.Step{
				{Name: "restart", Command: &minikeeper.Command{Path: "postfix", Args: []string{"start"}}, Timeout: time.Minute},
			}},
			PlanHash: "abc",
		},
		Incident: 0, Proof: remediate.Proof{Expr: "up == 1", Within: time.Minute},
	}
	for _, f := range change {
		f(&r)
	}
	return r
}

func on(server string) func(*remediate.Record) {
	return func(r *remediate.Record) { r.Server = server }
}

func started(at time.Time) func(*remediate.Record) {
	return func(r *remediate.Record) { r.Started, r.State = at, minikeeper.RunRunning }
}

func ended(state minikeeper.RunState, at time.Time) func(*remediate.Record) {
	return func(r *remediate.Record) { r.State, r.Ended, r.HoldsSlot = state, at, false }
}

func update(t testing.TB, j remediate.Journal, fn func(remediate.Tx) error) {
	t.Helper()
	if err := j.Update(t.Context(), "tester", fn); err != nil {
		t.Fatal(err)
	}
}

func save(t testing.TB, j remediate.Journal, all ...remediate.Record) {
	t.Helper()
	update(t, j, func(tx remediate.Tx) error {
		for _, r := range all {
			if err := tx.SaveRun(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// read returns what f reads.
func read[T any](t testing.TB, j remediate.Journal, f func(remediate.Reader) (T, error)) T {
	t.Helper()
	var got T
	err := j.Read(t.Context(), func(r remediate.Reader) (err error) {
		got, err = f(r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func same(t testing.TB, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func ids(all []remediate.Record) []string {
	names := []string{}
	for _, r := range all {
		names = append(names, r.ID)
	}
	return names
}

func testRunRoundTrip(t *testing.T, j store) {
	r := record("a")
	save(t, j, r)
	same(t, "run", r, read(t, j, func(rd remediate.Reader) (remediate.Record, error) { return rd.Run("a") }))

	err := j.Read(t.Context(), func(rd remediate.Reader) error {
		_, err := rd.Run("b")
		return err
	})
	if !errors.Is(err, remediate.ErrNoRun) {
		t.Errorf("a run that is not there: %v, want ErrNoRun", err)
	}
}

func testRollback(t *testing.T, j store) {
	sentinel := errors.New("changed my mind")
	err := j.Update(t.Context(), "tester", func(tx remediate.Tx) error {
		if err := tx.SaveRun(record("a")); err != nil {
			return err
		}
		if err := tx.Tell(minikeeper.Event{Summary: "never happened"}); err != nil {
			return err
		}
		return sentinel
	})
	if !errors.Is(err, sentinel) {
		t.Errorf("error %v, want the one of the function", err)
	}
	same(t, "open runs", []string{}, ids(read(t, j, remediate.Reader.Open)))
	if rows, _, err := j.Verify(t.Context(), ""); rows != 0 || err != nil {
		t.Errorf("audit chain has %d rows, %v", rows, err)
	}
}

func testOneSlot(t *testing.T, j store) {
	save(t, j, record("a"))
	err := j.Update(t.Context(), "tester", func(tx remediate.Tx) error { return tx.SaveRun(record("b")) })
	if err == nil {
		t.Error("two runs hold a slot on one server")
	}
	save(t, j, record("c", on("lon-mini-2")))
	save(t, j, record("a", ended(minikeeper.RunFailed, epoch)))
	save(t, j, record("b"))
}

func testOneOpenRun(t *testing.T, j store) {
	waiting := func(id string) remediate.Record {
		return record(id, func(r *remediate.Record) {
			r.Incident, r.HoldsSlot, r.State = 7, false, minikeeper.RunAwaitingApproval
		})
	}
	save(t, j, waiting("a"))
	if err := j.Update(t.Context(), "tester", func(tx remediate.Tx) error { return tx.SaveRun(waiting("b")) }); err == nil {
		t.Error("two runs of one remedy wait in one incident")
	}
}

func testSteps(t *testing.T, j store) {
	r := record("a", started(epoch))
	step := r.Plan.Steps[0]
	save(t, j, r)
	conclude := func(tx remediate.Tx) error {
		return tx.Conclude("a", 0, minikeeper.StepResult{Start: epoch, End: epoch.Add(time.Second), Output: "done"})
	}
	if err := j.Update(t.Context(), "tester", conclude); err == nil {
		t.Error("a step ended that had not begun")
	}
	update(t, j, func(tx remediate.Tx) error { return tx.Intend("a", 0, step, epoch) })
	if err := j.Update(t.Context(), "tester", func(tx remediate.Tx) error { return tx.Intend("a", 0, step, epoch) }); err == nil {
		t.Error("one step began twice")
	}
	r.Steps = []minikeeper.StepRecord{{Index: 0, Step: step, Intent: epoch}}
	get := func(rd remediate.Reader) (remediate.Record, error) { return rd.Run("a") }
	same(t, "intent", r, read(t, j, get))

	update(t, j, conclude)
	r.Steps[0].Result = &minikeeper.StepResult{Start: epoch, End: epoch.Add(time.Second), Output: "done"}
	same(t, "outcome", r, read(t, j, get))
	if err := j.Update(t.Context(), "tester", conclude); err == nil {
		t.Error("one step ended twice")
	}
}

func testPast(t *testing.T, j store) {
	at := func(hours int) time.Time { return epoch.Add(time.Duration(hours) * time.Hour) }
	save(t, j,
		record("old", started(at(0)), ended(minikeeper.RunFailed, at(1))),
		record("new", started(at(30)), ended(minikeeper.RunSucceeded, at(31))),
		record("other server", on("lon-mini-2"), started(at(30)), ended(minikeeper.RunFailed, at(32))),
		record("never began", ended(minikeeper.RunCancelled, at(33))),
	)
	past := read(t, j, func(rd remediate.Reader) (remediate.Past, error) {
		return rd.Past("restart-mail", "lon-mini-1", at(24))
	})
	same(t, "attempts", []time.Time{at(30)}, past.Attempts)
	same(t, "last end", at(31), past.LastEnd)
	if past.Last == nil || past.Last.ID != "new" {
		t.Errorf("last run %v, want new", past.Last)
	}
	none := read(t, j, func(rd remediate.Reader) (remediate.Past, error) { return rd.Past("other", "lon-mini-1", at(24)) })
	same(t, "no past", remediate.Past{}, none)
}

func testQuery(t *testing.T, j store) {
	for i := range 5 {
		r := record(fmt.Sprint("r", i), ended(minikeeper.RunFailed, epoch.Add(time.Hour)))
		r.Created = epoch.Add(time.Duration(i) * time.Minute)
		if i == 3 {
			r.Server, r.Remedy, r.State = "lon-mini-2", "resync", minikeeper.RunSucceeded
		}
		save(t, j, r)
	}
	for _, tt := range []struct {
		name string
		q    remediate.Query
		want []string
	}{
		{"all, newest first", remediate.Query{}, []string{"r4", "r3", "r2", "r1", "r0"}},
		{"limit", remediate.Query{Limit: 2}, []string{"r4", "r3"}},
		{"remedy", remediate.Query{Remedy: "resync"}, []string{"r3"}},
		{"server", remediate.Query{Server: "lon-mini-2"}, []string{"r3"}},
		{"state", remediate.Query{State: minikeeper.RunSucceeded}, []string{"r3"}},
		{"since", remediate.Query{Since: epoch.Add(3 * time.Minute)}, []string{"r4", "r3"}},
		{"together", remediate.Query{Remedy: "restart-mail", Since: epoch.Add(2 * time.Minute)}, []string{"r4", "r2"}},
	} {
		got := read(t, j, func(rd remediate.Reader) ([]remediate.Record, error) { return rd.Runs(tt.q) })
		same(t, tt.name, tt.want, ids(got))
	}
}

func testIncidents(t *testing.T, j store) {
	var first remediate.Incident
	update(t, j, func(tx remediate.Tx) (err error) {
		first, err = tx.SaveIncident(remediate.Incident{Key: "a", Opened: epoch})
		return err
	})
	err := j.Update(t.Context(), "tester", func(tx remediate.Tx) error {
		_, err := tx.SaveIncident(remediate.Incident{Key: "a", Opened: epoch})
		return err
	})
	if err == nil {
		t.Error("one alert has two open incidents")
	}
	first.Failed, first.Told = []string{"restart-mail"}, true
	update(t, j, func(tx remediate.Tx) error {
		_, err := tx.SaveIncident(first)
		return err
	})
	same(t, "open", []remediate.Incident{first}, read(t, j, remediate.Reader.Incidents))

	first.Closed = epoch.Add(time.Hour)
	update(t, j, func(tx remediate.Tx) error {
		if _, err := tx.SaveIncident(first); err != nil {
			return err
		}
		again, err := tx.SaveIncident(remediate.Incident{Key: "a", Opened: epoch.Add(2 * time.Hour)})
		if again.ID == first.ID {
			t.Error("an incident came back from the dead")
		}
		return err
	})
	same(t, "closed", first, read(t, j, func(rd remediate.Reader) (remediate.Incident, error) { return rd.Incident(first.ID) }))
}

func testSuppressions(t *testing.T, j store) {
	s := remediate.Suppression{Incident: 1, Remedy: "resync", Server: "x", Gate: remediate.GateCooldown, Reason: "rests", First: epoch}
	told := s
	told.Told = true
	update(t, j, func(tx remediate.Tx) error { return errors.Join(tx.Suppress(s), tx.Suppress(told)) })
	get := func(incident int64) []remediate.Suppression {
		return read(t, j, func(rd remediate.Reader) ([]remediate.Suppression, error) { return rd.Suppressions(incident) })
	}
	same(t, "suppressions", []remediate.Suppression{told}, get(1))
	same(t, "of another incident", []remediate.Suppression(nil), get(2))
}

func testFences(t *testing.T, j store) {
	next := func(now time.Time) (fence int64) {
		update(t, j, func(tx remediate.Tx) (err error) {
			fence, err = tx.NextFence(now)
			return err
		})
		return fence
	}
	a, b, c := next(epoch), next(epoch), next(epoch.Add(-time.Hour))
	if a != epoch.UnixMilli() || b != a+1 || c != b+1 {
		t.Errorf("fences %d, %d, and %d after the clock went back", a, b, c)
	}
	if d := next(epoch.Add(time.Hour)); d != epoch.Add(time.Hour).UnixMilli() {
		t.Errorf("fence %d does not follow the clock", d)
	}
}

func testCircuitsAndPauses(t *testing.T, j store) {
	c := remediate.Circuit{Remedy: "resync", Failures: 3, Opened: epoch, Reason: "three in a row"}
	p := remediate.Pause{Scope: remediate.PauseServer, Name: "lon-mini-1", Who: "alice", Since: epoch}
	update(t, j, func(tx remediate.Tx) error { return errors.Join(tx.SaveCircuit(c), tx.Pause(p), tx.Pause(p)) })
	same(t, "circuits", []remediate.Circuit{c}, read(t, j, remediate.Reader.Circuits))
	same(t, "pauses", []remediate.Pause{p}, read(t, j, remediate.Reader.Pauses))
	update(t, j, func(tx remediate.Tx) error { return tx.Unpause(p) })
	same(t, "after resume", []remediate.Pause(nil), read(t, j, remediate.Reader.Pauses))
}

func testTally(t *testing.T, j store) {
	save(t, j,
		record("1", started(epoch), ended(minikeeper.RunFailed, epoch.Add(10*time.Second))),
		record("2", started(epoch.Add(time.Hour)), ended(minikeeper.RunFailed, epoch.Add(time.Hour+20*time.Second))),
		record("3", started(epoch)),
		record("4", func(r *remediate.Record) {
			r.State, r.Gate, r.Ended, r.HoldsSlot = minikeeper.RunSuppressed, "cooldown", epoch, false
		}),
	)
	same(t, "tally", remediate.Tally{
		Outcomes:     map[string]map[minikeeper.RunState]int64{"restart-mail": {minikeeper.RunFailed: 2}},
		Active:       map[string]int64{"restart-mail": 1},
		Suppressed:   map[string]map[remediate.Gate]int64{"restart-mail": {remediate.GateCooldown: 1}},
		LastDuration: map[string]time.Duration{"restart-mail": 20 * time.Second},
	}, read(t, j, remediate.Reader.Tally))
}

func testOutbox(t *testing.T, j store) {
	update(t, j, func(tx remediate.Tx) error {
		return errors.Join(tx.Tell(minikeeper.Event{Kind: minikeeper.EventAlert, Summary: "one"}),
			tx.Tell(minikeeper.Event{Kind: minikeeper.EventAlert, Summary: "two"}))
	})
	due := func(now time.Time, limit int) []minikeeper.Pending {
		t.Helper()
		all, err := j.Undelivered(t.Context(), now, limit)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if all := due(epoch, 1); len(all) != 1 || all[0].Event.Summary != "one" {
		t.Fatalf("first due: %+v", all)
	}
	one, two := due(epoch, 9)[0].Event.ID, due(epoch, 9)[1].Event.ID

	retry := minikeeper.Attempt{Channel: "mail", At: epoch, Outcome: minikeeper.AttemptRetry, Error: "451", Next: epoch.Add(time.Minute)}
	must(j.Record(t.Context(), one, retry))
	must(j.Record(t.Context(), one, minikeeper.Attempt{Channel: "slack", At: epoch, Outcome: minikeeper.AttemptDelivered}))
	if all := due(epoch, 9); len(all) != 1 || all[0].Event.ID != two {
		t.Errorf("before the retry is due: %+v", all)
	}
	all := due(epoch.Add(time.Minute), 9)
	if len(all) != 2 || len(all[0].Attempts) != 2 || all[0].Attempts[0] != retry {
		t.Errorf("when the retry is due: %+v", all)
	}
	must(j.Settle(t.Context(), one))
	must(j.Settle(t.Context(), two))
	if all := due(epoch.Add(time.Hour), 9); len(all) != 0 {
		t.Errorf("after all is settled: %+v", all)
	}
}

func testExclusive(t *testing.T, j store) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	admitted := 0
	for i := range 8 {
		wg.Go(func() {
			err := j.Update(t.Context(), "tester", func(tx remediate.Tx) error {
				open, err := tx.Open()
				if err != nil || len(open) >= 2 {
					return err
				}
				if err := tx.SaveRun(record(strconv.Itoa(i), on(fmt.Sprint("server-", i)))); err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				admitted++
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if admitted != 2 {
		t.Errorf("%d runs were admitted, and the budget was 2", admitted)
	}
}

func testChain(t *testing.T, j store) {
	save(t, j, record("a"))
	_, head, err := j.Verify(t.Context(), "")
	if err != nil || head == "" {
		t.Fatalf("head %q, %v", head, err)
	}
	save(t, j, record("a", ended(minikeeper.RunFailed, epoch)))
	if rows, now, err := j.Verify(t.Context(), head); rows != 2 || now == head || err != nil {
		t.Errorf("%d rows, head %s, %v", rows, now, err)
	}
	if _, _, err := j.Verify(t.Context(), "feed"); !errors.Is(err, journal.ErrTampered) {
		t.Errorf("a head that never was: %v", err)
	}
}
