package rules_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/rules"
)

// open opens a store in a new directory that is closed with the test.
func open(t testing.TB, o rules.Options) *rules.Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "store")
	}
	s, err := rules.Open(context.WithoutCancel(t.Context()), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// run opens a store and runs it; the returned function ends both.
func run(t testing.TB, o rules.Options) (*rules.Store, func()) {
	t.Helper()
	s := open(t, o)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.Cleanup(stop)
	return s, stop
}

// fakeKeeper serves metrics that the test changes.
type fakeKeeper struct {
	*httptest.Server
	mu   sync.Mutex
	body string
	fail bool
}

func newFakeKeeper(t testing.TB, lines ...string) *fakeKeeper {
	f := &fakeKeeper{}
	f.set(lines...)
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeKeeper) set(lines ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.body = strings.Join(lines, "\n") + "\n"
}

func (f *fakeKeeper) setFailing(fail bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *fakeKeeper) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail {
		http.Error(w, "broken", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprint(w, f.body)
}

// target is f as lon-mini-1 at london.
func (f *fakeKeeper) target() rules.ScrapeTarget {
	return rules.ScrapeTarget{
		Job: "keeper", URL: f.URL + "/metrics",
		Labels: map[string]string{"site": "london", "server": "lon-mini-1"},
	}
}

// fast are options with which things happen within moments.
func fast(in rules.Inputs) rules.Options {
	return rules.Options{Interval: 200 * time.Millisecond, EvalInterval: 200 * time.Millisecond, Inputs: in}
}

// write puts text into a file of a new directory and returns its path.
func write(t testing.TB, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// eventually waits until is returns true.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s there was no %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// holds tells whether expr has a result now.
func holds(t testing.TB, s *rules.Store, expr string) bool {
	t.Helper()
	ok, _, err := s.Holds(t.Context(), expr)
	if err != nil {
		t.Fatalf("holds %s: %v", expr, err)
	}
	return ok
}

// find returns the alert called name, if it is there once, and whether the
// store is unsure about it.
func find(t testing.TB, s *rules.Store, name string) (alert minikeeper.Alert, found, unsure bool) {
	t.Helper()
	alerts, doubts, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts {
		if a.Name == name {
			if found {
				t.Fatalf("alert %s is there twice", name)
			}
			alert, found = a, true
		}
	}
	return alert, found, doubts[name]
}

// sample writes as "name a=1 b=2 = value".
func sample(name string, value float64, pairs ...string) minikeeper.Sample {
	s := minikeeper.Sample{Name: name, Value: value}
	for i := 0; i < len(pairs); i += 2 {
		s.Labels = append(s.Labels, minikeeper.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return s
}
