package notify_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/notify"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

var at = time.Date(2026, 11, 22, 22, 4, 5, 0, time.UTC)

// drift is the alert that most tests are about.
func drift() minikeeper.Alert {
	return minikeeper.Alert{
		Name:   "ReplicaDrift",
		Labels: map[string]string{"alertname": "ReplicaDrift", "site": "london", "server": "lon-mini-1", "share": "casper", "severity": "page"},
		Annotations: map[string]string{
			"summary": "3 files of share casper differ from the origin", "description": "Clients would install the wrong package.\nThe share is served by lon-mini-2 meanwhile.",
			"runbook_url": "https://example.com/runbooks/drift",
		},
		State: minikeeper.AlertFiring, ActiveAt: at.Add(-130 * time.Second), FiredAt: at.Add(-10 * time.Second),
	}
}

// resync is a run that is about drift.
func resync(state minikeeper.RunState, reason string) *minikeeper.Run {
	return &minikeeper.Run{
		ID: "20261122-220405-k3x9", Remedy: "resync-drifted-replica", Action: "resync", Server: "lon-mini-1", Site: "london",
		Alert: drift(), State: state, Reason: reason, Started: at,
		Plan: minikeeper.Plan{Action: "resync", Steps: []minikeeper.Step{
			{Name: "fetch what differs", Op: "resync", Args: map[string]string{"share": "casper"}},
			{Name: "reload the share", Command: &minikeeper.Command{Path: "/usr/sbin/sharing", Args: []string{"-e", "casper"}}},
		}},
	}
}

func done(r *minikeeper.Run, failure, output string) *minikeeper.Run {
	for i, s := range r.Plan.Steps {
		result := &minikeeper.StepResult{Start: at, End: at.Add(1500 * time.Millisecond)}
		if i == 1 {
			result.Error, result.Output = failure, output
		}
		r.Steps = append(r.Steps, minikeeper.StepRecord{Index: i, Step: s, Intent: at, Result: result})
	}
	return r
}

func event(kind minikeeper.EventKind, summary string, run *minikeeper.Run) minikeeper.Event {
	a := drift()
	return minikeeper.Event{ID: 17, Kind: kind, At: at, Key: a.Key(), Summary: summary, Alert: a, Run: run}
}

func needsPeople(e minikeeper.Event) minikeeper.Event { e.NeedsPeople = true; return e }

func hostile() minikeeper.Event {
	e := needsPeople(event(minikeeper.EventFailed, "x\r\nBcc: everybody@example.com\r\n\r\n<b>bold</b>", done(resync(minikeeper.RunFailed, "line one\nline \x1b[31mtwo"), "exit 1\nSubject: forged", "</div><script>alert(1)</script>\n<!channel> hello\r\n.\r\n\xff\xfe")))
	e.Alert.Name = "Evil\r\nX-Injected: yes"
	e.Alert.Labels = map[string]string{"alertname": e.Alert.Name, "server": "lon\nmini", "site": "<img src=x onerror=alert(1)>", "path": "a\u202egnp.exe <@U024BE7LH>"}
	e.Run.Server, e.Run.Site = "", ""
	return e
}

func TestRender(t *testing.T) {
	resolved := event(minikeeper.EventResolved, "3 files of share casper differ from the origin is over", nil)
	resolved.Alert.State, resolved.Alert.ResolvedAt = minikeeper.AlertResolved, at
	suppressed := resync(minikeeper.RunSuppressed, "the partner lon-mini-2 is down")
	suppressed.Started = time.Time{}
	tests := []struct {
		name    string
		event   minikeeper.Event
		late    time.Duration
		trouble string
	}{
		{"alert", needsPeople(event(minikeeper.EventAlert, "3 files of share casper differ from the origin fires, and no remedy deals with it", nil)), 0, ""},
		{"resolved", resolved, 0, ""},
		{"approval", needsPeople(event(minikeeper.EventApproval, "may resync-drifted-replica do 2 steps on lon-mini-1?", resync(minikeeper.RunAwaitingApproval, "waits for approval: its mode is propose"))), 0, ""},
		{"started", event(minikeeper.EventStarted, "resync-drifted-replica does 2 steps on lon-mini-1", resync(minikeeper.RunRunning, "step 1 of 2")), 0, ""},
		{"succeeded", event(minikeeper.EventSucceeded, "healed by resync-drifted-replica, proven 40s after its last step", done(resync(minikeeper.RunSucceeded, "drift is 0 on samples measured after the last step"), "", "")), 0, ""},
		{"failed", needsPeople(event(minikeeper.EventFailed, "resync-drifted-replica did not help", done(resync(minikeeper.RunFailed, "step 2 failed"), "exit 77", strings.Repeat("line\n", 30)+"sharing: no such share\n"))), 0, ""},
		{"failed-to-start", needsPeople(event(minikeeper.EventFailed, "resync-drifted-replica cannot start: the partner lon-mini-2 is down", suppressed)), 0, ""},
		{"failed-but-another-remedy-is-next", event(minikeeper.EventFailed, "resync-drifted-replica did not help; next is restart-keeper", done(resync(minikeeper.RunFailed, "unproven"), "", "")), 0, ""},
		{"overdue", needsPeople(event(minikeeper.EventOverdue, "is not healed after 2h0m0s", nil)), 0, ""},
		{"test", minikeeper.Event{Kind: minikeeper.EventTest, At: at, Summary: "This is a test."}, 0, ""},
		{"late", event(minikeeper.EventSucceeded, "healed", resync(minikeeper.RunSucceeded, "proven")), 26*time.Hour + 10*time.Minute, "mail: relay1:25: dial tcp: connection refused\n"},
		{"hostile", hostile(), 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := notify.Render(tt.event, at.Add(tt.late), tt.trouble)
			blocks, err := json.MarshalIndent(m.Blocks, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			base := filepath.Join("testdata", tt.name)
			testkit.Golden(t, base+".txt", "Subject: "+m.Subject+"\n\n"+m.Text)
			testkit.Golden(t, base+".html", m.HTML)
			testkit.Golden(t, base+".json", string(blocks)+"\n")
		})
	}
}

func TestHostileWordsStayWords(t *testing.T) {
	m := notify.Render(hostile(), at, "")
	if strings.ContainsAny(m.Subject, "\r\n") {
		t.Errorf("subject %q has a line break", m.Subject)
	}
	for _, forbidden := range []string{"<script", "<img", "<b>bold"} {
		if strings.Contains(m.HTML, forbidden) {
			t.Errorf("HTML holds %s", forbidden)
		}
	}
	blocks, err := json.Marshal(m.Blocks)
	if err != nil {
		t.Fatal(err)
	}
	for _, forbidden := range []string{"<!channel>", "<@U024BE7LH>", `\u003c!channel`, `\u003c@U024`} {
		if strings.Contains(string(blocks), forbidden) {
			t.Errorf("Slack would see %s", forbidden)
		}
	}
	for line := range strings.Lines(m.Text) {
		for _, start := range []string{"Bcc:", "Subject:", "X-Injected:", "."} {
			if strings.HasPrefix(line, start) {
				t.Errorf("a line of the text begins with %s", start)
			}
		}
	}
	if strings.ContainsAny(m.Text, "\x1b\u202e\r") {
		t.Error("the text has control characters")
	}
}

func TestMessageIDs(t *testing.T) {
	e := event(minikeeper.EventStarted, "x", nil)
	first, again := notify.Render(e, at, ""), notify.Render(e, at.Add(time.Hour), "trouble")
	if first.ID != again.ID || first.Thread != again.Thread {
		t.Errorf("one event has ids %s and %s, threads %s and %s", first.ID, again.ID, first.Thread, again.Thread)
	}
	end := e
	end.ID, end.Kind, end.At = 18, minikeeper.EventSucceeded, at.Add(time.Minute)
	if m := notify.Render(end, at, ""); m.ID == first.ID || m.Thread != first.Thread {
		t.Errorf("the end of the incident: id %s (must differ), thread %s (must not)", m.ID, m.Thread)
	}
	next := e
	next.Alert.ActiveAt = at.Add(time.Hour)
	if m := notify.Render(next, at, ""); m.Thread == first.Thread {
		t.Error("the same alert a day later is in the same thread")
	}
	other := e
	other.At = at.Add(time.Second) // the first event of a new journal
	if m := notify.Render(other, at, ""); m.ID == first.ID {
		t.Error("events of two journals have one id")
	}
}

func TestSlackBounds(t *testing.T) {
	e := hostile()
	e.Summary = strings.Repeat("ä", 10000)
	e.Alert.Annotations = map[string]string{"description": strings.Repeat(strings.Repeat("<&>", 100)+"\n", 1000)}
	for range 200 {
		e.Run.Plan.Steps = append(e.Run.Plan.Steps, minikeeper.Step{Name: strings.Repeat("long ", 1000), Op: "x"})
	}
	e.Run.Steps = nil
	m := notify.Render(e, at, "")
	if len(m.Blocks) > 50 {
		t.Errorf("%d blocks, Slack takes 50", len(m.Blocks))
	}
	src, err := json.Marshal(m.Blocks)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []struct{ Text struct{ Type, Text string } }
	if err := json.Unmarshal(src, &blocks); err != nil {
		t.Fatal(err)
	}
	for i, b := range blocks {
		limit := 3000
		if b.Text.Type == "plain_text" {
			limit = 150
		}
		if n := len([]rune(b.Text.Text)); n > limit {
			t.Errorf("block %d has %d characters, Slack takes %d", i, n, limit)
		}
	}
	if n := len([]rune(m.Subject)); n > 150 {
		t.Errorf("subject of %d characters", n)
	}
}
