package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	promapi "github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"

	"github.com/minikeeper/minikeeper/internal/testkit"
)

// startShow runs the demonstration's site, with simulated relays, until the
// test ends. It is well when startShow returns.
func startShow(t testing.TB) *show {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	s, err := newShow(ctx, filepath.Join(t.TempDir(), "site"), demoOptions{once: true, simulate: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		stop()
		t.Fatal(err)
	}
	group, running := errgroup.WithContext(ctx)
	for _, task := range s.tasks() {
		group.Go(func() error { return task.run(running) })
	}
	t.Cleanup(func() {
		stop()
		if err := errors.Join(group.Wait(), s.Close()); err != nil {
			t.Errorf("end of the site: %v", err)
		}
	})
	eventually(t, "the site to be well", func() error { return s.well(t.Context()) })
	return s
}

// breakAndAwait breaks what the faults of these names say, and waits until each
// is healed or told.
func breakAndAwait(t testing.TB, s *show, names ...string) {
	t.Helper()
	broken := make(map[string]time.Time)
	all := s.world.Faults()
	faults := all[:0]
	for _, name := range names {
		f, err := findFault(s.world.Faults(), name)
		if err != nil {
			t.Fatal(err)
		}
		faults = append(faults, f)
		broken[name] = time.Now()
		if err := f.Break(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the faults to be dealt with", func() error {
		_, err := s.rows(t.Context(), faults, broken)
		return err
	})
}

// TestPeers holds a hub that has healed something and told of it against the
// programs that people use with it.
func TestPeers(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the site takes some seconds to break and heal")
	}
	s := startShow(t)
	breakAndAwait(t, s, "nbi", "raid")
	t.Run("promtool", func(t *testing.T) { likedByPromtool(t, s) })
	t.Run("prometheus", func(t *testing.T) { scrapedByPrometheus(t, s) })
	t.Run("grafana", func(t *testing.T) { askedByGrafana(t, s) })
}

// likedByPromtool has Debian's promtool parse and lint all that the hub and a
// keeper export, with the metrics of runner, notifier and runtime.
func likedByPromtool(t *testing.T, s *show) {
	testkit.Peers(t, "promtool")
	for name, d := range map[string]*daemon{"hub": s.hub, "keeper": s.keepers[0]} {
		metrics := get(t, d.url("/metrics"))
		wanted := []string{"minikeeper_build_info", "minikeeper_config_last_reload_successful", "go_goroutines", "process_cpu_seconds_total"}
		if d.hub != nil {
			wanted = append(wanted, "minikeeper_remediation_runs_total", "minikeeper_remediation_active", "minikeeper_remedy_mode", "minikeeper_notif")
		}
		for _, want := range wanted {
			if !strings.Contains(metrics, "\n"+want) {
				t.Errorf("%s exports no %s", name, want)
			}
		}
		cmd := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
		cmd.Stdin = strings.NewReader(metrics)
		if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("promtool check metrics of %s: %v\n%s", name, err, out)
		}
	}
}

// scrapedByPrometheus has Debian's Prometheus scrape the hub and its keepers.
func scrapedByPrometheus(t *testing.T, s *show) {
	testkit.Peers(t, "prometheus")
	api := startPrometheus(t, s.hub.addr.String(), s.keepers[0].addr.String(), s.keepers[1].addr.String())
	for query, want := range map[string]string{
		`count(up == 1)`: "3",
		`sum(minikeeper_remediation_runs_total{outcome="succeeded",remedy="reindex-clashing-nbi"})`: "1",
		`count(minikeeper_raid_redundant == 0)`:                                                     "1",
		`count(minikeeper_netboot_image_info)`:                                                      "2",
		`max(scrape_samples_scraped) > bool 100`:                                                    "1",
		`count(minikeeper_collector_success{collector!="config"} == 0)`:                             "",
	} {
		eventually(t, query, func() error { return answers(t.Context(), api, query, want) })
	}
}

// answers tells whether query has one result with the value want, or none if
// that is empty.
func answers(ctx context.Context, api promv1.API, query, want string) error {
	value, _, _, err := api.Query(ctx, query, time.Now())
	if err != nil {
		return err
	}
	vector, ok := value.(model.Vector)
	switch {
	case !ok || len(vector) > 1:
		return fmt.Errorf("the answer is %v", value)
	case len(vector) == 0 && want == "":
		return nil
	case len(vector) == 0 || vector[0].Value.String() != want:
		return fmt.Errorf("the answer is %v, want %s", vector, want)
	}
	return nil
}

// startPrometheus starts a Prometheus that scrapes targets once a second.
func startPrometheus(t *testing.T, targets ...string) promv1.API {
	t.Helper()
	dir, addr := t.TempDir(), net.JoinHostPort("127.0.0.1", freePort(t))
	config := "scrape_configs: [{job_name: minikeeper, scrape_interval: 1s, static_configs: [{targets: ['" + strings.Join(targets, "', '") + "']}]}]\n"
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return queryAPI(t, "http://"+addr)
}

func queryAPI(t testing.TB, address string) promv1.API {
	t.Helper()
	client, err := promapi.NewClient(promapi.Config{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	return promv1.NewAPI(client)
}

// askedByGrafana asks the hub's /query what Grafana's Prometheus data source
// asks: its health check, the query builder's lists, and panels.
func askedByGrafana(t *testing.T, s *show) {
	api, ctx := queryAPI(t, s.hub.url("/query")), t.Context()
	now := time.Now()

	build, err := api.Buildinfo(ctx)
	if err != nil || build.Version == "" {
		t.Errorf("build info %+v: %v", build, err)
	}
	if err := answers(ctx, api, "vector(1)+vector(1)", "2"); err != nil { // "Save & test"
		t.Error(err)
	}
	names, _, _, err := api.LabelNames(ctx, []string{"minikeeper_raid_redundant"}, now.Add(-time.Hour), now)
	if err != nil || names.String() != "__name__, array, instance, job, server, site" {
		t.Errorf("labels %v: %v", names, err)
	}
	servers, _, _, err := api.LabelValues(ctx, "server", []string{"up"}, now.Add(-time.Hour), now)
	if err != nil || fmt.Sprint(servers) != "[hub lon-mini-1 lon-mini-2]" {
		t.Errorf("servers %v: %v", servers, err)
	}
	series, _, _, err := api.Series(ctx, []string{`minikeeper_netboot_image_index`}, now.Add(-time.Hour), now)
	if err != nil || len(series) != 2 {
		t.Errorf("series %v: %v, want those of two images", series, err)
	}
	metadata, err := api.Metadata(ctx, "minikeeper_raid_redundant", "1")
	if m := metadata["minikeeper_raid_redundant"]; err != nil || len(m) != 1 || m[0].Type != promv1.MetricTypeGauge || m[0].Help == "" {
		t.Errorf("metadata %v: %v", metadata, err)
	}
	value, _, _, err := api.QueryRange(ctx, `sum by (server) (up{site="london"})`, promv1.Range{Start: now.Add(-4 * time.Second), End: now, Step: time.Second})
	if matrix, ok := value.(model.Matrix); err != nil || !ok || len(matrix) != 2 || len(matrix[0].Values) != 5 {
		t.Errorf("range %v: %v, want five points for two servers", value, err)
	}
	alerts, err := api.Alerts(ctx)
	if err != nil || !strings.Contains(fmt.Sprint(alerts), "RaidNotRedundant") {
		t.Errorf("alerts %v: %v", alerts, err)
	}
	if err := answers(ctx, api, `count(ALERTS{alertname="RaidNotRedundant",alertstate="firing",server="lon-mini-1"})`, "1"); err != nil {
		t.Error(err)
	}
	rules, err := api.Rules(ctx, nil)
	if err != nil || len(rules.Groups) < 5 {
		t.Errorf("%d groups of rules: %v", len(rules.Groups), err)
	}
	if _, _, _, err := api.Query(ctx, "sum(", now); err == nil || !strings.Contains(err.Error(), "bad_data") {
		t.Errorf("a query with a syntax error: %v", err)
	}
}
