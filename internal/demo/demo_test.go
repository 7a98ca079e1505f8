package demo_test

import (
	"context"
	"net/smtp"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/command"
	"github.com/minikeeper/minikeeper/internal/demo"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// create makes a site with simulated relays.
func create(t *testing.T) *demo.World {
	t.Helper()
	w, err := demo.Create(t.Context(), filepath.Join(t.TempDir(), "site"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// TestWriteTable shows every kind of row, also of a demo that went wrong.
func TestWriteTable(t *testing.T) {
	broken := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	after := func(seconds float64) time.Time { return broken.Add(time.Duration(seconds * float64(time.Second))) }
	rows := []demo.Row{
		{Fault: "drift", Broken: broken, Detected: after(2.04), Remedy: "resync-drifted-replica", Outcome: "healed", Verified: after(10.5), Told: after(11), By: "mail", Heals: true},
		{Fault: "raid", Broken: broken, Detected: after(2), Outcome: "reported", Told: after(3), By: "mail"},
		{Fault: "nbi", Broken: broken, Detected: after(2), Remedy: "reindex-clashing-nbi", Outcome: "verifying", Heals: true},
		{Fault: "postfix", Broken: broken, Heals: true},
		{Fault: "untold", Broken: broken, Detected: after(2), Outcome: "reported"},
		{Fault: "unproven", Broken: broken, Detected: after(2), Outcome: "failed", Told: after(3), By: "mail", Heals: true},
	}
	var out strings.Builder
	if err := demo.WriteTable(&out, rows); err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, filepath.Join("testdata", "table.golden"), out.String())
	for i, want := range []bool{true, true, false, false, false, false} {
		if got := rows[i].OK(); got != want {
			t.Errorf("%s is well: %v, want %v", rows[i].Fault, got, want)
		}
	}
}

// TestCreate makes a site in a folder that was not there, and refuses one that
// holds something.
func TestCreate(t *testing.T) {
	w := create(t)
	if len(w.Servers) != 2 || w.Servers[0].Relay.Kind() != "simulated: as asked" {
		t.Errorf("the site is %+v", w.Servers)
	}
	_, err := demo.Create(t.Context(), w.Dir, nil)
	if err == nil || !strings.Contains(err.Error(), w.Dir+" is not empty; the demo wants a folder of its own") {
		t.Errorf("create a second site in the folder: %v", err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := demo.Create(stopped, filepath.Join(t.TempDir(), "site"), command.NewLocal(os.Getenv("PATH"))); err == nil && os.Geteuid() == 0 {
		t.Error("a site was made although nobody waits for it any more")
	}
}

// TestSimulatedRelay drives the simulated postfix as a keeper does.
func TestSimulatedRelay(t *testing.T) {
	w := create(t)
	s := w.Servers[0]
	run := command.NewLocal(filepath.Join(s.Dir, "bin"))
	status := func(program string, args ...string) int {
		t.Helper()
		res, err := run.Run(t.Context(), minikeeper.Command{Path: filepath.Join(s.Dir, "bin", program), Args: args})
		if err != nil {
			t.Fatal(err)
		}
		return res.Exit
	}
	if status("postfix", "status") != 0 || status("postqueue", "-j") != 0 || status("postfix", "start") != 1 {
		t.Error("it is not up from the beginning")
	}
	for range 2 { // to break what is broken is no error
		if err := s.Relay.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if status("postfix", "status") != 1 || status("postqueue", "-j") != 69 || status("postfix", "reload") != 1 {
		t.Error("it is up after it was killed")
	}
	if status("postfix", "start") != 0 || status("postfix", "status") != 0 {
		t.Error("it is not up after it was started")
	}
}

// TestFaults breaks everything twice, and mends what people have to.
func TestFaults(t *testing.T) {
	w := create(t)
	var names []string
	for _, f := range w.Faults() {
		names = append(names, f.Name)
		if f.Broken != nil && f.Broken() {
			t.Errorf("%s is broken from the beginning", f.Name)
		}
		for range 2 {
			if err := f.Break(t.Context()); err != nil {
				t.Errorf("break %s: %v", f.Name, err)
			}
		}
		if (f.Mend == nil) != f.Heals || (f.Mend == nil) != (f.Broken == nil) {
			t.Errorf("%s: people mend what minikeeper cannot heal, and nothing else", f.Name)
		}
		if f.Mend == nil {
			continue
		}
		if !f.Broken() {
			t.Errorf("%s is not broken after it was", f.Name)
		}
		if err := f.Mend(t.Context()); err != nil || f.Broken() {
			t.Errorf("mend %s: %v", f.Name, err)
		}
	}
	if got := strings.Join(names, " "); got != "drift nbi postfix raid" {
		t.Errorf("the faults are %s", got)
	}
	share := w.Servers[1].Share
	if _, err := os.Stat(filepath.Join(share, "Packages", "Office-2016.pkg")); !os.IsNotExist(err) {
		t.Errorf("the lost file: %v", err)
	}
	rotten, err := os.Stat(filepath.Join(share, "Packages", "Xcode-7.2.dmg"))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.Stat(filepath.Join(w.Origin, "Packages", "Xcode-7.2.dmg"))
	if err != nil {
		t.Fatal(err)
	}
	if rotten.Size() != whole.Size() || !rotten.ModTime().Equal(whole.ModTime()) {
		t.Error("a file does not rot silently: its size or time changed")
	}
}

// TestTrust lets a shipped remedy act, and leaves the rest of its file alone.
func TestTrust(t *testing.T) {
	src := `remedies:
  - name: fix
    with: {mode: shadow}
    # shadow only says what would be done. Change it to propose (people approve
    # each run) or auto once the journal shows what you would have done too.
    mode: shadow
    guards:
      cooldown: 15m
      attempts: {max: 3, per: 24h}
    verify:
      expr: 'within: 3'
      within: 10m
      stable_for: 1m
`
	want := `remedies:
  - name: fix
    with: {mode: shadow}
    mode: auto
    guards:
      cooldown: 5s
      attempts: {max: 100, per: 24h}
    verify:
      expr: 'within: 3'
      within: 1m
      stable_for: 2s
`
	if got := string(demo.Trust([]byte(src))); got != want {
		t.Errorf("got\n%s", got)
	}
}

// TestMailbox sends mail over SMTP, and finds it in a file.
func TestMailbox(t *testing.T) {
	box, err := demo.NewMailbox(t.Context(), filepath.Join(t.TempDir(), "mail"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- box.Run(ctx) }()
	message := "From: a@example.com\r\nTo: b@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nhello\r\n"
	if err := smtp.SendMail(box.Addr(), nil, "a@example.com", []string{"b@example.com"}, []byte(message)); err != nil {
		t.Fatal(err)
	}
	mails := box.Mails()
	if len(mails) != 1 || mails[0].Subject != "Grüße" {
		t.Fatalf("the mailbox holds %+v", mails)
	}
	kept, err := os.ReadFile(mails[0].File)
	if err != nil || !regexp.MustCompile(`(?s)Subject: .*hello`).Match(kept) {
		t.Errorf("the file holds %q, %v", kept, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestMailboxStopsBeforeItRuns is about a demo that ends while it begins.
func TestMailboxStopsBeforeItRuns(t *testing.T) {
	box, err := demo.NewMailbox(t.Context(), filepath.Join(t.TempDir(), "mail"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	done := make(chan error, 1)
	go func() { done <- box.Run(ctx) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it runs on")
	}
}
