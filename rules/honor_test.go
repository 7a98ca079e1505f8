package rules_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/rules"
)

// A process that looks at other servers says whose service it saw, and the
// proof of a repair looks at how the probing process fared.
func TestHonor(t *testing.T) {
	var looked atomic.Int64 // when, in milliseconds
	looked.Store(time.Now().UnixMilli())
	self := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `minikeeper_probe_success{probe="smtp",target="a:25",server="lon-mini-1",site="london"} 1
minikeeper_probe_success{probe="jss",target="https://jss",server="",site=""} 1
minikeeper_filesystem_free_bytes{mountpoint="/"} 1
minikeeper_collector_success{collector="probes"} 1
minikeeper_collector_last_success_timestamp_seconds{collector="probes"} %f
`, float64(looked.Load())/1000)
	})
	o := fast(rules.Inputs{Targets: []rules.ScrapeTarget{{
		Job: "minikeeper", Handler: self, Honor: true, Labels: map[string]string{"server": "hub", "site": "headquarters"},
	}}})
	o.CollectorOf = func(metric string) (string, bool) {
		return "probes", strings.HasPrefix(metric, "minikeeper_probe_")
	}
	s, _ := run(t, o)
	for _, series := range []string{
		`minikeeper_probe_success{probe="smtp",server="lon-mini-1",site="london",instance="self"}`,
		`minikeeper_probe_success{probe="jss",server="",site=""}`,
		`minikeeper_filesystem_free_bytes{server="hub",site="headquarters"}`,
		`minikeeper_collector_success{server="hub",site="headquarters"}`,
	} {
		eventually(t, series, func() bool { return holds(t, s, series) })
	}

	claim := minikeeper.Claim{Expr: `minikeeper_probe_success{server="lon-mini-1"} == 1`, Server: "lon-mini-1", After: time.Now()}
	time.Sleep(time.Second) // some scrapes
	evidence, err := s.Prove(t.Context(), claim)
	if err != nil || evidence.Fresh || !strings.Contains(evidence.Why, "collector probes on hub last succeeded at") {
		t.Errorf("a look before the step proves the repair: %+v, %v", evidence, err)
	}
	looked.Store(time.Now().UnixMilli())
	eventually(t, "proof", func() bool {
		evidence, err := s.Prove(t.Context(), claim)
		return err == nil && evidence.Fresh && evidence.Proven
	})
}

// A keeper is believed about its own services, and about nobody else's.
func TestProbesOfKeepers(t *testing.T) {
	k := newFakeKeeper(t,
		`minikeeper_probe_success{probe="smb",target="a:445",server="lon-mini-1",site="london"} 1`,
		`minikeeper_probe_success{probe="smb",target="b:445",server="lon-mini-2",site="london"} 0`,
		`minikeeper_probe_success{probe="jss",target="https://jss",server="",site=""} 1`,
		`minikeeper_server_pair_info{site="london",server="lon-mini-1",pair="lon-mini-1+lon-mini-2"} 1`,
		`minikeeper_server_pair_info{site="london",server="lon-mini-2",pair="lon-mini-1+lon-mini-2"} 1`,
		`minikeeper_filesystem_free_bytes{server="lon-mini-9"} 1`,
		`minikeeper_postfix_up 1`,
	)
	s, _ := run(t, fast(rules.Inputs{Targets: []rules.ScrapeTarget{k.target()}}))
	eventually(t, "scrape", func() bool { return holds(t, s, `minikeeper_postfix_up{server="lon-mini-1"}`) })
	for _, want := range []string{
		`count(minikeeper_probe_success{target="a:445"}) == 1`,
		`count(minikeeper_probe_success{probe="jss",server="lon-mini-1"}) == 1`,
		`count(minikeeper_server_pair_info) == 1`,
		`count(minikeeper_filesystem_free_bytes{server="lon-mini-1"}) == 1`,
	} {
		if !holds(t, s, want) {
			t.Errorf("%s does not hold", want)
		}
	}
	for _, bad := range []string{`minikeeper_probe_success{target="b:445"}`, `{server!="lon-mini-1",__name__=~"minikeeper_.*"}`, `{__tmp_said_of!=""}`} {
		if holds(t, s, bad) {
			t.Errorf("there is a series %s", bad)
		}
	}
}

// Probes that a reload adds are heard at once.
func TestHonorAfterReload(t *testing.T) {
	self := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `minikeeper_probe_success{probe="smtp",target="a:25",server="lon-mini-1",site="london"} 1`)
	})
	target := rules.ScrapeTarget{Job: "minikeeper", Handler: self, Labels: map[string]string{"server": "hub", "site": "headquarters"}}
	s, _ := run(t, fast(rules.Inputs{Targets: []rules.ScrapeTarget{target}}))
	eventually(t, "scrape", func() bool { return holds(t, s, `up{server="hub"} == 1`) })
	if holds(t, s, `minikeeper_probe_success`) {
		t.Error("a process without probes is believed about another server")
	}
	target.Honor = true
	if err := s.Reload(t.Context(), rules.Inputs{Targets: []rules.ScrapeTarget{target}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "probe", func() bool { return holds(t, s, `minikeeper_probe_success{server="lon-mini-1",site="london"} == 1`) })
	if !holds(t, s, `up{server="hub",instance="self"} == 1`) {
		t.Error("the process itself is not called by its name any more")
	}
}
