package rules_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prometheus/prometheus/model/value"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/rules"
)

// drift is what the replica collector of a server says of one share.
func drift(server string, files float64) minikeeper.Sample {
	return sample("minikeeper_replica_drift_files", files, "server", server, "share", "casper", "kind", "missing")
}

// fares is what an exporter says of its replica collector.
func fares(server string, success float64, last time.Time) []minikeeper.Sample {
	return []minikeeper.Sample{
		sample("minikeeper_collector_success", success, "server", server, "collector", "replica"),
		sample("minikeeper_collector_last_success_timestamp_seconds", float64(last.UnixMilli())/1000, "server", server, "collector", "replica"),
	}
}

func scrape(server string, files, success float64, last time.Time) []minikeeper.Sample {
	return append(fares(server, success, last), drift(server, files))
}

func collectorOf(metric string) (string, bool) {
	return "replica", strings.HasPrefix(metric, "minikeeper_replica_")
}

const equalShare = `sum by (server) (minikeeper_replica_drift_files{share="casper"}) == 0`

func TestProve(t *testing.T) {
	// Each test happens in the last minute. The step ended 30 s ago.
	now := time.Now()
	ago := func(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }
	type batch struct {
		at      time.Time
		samples []minikeeper.Sample
	}
	ended := math.Float64frombits(value.StaleNaN)
	one := func(s ...minikeeper.Sample) []minikeeper.Sample { return s }

	tests := []struct {
		name          string
		expr          string // equalShare if empty
		batches       []batch
		measured      []minikeeper.Measurement
		proven, fresh bool
		why           []string
	}{
		{
			name:    "everything is new",
			batches: []batch{{ago(40), scrape("a", 3, 1, ago(45))}, {ago(10), scrape("a", 0, 1, ago(15))}},
			proven:  true, fresh: true, why: []string{"measured after", `{server="a"} 0`},
		},
		{
			name:    "new, and the fault is still there",
			batches: []batch{{ago(10), scrape("a", 3, 1, ago(15))}},
			fresh:   true, why: []string{"measured after", "it has no result"},
		},
		{
			name:    "no scrape since the step",
			batches: []batch{{ago(40), scrape("a", 0, 1, ago(45))}},
			why:     []string{`minikeeper_replica_drift_files{kind="missing",server="a",share="casper"} was last scraped at`, "it has no result"},
		},
		{
			name:    "a new scrape of an old reading",
			batches: []batch{{ago(10), scrape("a", 0, 1, ago(35))}},
			proven:  true, why: []string{"collector replica on a last succeeded at"},
		},
		{
			name:     "the server's clock is ahead: later than the step by ours, before the fresh reading by its own",
			batches:  []batch{{ago(10), scrape("a", 0, 1, now.Add(time.Minute))}},
			measured: []minikeeper.Measurement{{Collector: "replica", Start: now.Add(2 * time.Minute)}},
			proven:   true, why: []string{"collector replica on a: the scrape shows its success of"},
		},
		{
			name:     "the server's clock is behind, and its reading is the fresh one",
			batches:  []batch{{ago(10), scrape("a", 0, 1, ago(3600))}},
			measured: []minikeeper.Measurement{{Collector: "replica", Start: ago(3601)}, {Collector: "disk", Start: now}},
			proven:   true, fresh: true, why: []string{"measured after"},
		},
		{
			name:     "the fresh reading failed",
			batches:  []batch{{ago(10), scrape("a", 0, 1, ago(15))}},
			measured: []minikeeper.Measurement{{Collector: "replica", Start: ago(20), Error: "share is unreadable"}},
			proven:   true, why: []string{"failed to measure afresh: share is unreadable"},
		},
		{
			name:     "what a server measured says nothing about another one",
			expr:     `minikeeper_replica_drift_files{server="b"} == 0`,
			batches:  []batch{{ago(10), scrape("b", 0, 1, ago(35))}},
			measured: []minikeeper.Measurement{{Collector: "replica", Start: ago(40)}},
			proven:   true, why: []string{"collector replica on b last succeeded at"},
		},
		{
			name:    "the collector fails and its old samples are served",
			batches: []batch{{ago(10), scrape("a", 0, 0, ago(15))}},
			proven:  true, why: []string{"collector replica on a fails"},
		},
		{
			name:    "the collector says nothing about itself",
			batches: []batch{{ago(10), one(drift("a", 0))}},
			proven:  true, why: []string{"collector replica on a does not say when it last succeeded"},
		},
		{
			name: "the collector succeeded, but after what was scraped",
			batches: []batch{
				{ago(20), scrape("a", 0, 1, ago(35))},
				{ago(10), fares("a", 1, ago(12))},
			},
			proven: true, why: []string{"collector replica on a last succeeded at"},
		},
		{
			name:    "nothing is there",
			batches: []batch{{ago(10), one(sample("other", 1))}},
			why:     []string{`there is no series minikeeper_replica_drift_files{share="casper"}`},
		},
		{
			name:    "the series has ended, so it is missing, not healed",
			batches: []batch{{ago(20), scrape("a", 0, 1, ago(22))}, {ago(10), one(drift("a", ended))}},
			why:     []string{"there is no series"},
		},
		{
			name:    "one of two summed series is old",
			batches: []batch{{ago(40), scrape("b", 0, 1, ago(45))}, {ago(10), scrape("a", 0, 1, ago(15))}},
			proven:  true, why: []string{`server="b",share="casper"} was last scraped at`},
		},
		{
			name:    "each selector must find something",
			expr:    `minikeeper_replica_drift_files == 0 unless on (server) maintenance`,
			batches: []batch{{ago(10), scrape("a", 0, 1, ago(15))}},
			proven:  true, why: []string{"there is no series maintenance"},
		},
		{
			name:    "a range also counts older samples; the newest is fresh",
			expr:    `increase(errors_total[5m]) == 0`,
			batches: []batch{{ago(50), one(sample("errors_total", 7))}, {ago(10), one(sample("errors_total", 7))}},
			proven:  true, fresh: true, why: []string{"older samples also count in errors_total[5m]"},
		},
		{
			name:    "a range whose newest sample is old",
			expr:    `increase(errors_total[5m]) == 0`,
			batches: []batch{{ago(50), one(sample("errors_total", 7))}, {ago(40), one(sample("errors_total", 7))}},
			proven:  true, why: []string{"errors_total was last scraped at"},
		},
		{
			name:    "a range over a series that has ended",
			expr:    `increase(errors_total[5m]) == 0`,
			batches: []batch{{ago(25), one(sample("errors_total", 7))}, {ago(20), one(sample("errors_total", 7))}, {ago(10), one(sample("errors_total", ended))}},
			proven:  true, why: []string{"has ended"},
		},
		{
			name:    "a subquery is a range",
			expr:    `max_over_time((errors_total > bool 9)[2m:1s]) == 0`,
			batches: []batch{{ago(40), one(sample("errors_total", 7))}},
			proven:  true, why: []string{"was last scraped at", "older samples also count in (errors_total > bool 9)[2m:1s]"},
		},
		{
			name:    "an offset looks at what was before the step",
			expr:    `service_up offset 25s == 1`,
			batches: []batch{{ago(40), one(sample("service_up", 1))}, {ago(10), one(sample("service_up", 1))}},
			proven:  true, why: []string{"service_up was last scraped at"},
		},
		{
			name:    "what a rule made of samples has no age",
			expr:    `job:up:sum == 1`,
			batches: []batch{{ago(10), one(sample("job:up:sum", 1))}},
			proven:  true, why: []string{"is made by a rule"},
		},
	}
	file := write(t, "rules.yml", "groups: [{name: g, rules: [{record: 'job:up:sum', expr: sum(up)}]}]")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, rules.Options{CollectorOf: collectorOf, Inputs: rules.Inputs{RuleFiles: []string{file}}})
			for _, b := range tt.batches {
				if err := s.Append(t.Context(), b.samples, b.at); err != nil {
					t.Fatal(err)
				}
			}
			expr := tt.expr
			if expr == "" {
				expr = equalShare
			}
			e, err := s.Prove(t.Context(), minikeeper.Claim{Expr: expr, Server: "a", After: ago(30), Measurements: tt.measured})
			if err != nil {
				t.Fatal(err)
			}
			if e.Proven != tt.proven || e.Fresh != tt.fresh {
				t.Errorf("proven %v, fresh %v, want %v, %v: %s", e.Proven, e.Fresh, tt.proven, tt.fresh, e.Why)
			}
			for _, why := range tt.why {
				if !strings.Contains(e.Why, why) {
					t.Errorf("why is %q, want something with %q", e.Why, why)
				}
			}
			if e.At.Before(now) {
				t.Errorf("judged at %v, before the test began", e.At)
			}
		})
	}
}

// Before any time has passed nothing can be fresh.
func TestProveInTheFuture(t *testing.T) {
	s := open(t, rules.Options{})
	now := time.Now()
	if err := s.Append(t.Context(), []minikeeper.Sample{sample("service_up", 1)}, now); err != nil {
		t.Fatal(err)
	}
	e, err := s.Prove(t.Context(), minikeeper.Claim{Expr: "service_up == 1", After: now.Add(time.Hour)})
	if err != nil || e.Proven || e.Fresh || e.Why == "" {
		t.Errorf("got %+v, %v, want neither proven nor fresh", e, err)
	}
}

// The series of one target are judged by that target's collector, even where
// another one carries the same server.
func TestProveTellsTargetsApart(t *testing.T) {
	s := open(t, rules.Options{CollectorOf: collectorOf})
	now := time.Now()
	of := func(job string, samples []minikeeper.Sample) []minikeeper.Sample {
		for i := range samples {
			samples[i].Labels = append(samples[i].Labels, minikeeper.Label{Name: "job", Value: job})
		}
		return samples
	}
	samples := of("keeper", scrape("a", 0, 1, now.Add(-time.Hour)))
	samples = append(samples, of("other", fares("a", 1, now))...)
	if err := s.Append(t.Context(), samples, now.Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	e, err := s.Prove(t.Context(), minikeeper.Claim{Expr: equalShare, Server: "a", After: now.Add(-30 * time.Second)})
	if err != nil || e.Fresh || !strings.Contains(e.Why, "last succeeded") {
		t.Errorf("got %+v, %v, want not fresh", e, err)
	}
}

// The same over HTTP: a keeper that answers with what it read before the step
// does not prove anything until it has read again.
func TestProveAfterScrape(t *testing.T) {
	with := func(files float64, last time.Time) []string {
		return []string{
			sample("minikeeper_replica_drift_files", files, "share", "casper", "kind", "missing").String(),
			sample("minikeeper_collector_success", 1, "collector", "replica").String(),
			sample("minikeeper_collector_last_success_timestamp_seconds", float64(last.UnixMilli())/1000, "collector", "replica").String(),
		}
	}

	began := time.Now()
	keeper := newFakeKeeper(t, with(0, began)...)
	o := fast(rules.Inputs{Targets: []rules.ScrapeTarget{keeper.target()}})
	o.CollectorOf = collectorOf
	s, _ := run(t, o)
	eventually(t, "sample", func() bool { return holds(t, s, "minikeeper_replica_drift_files") })

	step := time.Now()
	claim := minikeeper.Claim{Expr: equalShare, Server: "lon-mini-1", After: step}
	eventually(t, "scrape after the step", func() bool {
		e, err := s.Prove(t.Context(), claim)
		if err != nil {
			t.Fatal(err)
		}
		if e.Fresh {
			t.Fatalf("a reading from before the step counts: %s", e.Why)
		}
		return strings.Contains(e.Why, "last succeeded")
	})
	afresh := time.Now()
	claim.Measurements = []minikeeper.Measurement{{Collector: "replica", Start: afresh}}
	keeper.set(with(0, afresh.Add(time.Millisecond))...)
	eventually(t, "proof", func() bool {
		e, err := s.Prove(t.Context(), claim)
		return err == nil && e.Proven && e.Fresh
	})
	keeper.setFailing(true)
	eventually(t, "end of the proof with the keeper's silence", func() bool {
		e, err := s.Prove(t.Context(), claim)
		return err == nil && !e.Proven && !e.Fresh
	})
}

func TestHolds(t *testing.T) {
	s := open(t, rules.Options{})
	if err := s.Append(t.Context(), []minikeeper.Sample{sample("service_up", 1, "server", "a")}, time.Now()); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		expr string
		want bool
		why  string
	}{
		{"service_up == 1", true, `service_up{server="a"}`},
		{"service_up == 0", false, "it has no result"},
		{"service_down == 1", false, "there is no series service_down"},
		{"absent(service_down)", true, "it has a result"},
		{"scalar(service_up)", true, "1"},
	}
	for _, tt := range tests {
		got, why, err := s.Holds(t.Context(), tt.expr)
		if err != nil || got != tt.want || !strings.Contains(why, tt.why) {
			t.Errorf("%s: got %v, %q, %v, want %v with %q", tt.expr, got, why, err, tt.want, tt.why)
		}
	}
	for _, bad := range []string{"sum(", "service_up[5m]", `"text"`} {
		if _, _, err := s.Holds(t.Context(), bad); err == nil {
			t.Errorf("%s was evaluated", bad)
		}
	}
}

func TestLatest(t *testing.T) {
	s := open(t, rules.Options{})
	if err := s.Append(t.Context(), []minikeeper.Sample{sample("service_up", 1, "server", "a")}, time.Now()); err != nil {
		t.Fatal(err)
	}
	got, err := s.Latest(t.Context(), "service_up")
	if err != nil || len(got) != 1 || got[0].String() != `service_up{server="a"} 1` {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := s.Latest(t.Context(), "sum(service_up) + 1"); err != nil || len(got) != 1 || got[0].Value != 2 {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := s.Latest(t.Context(), "service_up[1m]"); err == nil {
		t.Error("a range was evaluated")
	}
}

func TestCollectors(t *testing.T) {
	s := open(t, rules.Options{CollectorOf: func(metric string) (string, bool) {
		name, ok := map[string]string{"minikeeper_postfix_up": "postfix", "minikeeper_replica_in_sync": "replica"}[metric]
		return name, ok
	}})
	tests := []struct {
		expr string
		want []string
	}{
		{`minikeeper_postfix_up == 1`, []string{"postfix"}},
		{`minikeeper_postfix_up == 1 and on (server) up == 1`, []string{"postfix"}},
		{`minikeeper_replica_in_sync == 1 and minikeeper_postfix_up == 1 and minikeeper_postfix_up > 0`, []string{"postfix", "replica"}},
		{`minikeeper_postfix_up == 1 and somebodys_metric`, nil},
		{`{__name__=~"minikeeper_.*"} == 1`, nil},
		{`up == 1`, nil},
		{`minikeeper_postfix_up ==`, nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, s.Collectors(tt.expr)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.expr, diff)
		}
	}
}
