package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// distributionPoints starts a web server for each name, all with one canary.
func distributionPoints(t *testing.T, names ...string) map[string]*httptest.Server {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "canary.pkg"), []byte("a small package\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]*httptest.Server)
	for _, name := range names {
		all[name] = httptest.NewServer(http.FileServer(http.Dir(dir)))
		t.Cleanup(all[name].Close)
	}
	return all
}

// runDaemon runs a daemon with a configuration until the test ends.
func runDaemon(t *testing.T, text string) *daemon {
	t.Helper()
	file := filepath.Join(t.TempDir(), "minikeeper.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	d, err := newDaemon(ctx, file, options{log: slog.New(slog.DiscardHandler), hurry: true})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// eventuallyHolds waits until the store of d has a result for expr.
func eventuallyHolds(t *testing.T, d *daemon, expr string) {
	t.Helper()
	eventually(t, expr, func() error {
		ok, why, err := d.hub.store.Holds(t.Context(), expr)
		if err == nil && !ok {
			return errors.New(why)
		}
		return err
	})
}

// A pair loses one server, then both.
func TestPairFailover(t *testing.T) {
	points := distributionPoints(t, "lon-mini-1", "lon-mini-2")
	d := runDaemon(t, fmt.Sprintf(`
listen: 127.0.0.1:0
data_dir: state
server: hub
collectors: {}
sites:
  - {name: london, pairs: [[lon-mini-1, lon-mini-2]], servers: [{name: lon-mini-1}, {name: lon-mini-2}]}
  - {name: headquarters, servers: [{name: hub, local: true}]}
store: {interval: 300ms}
probes:
  every: 1s
  timeout: 2s
  distribution_points:
    - {server: lon-mini-1, url: %q, file: canary.pkg}
    - {server: lon-mini-2, url: %q, file: canary.pkg}
`, points["lon-mini-1"].URL, points["lon-mini-2"].URL))

	eventuallyHolds(t, d, `count(minikeeper_probe_success{site="london",server=~"lon-mini-[12]"} == 1) == 2`)
	eventuallyHolds(t, d, `minikeeper_collector_success{collector="probes",server="hub",site="headquarters"} == 1`)
	if ok, _, err := d.hub.store.Holds(t.Context(), `ALERTS{alertname=~".*DistributionPoint.*"}`); ok || err != nil {
		t.Errorf("both serve, and there is an alert (%v)", err)
	}
	points["lon-mini-1"].Close()
	eventuallyHolds(t, d, `ALERTS{alertname="DistributionPointDown",server="lon-mini-1",site="london",alertstate="firing"}`)
	eventuallyHolds(t, d, `minikeeper_probe_problem{server="lon-mini-1",problem="refused"}`)
	if ok, _, err := d.hub.store.Holds(t.Context(), `ALERTS{alertname="NoDistributionPoint"} or minikeeper_probe_success{server="lon-mini-2"} == 0`); ok || err != nil {
		t.Errorf("the partner serves, and there is an alert of nobody (%v)", err)
	}
	points["lon-mini-2"].Close()
	eventuallyHolds(t, d, `ALERTS{alertname="NoDistributionPoint",pair="lon-mini-1+lon-mini-2",alertstate="firing"} unless on () ALERTS{alertname="DistributionPointDown"}`)
}
