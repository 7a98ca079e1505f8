package probes_test

import (
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper/internal/probes"
)

// patience is how long a probe may take in tests. What hangs is shown to hang
// within it.
const patience = 5 * time.Second

// look probes once and shows what came out: the samples without the duration,
// and without the labels that are the same everywhere.
func look(t testing.TB, p probes.Prober, timeout time.Duration) string {
	t.Helper()
	s := probes.New(probes.Options{Timeout: timeout}, []probes.Target{
		{Probe: "p", Name: "t", Server: "s", Site: "l", Prober: p},
	})
	begun := time.Now()
	samples, err := s.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > timeout+3*time.Second {
		t.Errorf("it took %v, and may take %v", took, timeout)
	}
	var lines []string
	for _, sample := range samples {
		for name, want := range map[string]string{"probe": "p", "target": "t", "server": "s", "site": "l"} {
			if got := sample.Label(name); got != want {
				t.Errorf("%s: label %s is %q, want %q", sample, name, got, want)
			}
		}
		line := strings.TrimPrefix(sample.Name, "minikeeper_") + " " + strconv.FormatFloat(sample.Value, 'g', -1, 64)
		if p := sample.Label("problem"); p != "" {
			line = "problem " + p
		}
		if sample.Name != "minikeeper_probe_duration_seconds" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, ", ")
}

// serve answers every connection on loopback with answer and returns the
// address.
func serve(t testing.TB, answer func(net.Conn)) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				answer(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// closedPort returns an address at which nothing listens.
func closedPort(t testing.TB) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// silent takes what comes and says nothing.
func silent(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// proberFunc makes a prober of a function.
type proberFunc func(context.Context) probes.Result

func (f proberFunc) Probe(ctx context.Context) probes.Result { return f(ctx) }
