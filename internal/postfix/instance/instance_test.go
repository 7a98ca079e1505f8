package instance_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper/internal/command"
	"github.com/minikeeper/minikeeper/internal/postfix/instance"
	"github.com/minikeeper/minikeeper/internal/postfix/postfixtest"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// TestLife starts, kills, starts again and stops a real postfix.
func TestLife(t *testing.T) {
	i := postfixtest.Start(t, "")
	postfixtest.Send(t, i, "a@example.com", "b@example.com", "hello")
	if !i.Alive(t.Context()) {
		t.Fatal("not alive after start")
	}
	if err := i.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if !i.Alive(t.Context()) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if i.Alive(t.Context()) {
		t.Fatal("alive after its master was killed")
	}
	if err := i.Start(t.Context()); err != nil {
		t.Fatalf("start after a crash: %v", err)
	}
	if err := i.Start(t.Context()); err == nil {
		t.Error("a second start succeeded")
	}
	if err := i.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if i.Alive(t.Context()) {
		t.Error("alive after stop")
	}
	log, err := os.ReadFile(i.Log)
	if err != nil || !strings.Contains(string(log), "status=deferred") {
		t.Errorf("log %q, %v: want the message deferred", log, err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "warning") {
			t.Errorf("postfix warns of its configuration: %s", line)
		}
	}
}

// TestStopWhereMasterHangs stops a postfix whose master does nothing any more.
func TestStopWhereMasterHangs(t *testing.T) {
	i := postfixtest.Start(t, "")
	pid, err := i.PID()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) }) // it would outlive a test that fails
	begun := time.Now()
	if !i.Alive(t.Context()) {
		t.Error("a master that hangs counts as gone")
	}
	if err := i.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	for range 100 {
		if !i.Alive(t.Context()) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("alive after stop")
}

func TestCreateRefuses(t *testing.T) {
	testkit.Root(t)
	testkit.Peers(t, "postconf")
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		"relative":                      "absolute path",
		"/tmp/with space":               "without spaces",
		filepath.Join(closed, "inside"): "may not be searched",
	} {
		_, err := instance.Create(t.Context(), command.NewLocal(os.Getenv("PATH")), instance.Options{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", dir, err, want)
		}
	}
}
