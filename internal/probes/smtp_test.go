package probes_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper/internal/postfix/postfixtest"
	"github.com/minikeeper/minikeeper/internal/probes"
)

// relay says greeting, and hello to EHLO, and records what it was told.
func relay(told *[]string, greeting, hello string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = fmt.Fprint(conn, greeting)
		r := bufio.NewScanner(conn)
		for r.Scan() {
			*told = append(*told, r.Text())
			switch {
			case strings.HasPrefix(r.Text(), "EHLO "):
				_, _ = fmt.Fprint(conn, hello)
			case r.Text() == "QUIT":
				_, _ = fmt.Fprint(conn, "221 bye\r\n")
				return
			}
		}
	}
}

func TestSMTP(t *testing.T) {
	const (
		greeting = "220 relay ESMTP\r\n"
		plain    = "250-relay\r\n250 PIPELINING\r\n"
		encrypts = "250-relay\r\n250-starttls\r\n250 SIZE 1000\r\n"
		bad      = "probe_success 0, problem "
	)
	tests := []struct {
		name            string
		greeting, hello string
		require         bool
		want            string
	}{
		{"a relay that encrypts", greeting, encrypts, true, "probe_success 1, probe_smtp_starttls 1"},
		{"a relay that does not", greeting, plain, false, "probe_success 1, probe_smtp_starttls 0"},
		{"a relay that does not and should", greeting, plain, true, bad + "no_starttls, probe_smtp_starttls 0"},
		{"a greeting of several lines", "220-relay\r\n220 ready\r\n", plain, false, "probe_success 1, probe_smtp_starttls 0"},
		{"a relay that is overloaded", "421 too busy\r\n", "", false, bad + "unavailable"},
		{"a relay that refuses everybody", "554 no\r\n", "", false, bad + "unavailable"},
		{"a relay that knows no EHLO", greeting, "502 what?\r\n", false, bad + "unavailable"},
		{"another code", greeting, "354 go on\r\n", false, bad + "protocol"},
		{"codes that differ", greeting, "250-a\r\n251 b\r\n", false, bad + "protocol"},
		{"SSH", "SSH-2.0-OpenSSH_9.2\r\n", "", false, bad + "protocol"},
		{"nothing", "", "", false, bad + "timeout"},
		{"half a line", "220 rel", "", false, bad + "timeout"},
		{"a line without end", "220 " + strings.Repeat("x", 10_000), "", false, bad + "protocol"},
		{"lines without end", strings.Repeat("220-x\r\n", 200), "", false, bad + "protocol"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			timeout := patience
			if strings.HasSuffix(tt.want, "timeout") {
				timeout = 200 * time.Millisecond
			}
			var told []string
			address := serve(t, relay(&told, tt.greeting, tt.hello))
			p := probes.SMTP{Address: address, Hello: "probe.example.com", RequireSTARTTLS: tt.require}
			if got := look(t, p, timeout); got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
			if strings.HasPrefix(tt.want, "probe_success 1") && strings.Join(told, ";") != "EHLO probe.example.com;QUIT" {
				t.Errorf("the relay was told %q", told)
			}
		})
	}
}

func TestSMTPWithPostfix(t *testing.T) {
	i := postfixtest.Start(t, "")
	p := probes.SMTP{Address: i.Addr}
	if got, want := look(t, p, patience), "probe_success 1, probe_smtp_starttls 0"; got != want {
		t.Errorf("a postfix that runs: got %s\nwant %s", got, want)
	}
	// It was left politely, and was not asked to take a message.
	log := ""
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && !strings.Contains(log, "disconnect from"); time.Sleep(50 * time.Millisecond) {
		b, err := os.ReadFile(i.Log)
		if err != nil {
			t.Fatal(err)
		}
		log = string(b)
	}
	if !strings.Contains(log, "ehlo=1 quit=1 commands=2") || strings.Contains(log, "lost connection") {
		t.Errorf("postfix logged:\n%s", log)
	}
	if err := i.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := look(t, p, patience), "probe_success 0, problem refused"; got != want {
		t.Errorf("a postfix that was stopped: got %s\nwant %s", got, want)
	}
}
