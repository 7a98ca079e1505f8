// Package postfixtest gives tests a real postfix of their own. It is imported
// by tests only.
package postfixtest

import (
	"context"
	"net/smtp"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper/internal/command"
	"github.com/minikeeper/minikeeper/internal/postfix/instance"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// Start starts a private postfix that relays to relayhost, or keeps all mail
// if that is empty. It is stopped when the test ends. Without root or postfix
// the test is skipped.
func Start(t testing.TB, relayhost string) *instance.Instance {
	t.Helper()
	testkit.Root(t)
	testkit.Peers(t, "postfix", "postqueue", "postconf")

	dir := t.TempDir()
	// Its parents are closed to other accounts, but postfix has to get in.
	for up := dir; up != os.TempDir() && up != filepath.Dir(up); up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	i, err := instance.Create(t.Context(), command.NewLocal(os.Getenv("PATH")), instance.Options{Dir: dir, Relayhost: relayhost})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
		defer cancel()
		if i.Alive(ctx) {
			if err := i.Stop(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	return i
}

// Send hands i a message over SMTP.
func Send(t testing.TB, i *instance.Instance, from, to, body string) {
	t.Helper()
	message := "From: " + from + "\r\nTo: " + to + "\r\nSubject: test\r\n\r\n" + body + "\r\n"
	if err := smtp.SendMail(i.Addr, nil, from, []string{to}, []byte(message)); err != nil {
		t.Fatalf("send mail to %s: %v", i.Addr, err)
	}
}
