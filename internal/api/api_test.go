package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/access"
	"github.com/minikeeper/minikeeper/internal/api"
	"github.com/minikeeper/minikeeper/remediate"
)

// token is what the daemon of these tests wants to see.
const token = "a-token-of-this-machine"

// fakeEngine notes what it is asked, and answers with what it is given.
type fakeEngine struct {
	asked   []string
	err     error
	run     remediate.Record
	preview remediate.Preview
}

func (f *fakeEngine) note(format string, args ...any) error {
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
	return f.err
}

func (f *fakeEngine) Start(_ context.Context, remedy string, labels map[string]string, who string) (remediate.Record, error) {
	return f.run, f.note("start %s %v for %s", remedy, labels, who)
}

func (f *fakeEngine) Preview(_ context.Context, remedy string, labels map[string]string, who string) (remediate.Preview, error) {
	return f.preview, f.note("preview %s %v for %s", remedy, labels, who)
}

func (f *fakeEngine) Approve(_ context.Context, run, planHash, who string) error {
	return f.note("approve %s with plan %s for %s", run, planHash, who)
}

func (f *fakeEngine) Deny(_ context.Context, run, who string) error {
	return f.note("deny %s for %s", run, who)
}

func (f *fakeEngine) Close(_ context.Context, run, who string) error {
	return f.note("close %s for %s", run, who)
}

func (f *fakeEngine) Pause(_ context.Context, scope remediate.PauseScope, name, reason, who string) error {
	return f.note("pause %s %q because %q for %s", scope, name, reason, who)
}

func (f *fakeEngine) Resume(_ context.Context, scope remediate.PauseScope, name, who string) error {
	return f.note("resume %s %q for %s", scope, name, who)
}

// fakeJournal holds runs.
type fakeJournal struct {
	remediate.Reader // nil: only what is below is asked

	runs  []remediate.Record
	query remediate.Query // the last
	err   error
}

func (f *fakeJournal) Read(_ context.Context, fn func(remediate.Reader) error) error {
	return errors.Join(fn(f), f.err)
}

func (f *fakeJournal) Run(id string) (remediate.Record, error) {
	for _, r := range f.runs {
		if r.ID == id {
			return r, nil
		}
	}
	return remediate.Record{}, fmt.Errorf("run %q: %w", id, remediate.ErrNoRun)
}

func (f *fakeJournal) Runs(q remediate.Query) ([]remediate.Record, error) {
	f.query = q
	return f.runs, nil
}

// aRun is a run with something in each kind of field.
func aRun() remediate.Record {
	at := time.Date(2026, 11, 22, 8, 0, 0, 5000, time.UTC)
	return remediate.Record{
		Run: minikeeper.Run{
			ID: "20261122-080000-0a1b2c3d", Remedy: "restart-postfix", Action: "restart-service",
			Server: "lon-mini-1", Site: "london", With: map[string]string{"service": "postfix"},
			Alert: minikeeper.Alert{Name: "MailRelayDown", Labels: map[string]string{"server": "lon-mini-1"}, State: minikeeper.AlertFiring, FiredAt: at},
			State: minikeeper.RunAwaitingApproval, PlanHash: "5eed", Created: at,
			Plan: minikeeper.Plan{
				Steps: []minikeeper.Step{{
					Name: "start postfix", Timeout: 4 * time.Minute,
					Command: &minikeeper.Command{Path: "postfix", Args: []string{"-c", "/etc/post fix", "start"}},
				}},
				Interrupts: "smtp",
			},
		},
		Incident: 7, Asked: at,
		Proof: remediate.Proof{Expr: `minikeeper_postfix_up{server="lon-mini-1"} == 1`, Within: 10 * time.Minute, StableFor: time.Minute},
	}
}

// serve returns the address of the interface, behind the roles of a daemon
// without web_config.
func serve(t *testing.T, engine api.Engine, journal api.Reader) string {
	t.Helper()
	guard, err := access.New(access.Policy{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, r := range api.Routes(engine, journal) {
		mux.Handle(r.Pattern, guard.Middleware(r.Role, r.Handler))
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func client(base string) api.Client {
	return api.Client{Base: base, Token: token, HTTP: http.DefaultClient}
}

// TestRoles holds each route against the role that it is to ask for.
func TestRoles(t *testing.T) {
	want := map[string]access.Role{
		"GET /api/v1/runs":                access.View,
		"GET /api/v1/runs/{run}":          access.View,
		"POST /api/v1/preview":            access.View,
		"POST /api/v1/runs":               access.Operate,
		"POST /api/v1/runs/{run}/close":   access.Operate,
		"POST /api/v1/pauses":             access.Operate,
		"DELETE /api/v1/pauses":           access.Operate,
		"POST /api/v1/runs/{run}/approve": access.Approve,
		"POST /api/v1/runs/{run}/deny":    access.Approve,
	}
	got := make(map[string]access.Role)
	for _, r := range api.Routes(nil, nil) {
		got[r.Pattern] = r.Role
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
}

// TestRoundTrip asks for everything through the client, and compares what the
// engine was asked and what came back.
func TestRoundTrip(t *testing.T) {
	ask := api.Ask{Remedy: "restart-postfix", Labels: map[string]string{"server": "lon-mini-1"}}
	tests := []struct {
		name string
		call func(context.Context, api.Client) (any, error)
		want any    // that comes back
		says string // to the engine
	}{
		{
			"preview", func(ctx context.Context, c api.Client) (any, error) { return c.Preview(ctx, ask) },
			remediate.Preview{
				Remedy: "restart-postfix", Mode: remediate.ModePropose, Server: "lon-mini-1",
				Plan: aRun().Plan, PlanHash: "5eed", Proof: aRun().Proof, Asks: "the mode is propose",
				Refusal: &remediate.Refusal{Gate: "cooldown", Reason: "it rests"},
			},
			"preview restart-postfix map[server:lon-mini-1] for local",
		},
		{
			"start", func(ctx context.Context, c api.Client) (any, error) { return c.Start(ctx, ask) },
			aRun(), "start restart-postfix map[server:lon-mini-1] for local",
		},
		{
			"run", func(ctx context.Context, c api.Client) (any, error) { return c.Run(ctx, aRun().ID) },
			aRun(), "",
		},
		{
			"approve", func(ctx context.Context, c api.Client) (any, error) { return nil, c.Approve(ctx, "run 1/2", "5eed") },
			nil, "approve run 1/2 with plan 5eed for local",
		},
		{
			"deny", func(ctx context.Context, c api.Client) (any, error) { return nil, c.Deny(ctx, "run-1") },
			nil, "deny run-1 for local",
		},
		{
			"close", func(ctx context.Context, c api.Client) (any, error) { return nil, c.Close(ctx, "run-1") },
			nil, "close run-1 for local",
		},
		{
			"pause", func(ctx context.Context, c api.Client) (any, error) {
				return nil, c.Pause(ctx, api.Pause{Scope: remediate.PauseSite, Name: "london", Reason: "they move house"})
			},
			nil, `pause site "london" because "they move house" for local`,
		},
		{
			"resume", func(ctx context.Context, c api.Client) (any, error) {
				return nil, c.Resume(ctx, api.Pause{Scope: remediate.PauseAll})
			},
			nil, `resume all "" for local`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			engine := &fakeEngine{run: aRun()}
			if p, ok := tt.want.(remediate.Preview); ok {
				engine.preview = p
			}
			got, err := tt.call(t.Context(), client(serve(t, engine, &fakeJournal{runs: []remediate.Record{aRun()}})))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if asked := strings.Join(engine.asked, "; "); asked != tt.says {
				t.Errorf("the engine was asked %q, want %q", asked, tt.says)
			}
		})
	}
}

// TestErrors holds the kinds of the engine's errors against what the client
// makes of them, since the command's exit status depends on it.
func TestErrors(t *testing.T) {
	tests := []struct {
		name    string
		err     error
		status  int // of a Wrong; 0 if it is none
		refused bool
		says    string
	}{
		{name: "a guard says no", err: &remediate.Refusal{Gate: "cooldown", Reason: "it rests"}, refused: true, says: "refused: refused by cooldown: it rests"},
		{name: "the plan has changed", err: fmt.Errorf("approve: %w", remediate.ErrWrongPlan), refused: true, says: "refused: approve: the plan is another one by now"},
		{name: "in another state", err: fmt.Errorf("deny: %w", remediate.ErrNotNow), refused: true, says: "refused: deny: the run is not in a state for that"},
		{name: "no such run", err: remediate.ErrNoRun, status: 404, says: "there is no such run"},
		{name: "no such remedy", err: fmt.Errorf(`remedy "x": %w`, remediate.ErrNoRemedy), status: 404, says: `remedy "x": there is no such remedy`},
		{name: "no such scope", err: fmt.Errorf(`"city": %w`, remediate.ErrScope), status: 400, says: `"city": that cannot be paused`},
		{name: "the journal cannot be written", err: errors.New("write journal: the disk is full"), says: "the daemon failed: write journal: the disk is full"},
	}
	calls := map[string]func(context.Context, api.Client) error{
		"start":   func(ctx context.Context, c api.Client) error { _, err := c.Start(ctx, api.Ask{}); return err },
		"preview": func(ctx context.Context, c api.Client) error { _, err := c.Preview(ctx, api.Ask{}); return err },
		"approve": func(ctx context.Context, c api.Client) error { return c.Approve(ctx, "run-1", "5eed") },
		"deny":    func(ctx context.Context, c api.Client) error { return c.Deny(ctx, "run-1") },
		"close":   func(ctx context.Context, c api.Client) error { return c.Close(ctx, "run-1") },
		"pause":   func(ctx context.Context, c api.Client) error { return c.Pause(ctx, api.Pause{}) },
		"resume":  func(ctx context.Context, c api.Client) error { return c.Resume(ctx, api.Pause{}) },
	}
	for _, tt := range tests {
		c := client(serve(t, &fakeEngine{err: tt.err}, &fakeJournal{}))
		for name, call := range calls {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				err := call(t.Context(), c)
				if err == nil || err.Error() != tt.says {
					t.Errorf("error %q, want %q", err, tt.says)
				}
				if got := errors.Is(err, api.ErrRefused); got != tt.refused {
					t.Errorf("refused is %v", got)
				}
				wrong, _ := errors.AsType[*api.Wrong](err)
				if got := wrong != nil; got != (tt.status != 0) || got && wrong.Status != tt.status {
					t.Errorf("wrong request is %+v, want status %d", wrong, tt.status)
				}
			})
		}
	}
}

// TestRunUnknown asks for a run that there is not.
func TestRunUnknown(t *testing.T) {
	_, err := client(serve(t, &fakeEngine{}, &fakeJournal{})).Run(t.Context(), "run-9")
	if wrong, ok := errors.AsType[*api.Wrong](err); !ok || wrong.Status != http.StatusNotFound || wrong.Reason != `run "run-9": there is no such run` {
		t.Errorf("error %v", err)
	}
}

// TestUnreachable asks where nobody listens, and where something else does.
func TestUnreachable(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	if err := client(gone.URL).Deny(t.Context(), "run-1"); !errors.Is(err, api.ErrUnreachable) {
		t.Errorf("error %v, want ErrUnreachable", err)
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }))
	defer other.Close()
	if _, err := client(other.URL).Run(t.Context(), "run-1"); err == nil || !strings.Contains(err.Error(), "read answer of "+other.URL) {
		t.Errorf("error %v", err)
	}
}

// TestRequests sends what the client would not.
func TestRequests(t *testing.T) {
	const runs = "/api/v1/runs"
	tests := []struct {
		name, method, path, body string
		anonymous                bool // without the token
		status                   int
		says                     string
	}{
		{name: "bad JSON", method: "POST", path: runs, body: `{"remedy":`, status: 400, says: "read request: unexpected EOF"},
		{name: "no body", method: "POST", path: runs, status: 400, says: "read request: EOF"},
		{name: "wrong type", method: "POST", path: runs, body: `{"remedy": 1}`, status: 400, says: "cannot unmarshal number"},
		{name: "unknown field", method: "POST", path: runs, body: `{"remedy": "x", "force": true}`, status: 400, says: `unknown field "force"`},
		{name: "two objects", method: "POST", path: runs, body: `{"remedy": "x"} {}`, status: 400, says: "something follows"},
		{name: "unknown field of a preview", method: "POST", path: "/api/v1/preview", body: `{"labls": {}}`, status: 400, says: `unknown field "labls"`},
		{name: "unknown field of an approval", method: "POST", path: runs + "/run-1/approve", body: `{"hash": "x"}`, status: 400, says: `unknown field "hash"`},
		{name: "unknown field of a pause", method: "POST", path: "/api/v1/pauses", body: `{"until": "x"}`, status: 400, says: `unknown field "until"`},
		{name: "unknown field of a resume", method: "DELETE", path: "/api/v1/pauses", body: `{"until": "x"}`, status: 400, says: `unknown field "until"`},
		{name: "wrong time", method: "GET", path: runs + "?since=yesterday", status: 400, says: `since wants a time such as 2026-11-22T08:00:00Z, not \"yesterday\"`},
		{name: "wrong limit", method: "GET", path: runs + "?limit=0", status: 400, says: `limit wants a number from 1 to 1000, not \"0\"`},
		{name: "too many", method: "GET", path: runs + "?limit=1001", status: 400, says: "limit wants"},
		{name: "no such method", method: "PUT", path: runs, body: `{}`, status: 405, says: ""},
		{name: "anybody may look", method: "GET", path: runs, anonymous: true, status: 200, says: "20261122-080000-0a1b2c3d"},
		{name: "anybody may see a plan", method: "POST", path: "/api/v1/preview", body: `{"remedy": "x"}`, anonymous: true, status: 200},
		{name: "not everybody may start", method: "POST", path: runs, body: `{"remedy": "x"}`, anonymous: true, status: 401, says: "token"},
		{name: "nor approve", method: "POST", path: runs + "/run-1/approve", body: `{}`, anonymous: true, status: 401, says: "token"},
		{name: "nor deny", method: "POST", path: runs + "/run-1/deny", anonymous: true, status: 401, says: "token"},
		{name: "nor close", method: "POST", path: runs + "/run-1/close", anonymous: true, status: 401, says: "token"},
		{name: "nor pause", method: "POST", path: "/api/v1/pauses", body: `{"scope": "all"}`, anonymous: true, status: 401, says: "token"},
		{name: "nor resume", method: "DELETE", path: "/api/v1/pauses", body: `{"scope": "all"}`, anonymous: true, status: 401, says: "token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			engine := &fakeEngine{preview: remediate.Preview{Mode: remediate.ModeShadow}}
			base := serve(t, engine, &fakeJournal{runs: []remediate.Record{aRun()}})
			status, answer := send(t, tt.method, base+tt.path, tt.body, tt.anonymous)
			if status != tt.status || !strings.Contains(answer, tt.says) && !strings.Contains(answer, strings.ReplaceAll(tt.says, `"`, `\"`)) {
				t.Errorf("status %d with %s, want %d with %q", status, answer, tt.status, tt.says)
			}
			if status != http.StatusOK && len(engine.asked) > 0 {
				t.Errorf("the engine was asked all the same: %q", engine.asked)
			}
		})
	}
}

func send(t *testing.T, method, url, body string, anonymous bool) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if !anonymous {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

// TestRuns asks for runs by all that can be asked for, and for none.
func TestRuns(t *testing.T) {
	journal := &fakeJournal{}
	base := serve(t, &fakeEngine{}, journal)
	status, answer := send(t, http.MethodGet, base+"/api/v1/runs?remedy=r&server=s&state=failed&since=2026-11-22T08:00:00Z&limit=7", "", false)
	if status != http.StatusOK || answer != "[]" {
		t.Errorf("no runs are %d %s, want an empty list", status, answer)
	}
	want := remediate.Query{Remedy: "r", Server: "s", State: minikeeper.RunFailed, Since: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), Limit: 7}
	if diff := cmp.Diff(want, journal.query); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	journal.err = errors.New("read journal: the disk failed")
	if status, answer = send(t, http.MethodGet, base+"/api/v1/runs", "", false); status != http.StatusInternalServerError || !strings.Contains(answer, "the disk failed") {
		t.Errorf("a journal that cannot be read is %d %s", status, answer)
	}
}
