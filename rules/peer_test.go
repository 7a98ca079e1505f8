package rules_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper/internal/testkit"
	"github.com/minikeeper/minikeeper/rules"
)

// What a site says on a bad day: something for nearly every shipped alert.
func badDay() (first, second []string) {
	first = []string{
		`minikeeper_collector_success{collector="raid"} 1`,
		`minikeeper_collector_success{collector="disk"} 0`,
		`minikeeper_config_last_reload_successful 0`,
		`minikeeper_remedy_circuit_open{remedy="restart-postfix"} 1`,
		`minikeeper_filesystem_size_bytes{mountpoint="/"} 1000`,
		`minikeeper_filesystem_free_bytes{mountpoint="/"} 20`,
		`minikeeper_raid_redundant{array="Data"} 0`,
		`minikeeper_raid_array_state{array="Data",state="degraded"} 1`,
		`minikeeper_raid_array_state{array="Old",state="offline"} 1`,
		`minikeeper_raid_array_state{array="New",state="rebuilding"} 1`,
		`minikeeper_postfix_up 0`,
		`minikeeper_postfix_queue_oldest_age_seconds{queue="deferred"} 7200`,
		`minikeeper_postfix_queue_messages{queue="deferred"} 60`,
		`minikeeper_postfix_queue_messages{queue="active"} 60`,
		`minikeeper_replica_drift_files{share="casper",kind="missing"} 2`,
		`minikeeper_replica_drift_files{share="casper",kind="content"} 1`,
		`minikeeper_replica_scan_timestamp_seconds{share="casper"} 0`,
		`minikeeper_netboot_image_info{nbi="install.nbi",name="Install",index="4100",kind="1",type="NFS",content="fffffffffffe0000"} 1`,
		`minikeeper_netboot_image_index{nbi="install.nbi"} 4100`,
		`minikeeper_netboot_image_problem{nbi="install.nbi",problem="missing-boot-file"} 1`,
	}
	second = []string{
		`minikeeper_collector_success{collector="raid"} 1`,
		`minikeeper_postfix_up 1`,
		`minikeeper_netboot_image_info{nbi="restore.nbi",name="Restore",index="4100",kind="1",type="NFS",content="1111111111110000"} 1`,
		`minikeeper_netboot_image_index{nbi="restore.nbi"} 4100`,
		`minikeeper_netboot_image_info{nbi="install.nbi",name="Install",index="5000",kind="1",type="NFS",content="fffffffffffe0000"} 1`,
		`minikeeper_netboot_image_index{nbi="install.nbi"} 5000`,
	}
	return first, second
}

// A real Prometheus and ours, on the same rule files and the same servers, come
// to the same alerts.
func TestSameAlertsAsPrometheus(t *testing.T) {
	testkit.Peers(t, "prometheus")
	first, second := badDay()
	one, two, gone := newFakeKeeper(t, first...), newFakeKeeper(t, second...), newFakeKeeper(t)
	gone.setFailing(true)
	targets := map[string]*fakeKeeper{"lon-mini-1": one, "lon-mini-2": two, "lon-mini-3": gone}
	files := hurriedRules(t)

	in := rules.Inputs{RuleFiles: files}
	for server, keeper := range targets {
		target := keeper.target()
		target.Labels["server"] = server
		in.Targets = append(in.Targets, target)
	}
	s, _ := run(t, fast(in))
	theirs := startPrometheus(t, files, targets)

	want := []string{
		"CollectorFailing", "ConfigReloadFailed", "FilesystemAlmostFull", "FilesystemFull", "KeeperDown", "MailQueueLarge", "MailQueueOld",
		"MailRelayDown", "NetBootImageProblem", "NetBootIndexClash", "NetBootIndexSplit", "RaidDegraded", "RaidFailed", "RaidNotRedundant",
		"RaidRebuildingTooLong", "RemedyCircuitOpen", "ReplicaDrift", "ReplicaScanTooOld", "Watchdog",
	}
	var ours []string
	eventually(t, "alert for each fault here", func() bool {
		alerts, _, err := s.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ours = nil
		var names []string
		for _, a := range alerts {
			ours = append(ours, fmt.Sprint(a.State, " ", a.Labels))
			names = append(names, a.Name)
		}
		slices.Sort(names)
		return slices.Equal(slices.Compact(names), want) && !strings.Contains(strings.Join(ours, ""), "pending")
	})
	slices.Sort(ours)
	var seen []string
	deadline := time.Now().Add(30 * time.Second)
	for seen = theirs(); !slices.Equal(seen, ours); seen = theirs() {
		if time.Now().After(deadline) {
			t.Fatalf("alerts differ (-Prometheus +ours):\n%s", cmp.Diff(seen, ours))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// hurriedRules are the shipped rule files without what they wait for.
func hurriedRules(t *testing.T) []string {
	var files []string
	for _, name := range list(t, rules.Shipped(), "*.yml") {
		src, err := os.ReadFile(filepath.Join("shipped", name))
		if err != nil {
			t.Fatal(err)
		}
		var kept []string
		for line := range strings.Lines(string(src)) {
			if !strings.HasPrefix(strings.TrimSpace(line), "for: ") {
				kept = append(kept, line)
			}
		}
		files = append(files, write(t, name, strings.Join(kept, "")))
	}
	return files
}

// startPrometheus starts a Prometheus that is killed with the test, and returns
// what asks it for its alerts.
func startPrometheus(t *testing.T, files []string, targets map[string]*fakeKeeper) func() []string {
	t.Helper()
	var static strings.Builder
	for server, keeper := range targets {
		fmt.Fprintf(&static, "      - {targets: [%q], labels: {site: london, server: %s}}\n", strings.TrimPrefix(keeper.URL, "http://"), server)
	}
	conf := write(t, "prometheus.yml", fmt.Sprintf(
		"global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%s]\nscrape_configs:\n  - job_name: keeper\n    static_configs:\n%s",
		strings.Join(files, ", "), static.String()))
	address := freeAddress(t)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, "prometheus", "--config.file="+conf, "--storage.tsdb.path="+t.TempDir(),
		"--web.listen-address="+address, "--log.level=warn")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("prometheus wrote: %s", log.String())
		}
	})
	return func() []string { return prometheusAlerts(t, address) }
}

func prometheusAlerts(t *testing.T, address string) []string {
	resp, err := http.Get("http://" + address + "/api/v1/alerts")
	if err != nil {
		return []string{err.Error()} // it is still starting
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return []string{err.Error()}
	}
	var alerts []string
	for _, a := range answer.Data.Alerts {
		alerts = append(alerts, fmt.Sprint(a.State, " ", a.Labels))
	}
	slices.Sort(alerts)
	return alerts
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
