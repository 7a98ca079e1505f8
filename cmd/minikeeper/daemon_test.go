package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper/internal/api"
	"github.com/minikeeper/minikeeper/internal/demo"
)

// startDaemon runs a daemon with the given configuration in this process until
// the test ends. Other files of its folder are given by name.
func startDaemon(t testing.TB, configuration string, o options, files map[string][]byte) *daemon {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "minikeeper.yml")
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	if o.log == nil {
		o.log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	d, err := newDaemon(ctx, path, o)
	if err != nil {
		stop()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
		if err := d.Close(); err != nil {
			t.Errorf("close daemon: %v", err)
		}
	})
	return d
}

// url is where d serves path.
func (d *daemon) url(path string) string { return "http://" + d.addr.String() + path }

// clientOfDaemon asks d over HTTP, with its token.
func clientOfDaemon(t testing.TB, d *daemon) api.Client {
	t.Helper()
	token, err := os.ReadFile(tokenFile(d.cfg.Load()))
	if err != nil {
		t.Fatal(err)
	}
	return api.Client{Base: d.url(""), Token: strings.TrimSpace(string(token)), HTTP: http.DefaultClient}
}

// get returns the body that url has.
func get(t testing.TB, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s is %s: %s", url, res.Status, body)
	}
	return string(body)
}

// patience is how long a test waits for what should happen.
const patience = time.Minute

// eventually waits until f returns nil.
func eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatalf("waited %v for %s: %v", patience, what, err)
}

// awaitReady waits until d calls itself ready.
func awaitReady(t testing.TB, d *daemon) {
	t.Helper()
	eventually(t, "the daemon to be ready", func() error {
		for _, check := range d.readiness() {
			if err := check.Ready(t.Context()); err != nil {
				return err
			}
		}
		return nil
	})
}

// startMailbox takes mail until the test ends.
func startMailbox(t testing.TB) *demo.Mailbox {
	t.Helper()
	box, err := demo.NewMailbox(t.Context(), filepath.Join(t.TempDir(), "mail"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- box.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return box
}

// awaitMail waits for a mail with all of words in its subject.
func awaitMail(t testing.TB, box *demo.Mailbox, words ...string) demo.Mail {
	t.Helper()
	var found demo.Mail
	eventually(t, fmt.Sprintf("a mail about %q", words), func() error {
		var subjects []string
		for _, m := range box.Mails() {
			fits := true
			for _, word := range words {
				fits = fits && strings.Contains(m.Subject, word)
			}
			if fits {
				found = m
				return nil
			}
			subjects = append(subjects, m.Subject)
		}
		return fmt.Errorf("there are %q", subjects)
	})
	return found
}
