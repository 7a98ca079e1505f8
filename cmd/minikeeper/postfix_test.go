package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/api"
	"github.com/minikeeper/minikeeper/internal/demo"
	"github.com/minikeeper/minikeeper/internal/postfix/instance"
	"github.com/minikeeper/minikeeper/internal/postfix/postfixtest"
	"github.com/minikeeper/minikeeper/remediate"
)

// relayDaemon is keeper and hub in one, of a lone server with a real postfix.
func relayDaemon(t *testing.T, relay *instance.Instance, box *demo.Mailbox) *daemon {
	t.Helper()
	sources, err := remedySources()
	if err != nil {
		t.Fatal(err)
	}
	d := startDaemon(t, fmt.Sprintf(`
listen: 127.0.0.1:0
server: relay-1
data_dir: data
collectors:
  postfix: {every: 1s, config_dir: %q}
store: {interval: 1s}
remedies: [postfix.yml]
actions: {allow: [restart-service]}
notify:
  channels:
    mail: {smtp: [%q], tls: none, from: minikeeper@example.com, to: [macadmins@example.com]}
`, relay.ConfigDir, box.Addr()), options{hurry: true}, map[string][]byte{"postfix.yml": demo.Trust(sources["restart-postfix.yml"])})
	awaitReady(t, d)
	eventually(t, "the relay to be seen up", func() error {
		samples, err := d.hub.store.Latest(t.Context(), `minikeeper_postfix_up{server="relay-1"} == 1`)
		if err == nil && len(samples) != 1 {
			err = errors.New("it is not")
		}
		return err
	})
	return d
}

// startRelay starts a real postfix that hands all mail to box.
func startRelay(t *testing.T, box *demo.Mailbox) *instance.Instance {
	t.Helper()
	host, port, err := net.SplitHostPort(box.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return postfixtest.Start(t, "["+host+"]:"+port)
}

// awaitRun waits until the run called id is in state.
func awaitRun(t *testing.T, c api.Client, id string, state minikeeper.RunState) remediate.Record {
	t.Helper()
	var run remediate.Record
	eventually(t, "run "+id+" to be "+string(state), func() (err error) {
		if run, err = c.Run(t.Context(), id); err == nil && run.State != state {
			err = fmt.Errorf("it is %s: %s", run.State, run.Reason)
		}
		return err
	})
	return run
}

// TestRealPostfix kills the master of a real mail relay, and sees it detected,
// restarted, verified on fresh samples, and told. To start what is down
// interrupts nobody, so a lone server needs no approval.
func TestRealPostfix(t *testing.T) {
	t.Parallel()
	box := startMailbox(t)
	relay := startRelay(t, box)
	d := relayDaemon(t, relay, box)
	before, err := relay.PID()
	if err != nil {
		t.Fatal(err)
	}

	killed := time.Now()
	if err := relay.Kill(); err != nil {
		t.Fatal(err)
	}
	mail := awaitMail(t, box, "MailRelayDown", "healed")
	run := awaitRun(t, clientOfDaemon(t, d), mail.Header.Get("X-Minikeeper-Run"), minikeeper.RunSucceeded)

	if run.Remedy != "restart-postfix" || run.Server != "relay-1" || run.Approver != "" {
		t.Errorf("the run is of %s on %s, approved by %q", run.Remedy, run.Server, run.Approver)
	}
	if after, err := relay.PID(); err != nil || after == before || !relay.Alive(t.Context()) {
		t.Errorf("the relay's master is %d, %v; it was %d", after, err, before)
	}
	order := []time.Time{killed, run.Alert.FiredAt, run.Created, run.Started, run.Steps[0].Intent, run.Steps[0].Result.End, run.Ended, mail.At}
	for i := 1; i < len(order); i++ {
		// An alert carries the time of its evaluation, in milliseconds.
		if order[i].Before(order[i-1].Add(-time.Millisecond)) {
			t.Errorf("moment %d of the story, %v, is before the one that leads to it, %v", i, order[i], order[i-1])
		}
	}
	t.Logf("detected after %v, restarted after %v, verified after %v, told after %v", run.Alert.FiredAt.Sub(killed).Round(time.Millisecond),
		run.Acted.Sub(killed).Round(time.Millisecond), run.Ended.Sub(killed).Round(time.Millisecond), mail.At.Sub(killed).Round(time.Millisecond))

	// It relays again.
	postfixtest.Send(t, relay, "a@example.com", "b@example.com", "hello")
	eventually(t, "mail through the relay", func() error {
		for _, m := range box.Mails() {
			if m.Subject == "test" {
				return nil
			}
		}
		return errors.New("nothing came")
	})
	// The alert is over, and nobody acts on it again.
	eventually(t, "the alert to end", func() error {
		firing, err := d.hub.firing(t.Context())
		for _, a := range firing {
			if a.Name == "MailRelayDown" {
				err = errors.New("it fires")
			}
		}
		return err
	})
	metrics := get(t, d.url("/metrics"))
	if want := `minikeeper_remediation_runs_total{outcome="succeeded",remedy="restart-postfix"} 1` + "\n"; !strings.Contains(metrics, want) {
		t.Errorf("no %s in the metrics", want)
	}
	rows, _, err := d.hub.journal.Verify(t.Context(), "")
	if err != nil || rows < 4 {
		t.Errorf("the audit chain has %d rows: %v", rows, err)
	}
}

// TestRestartOfLoneRelay asks for a restart of a relay that works. It would
// interrupt the mail of a server without a partner, so people are asked first;
// what they approve is the plan that they have seen.
func TestRestartOfLoneRelay(t *testing.T) {
	t.Parallel()
	box := startMailbox(t)
	relay := startRelay(t, box)
	d := relayDaemon(t, relay, box)
	c := clientOfDaemon(t, d)
	ask := api.Ask{Remedy: "restart-postfix", Labels: map[string]string{"server": "relay-1"}}

	preview, err := c.Preview(t.Context(), ask)
	if err != nil || preview.Refusal != nil || preview.Plan.Interrupts != "smtp" || preview.Asks != "relay-1 has no partner" {
		t.Fatalf("preview %+v: %v", preview, err)
	}
	run, err := c.Start(t.Context(), ask)
	if err != nil || run.State != minikeeper.RunAwaitingApproval {
		t.Fatalf("run is %s: %v", run.State, err)
	}
	awaitMail(t, box, "restart-postfix")
	before, err := relay.PID()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Approve(t.Context(), run.ID, "another plan"); !errors.Is(err, api.ErrRefused) {
		t.Errorf("approve another plan: %v, want ErrRefused", err)
	}
	if err := c.Approve(t.Context(), run.ID, run.PlanHash); err != nil {
		t.Fatal(err)
	}
	run = awaitRun(t, c, run.ID, minikeeper.RunSucceeded)
	if run.Approver != "local" {
		t.Errorf("approved by %q, want local", run.Approver)
	}
	if after, err := relay.PID(); err != nil || after == before || !relay.Alive(t.Context()) {
		t.Errorf("the relay's master is %d, %v; it was %d", after, err, before)
	}
	if err := c.Deny(t.Context(), run.ID); !errors.Is(err, api.ErrRefused) {
		t.Errorf("deny what is over: %v, want ErrRefused", err)
	}
	_, err = c.Run(t.Context(), "run-0")
	if wrong, ok := errors.AsType[*api.Wrong](err); !ok || wrong.Status != http.StatusNotFound {
		t.Errorf("a run that there is not: %v", err)
	}
}
