package keeper_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/keeper"
	"github.com/minikeeper/minikeeper/remediate/actions"
)

// serve returns the address of a server that hands each request to h.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// TestRoundTrip does over HTTP what a hub does, against a real keeper.
func TestRoundTrip(t *testing.T) {
	r := &repair{}
	cfg := config(t.TempDir(), r)
	cfg.Collect = func(_ context.Context, names ...string) ([]minikeeper.Measurement, error) {
		return []minikeeper.Measurement{{Collector: strings.Join(names, "+"), Start: time.Unix(1795400000, 5).UTC()}}, nil
	}
	k, err := keeper.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close(t.Context())
	c := keeper.NewClient(serve(t, keeper.Handler(k, nil))+"/", nil, "")

	p, err := c.Plan(t.Context(), minikeeper.Order{Action: "repair"})
	if diff := cmp.Diff(plan(2), p); err != nil || diff != "" {
		t.Fatalf("%v %s", err, diff)
	}
	_, err = c.Plan(t.Context(), minikeeper.Order{Action: "forbidden"})
	refused(t, err, `action "forbidden" is not allowed on this server (allowed: repair)`)

	o := minikeeper.Order{Run: "run-1", Fence: 1, Action: "repair", PlanHash: actions.PlanHash(p)}
	over, err := c.Do(t.Context(), o, 0)
	if err != nil {
		t.Fatal(err)
	}
	here, err := k.Do(t.Context(), o, 0)
	if diff := cmp.Diff(here, over); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	_, err = c.Do(t.Context(), order("run-0", 0), 0)
	refused(t, err, "the order's fence 0 is older than 1, that of run run-1")
	if run, err := c.Running(t.Context()); run != "" || err != nil {
		t.Errorf("Running() = %q, %v", run, err)
	}
	measured, err := c.Collect(t.Context(), "disk", "raid")
	want := []minikeeper.Measurement{{Collector: "disk+raid", Start: time.Unix(1795400000, 5).UTC()}}
	if diff := cmp.Diff(want, measured); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// cutting loses the answers to the first cuts requests after the server has
// begun to act on them.
func cutting(cuts int32, h http.Handler) http.Handler {
	var seen atomic.Int32
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen.Add(1) > cuts {
			h.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler) // closes the connection without an answer
	})
}

func TestCutConnections(t *testing.T) {
	r := &repair{}
	k := open(t, t.TempDir(), r)
	c := keeper.NewClient(serve(t, cutting(3, keeper.Handler(k, nil))), nil, "")
	got, err := c.Do(t.Context(), order("run-1", 1), 0)
	if err != nil || got.Output != "did step 0" {
		t.Errorf("got %+v, %v", got, err)
	}
	if n := r.done.Load(); n != 1 {
		t.Errorf("the step was done %d times", n)
	}
}

func TestAnswersOfOthers(t *testing.T) {
	tests := []struct {
		name     string
		statuses []int // of the first answers; the last is repeated
		body     string
		refused  bool
		want     string
		result   string
	}{
		{name: "still running, then done", statuses: []int{202, 202, 200}, body: `{"output":"ok"}`, result: "ok"},
		{name: "a proxy without its backend", statuses: []int{502, 503, 504, 200}, body: `{"output":"ok"}`, result: "ok"},
		{name: "not let in", statuses: []int{401}, body: "no\n", refused: true, want: "401 Unauthorized"},
		{name: "no keeper there", statuses: []int{404}, refused: true, want: "404 Not Found"},
		{name: "refused by the keeper", statuses: []int{409}, body: `{"error":"busy"}`, refused: true, want: "busy"},
		{name: "refused by the keeper after a lost answer", statuses: []int{502, 409}, body: `{"error":"busy"}`, refused: true, want: "busy"},
		{name: "locked out while it runs", statuses: []int{202, 401}, body: `{"error":"who are you"}`, want: "for a step that may have begun: who are you"},
		{name: "does not know", statuses: []int{500}, body: `{"error":"interrupted"}`, want: "answers: interrupted"},
		{name: "elsewhere", statuses: []int{307}, want: "answers: 307 Temporary Redirect"},
		{name: "nonsense", statuses: []int{200}, body: "<html>", want: "read answer of"},
		{name: "too much", statuses: []int{200}, body: `{"output":"` + strings.Repeat("x", 1<<20) + `"}`, want: "it is longer than 1048576 bytes"},
		{name: "busy for ever", statuses: []int{503}, body: `{"error":"later"}`, want: "answers: later"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var asked int
			c := keeper.NewClient(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				status := tt.statuses[min(asked, len(tt.statuses)-1)]
				asked++
				if status == http.StatusTemporaryRedirect {
					w.Header().Set("Location", "/elsewhere")
				}
				w.WriteHeader(status)
				_, _ = io.WriteString(w, tt.body)
			})), nil, "")
			if tt.name == "busy for ever" {
				c.Patience = time.Millisecond
			}
			got, err := c.Do(t.Context(), order("run-1", 1), 0)
			if got.Output != tt.result || (err == nil) != (tt.want == "") {
				t.Fatalf("got %+v, %v", got, err)
			}
			if _, is := errors.AsType[keeper.Refused](err); is != tt.refused || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v (refused %v), want %q", err, is, tt.want)
			}
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	c := keeper.NewClient(s.URL, nil, "")
	c.Patience = 300 * time.Millisecond
	_, err := c.Do(t.Context(), order("run-1", 1), 0)
	if _, is := errors.AsType[keeper.Refused](err); err == nil || is {
		t.Errorf("got %v, want an error that leaves it open", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	c.Patience = time.Hour
	if _, err := c.Do(ctx, order("run-1", 1), 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
}

func TestToken(t *testing.T) {
	var seen []string
	c := keeper.NewClient(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.URL.Path+" "+r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, "{}")
	})), nil, "s3cret")
	if _, err := c.Running(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Plan(t.Context(), minikeeper.Order{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"/api/v1/actions/running Bearer s3cret", "/api/v1/actions/plan Bearer s3cret"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
}

// TestLongStep checks that a request does not wait for a step for longer than
// it was told to.
func TestLongStep(t *testing.T) {
	finish := make(chan struct{})
	k := open(t, t.TempDir(), &repair{do: func(context.Context, minikeeper.Step) (string, error) { <-finish; return "finished", nil }})
	url := serve(t, keeper.Handler(k, nil))
	body, err := json.Marshal(map[string]any{"order": order("run-1", 1), "step": 0, "wait_seconds": 1})
	if err != nil {
		t.Fatal(err)
	}
	status, answer := post(t, url+"/api/v1/actions/do", "application/json", string(body))
	if status != http.StatusAccepted || answer != `{"run":"run-1"}` {
		t.Errorf("got %d %s", status, answer)
	}
	close(finish)
	status, answer = post(t, url+"/api/v1/actions/do", "application/json", string(body))
	if status != http.StatusOK || !strings.Contains(answer, `"output":"finished"`) {
		t.Errorf("got %d %s", status, answer)
	}
}

func TestBadRequests(t *testing.T) {
	k := open(t, t.TempDir(), &repair{})
	url := serve(t, keeper.Handler(k, nil))
	tests := []struct {
		name, path, kind, body string
		status                 int
		want                   string
	}{
		{"a form", "actions/plan", "application/x-www-form-urlencoded", "action=repair", 415, "the body must be application/json"},
		{"no type", "actions/plan", "", "{}", 415, "the body must be application/json"},
		{"an unknown field", "actions/plan", "application/json", `{"action":"repair","force":true}`, 400, `read request: json: unknown field "force"`},
		{"an unknown field within", "actions/do", "application/json", `{"order":{"action":"repair","force":true}}`, 400, `read request: json: unknown field "force"`},
		{"a wrong type", "actions/do", "application/json", `{"step":"0"}`, 400, "read request: json: cannot unmarshal"},
		{"two values", "actions/plan", "application/json", `{}{}`, 400, "read request: there is more than one value"},
		{"rubbish after it", "actions/plan", "application/json", `{}]`, 400, "read request: invalid character"},
		{"half a value", "collect", "application/json", `{"collectors":["disk"`, 400, "read request: unexpected EOF"},
		{"nothing", "collect", "application/json", ``, 400, "read request: EOF"},
		{"too much", "actions/plan", "application/json", `{"action":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "the body is longer than 1048576 bytes"},
		{"a charset", "actions/plan", "application/json; charset=utf-8", `{"action":"reboot"}`, 409, "is not allowed on this server"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, answer := post(t, url+"/api/v1/"+tt.path, tt.kind, tt.body)
			var reply struct{ Error string }
			if err := json.Unmarshal([]byte(answer), &reply); err != nil {
				t.Fatalf("%q: %v", answer, err)
			}
			if status != tt.status || !strings.Contains(reply.Error, tt.want) {
				t.Errorf("got %d %q, want %d %q", status, reply.Error, tt.status, tt.want)
			}
		})
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v1/actions/do", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET of a changing path: %s", res.Status)
	}
}

// post sends body and returns the answer's status and trimmed body.
func post(t *testing.T, url, kind, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
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
	return res.StatusCode, strings.TrimSpace(string(answer))
}

// echo is a target that only looks at what it is asked.
type echo struct {
	orders []minikeeper.Order
}

func (e *echo) Plan(_ context.Context, o minikeeper.Order) (minikeeper.Plan, error) {
	e.orders = append(e.orders, o)
	return minikeeper.Plan{Action: o.Action}, nil
}

func (e *echo) Do(_ context.Context, o minikeeper.Order, _ int) (minikeeper.StepResult, error) {
	e.orders = append(e.orders, o)
	return minikeeper.StepResult{}, nil
}

func (*echo) Running(context.Context) (string, error) { return "", nil }

func (*echo) Collect(context.Context, ...string) ([]minikeeper.Measurement, error) { return nil, nil }

// FuzzRequest checks that every body is answered with JSON, and that what gets
// through to the target is what was written, whole.
func FuzzRequest(f *testing.F) {
	f.Add("plan", `{"action":"repair","with":{"share":"casper"}}`)
	f.Add("do", `{"order":{"run":"r","fence":1,"action":"repair","plan_hash":"00"},"step":0,"wait_seconds":1}`)
	f.Add("do", `{"order":{"run":"r","run":"s"},"step":-1,"wait_seconds":-9223372036854775808}`)
	f.Add("plan", `{"ACTION":"repair"}`)
	f.Add("plan", "null")
	f.Add("plan", "{}\n{}")
	f.Fuzz(func(t *testing.T, path, body string) {
		if path != "plan" && path != "do" {
			t.Skip("no such path")
		}
		target := &echo{}
		req := httptest.NewRequest(http.MethodPost, "/api/v1/actions/"+path, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		keeper.Handler(target, nil).ServeHTTP(rec, req)
		if !json.Valid(rec.Body.Bytes()) {
			t.Errorf("the answer is not JSON: %q", rec.Body)
		}
		switch {
		case rec.Code == http.StatusBadRequest && len(target.orders) == 0:
		case rec.Code == http.StatusOK && len(target.orders) == 1:
			if !json.Valid([]byte(body)) {
				t.Errorf("%q got through", body)
			}
		default:
			t.Errorf("status %d with %d orders", rec.Code, len(target.orders))
		}
	})
}
