package collectors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/command"
	"github.com/minikeeper/minikeeper/internal/postfix/postfixtest"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// mailTools answers command lines; any other is a program that is not there.
type mailTools map[string]minikeeper.Result

func (m mailTools) Run(_ context.Context, c minikeeper.Command) (minikeeper.Result, error) {
	res, ok := m[c.String()]
	if !ok {
		return res, fmt.Errorf("run %s: %w", c, os.ErrNotExist)
	}
	return res, nil
}

const (
	mailDownAsRoot = "postqueue: warning: Mail system is down -- accessing queue directly (Connect to the Postfix showq service: Connection refused)\n"
	mailDownAsUser = "postqueue: fatal: Queue report unavailable - mail system is down\n"
	postqueueUsage = "postqueue: invalid option -- 'j'\npostqueue: fatal: usage: postqueue -f | postqueue -i queueid | postqueue -p | postqueue -s site\n"
	jobNotFound    = "Could not find service \"com.apple.postfix.master\" in domain for system\n"
	onDemandJob    = `<plist version="1.0"><dict><key>Label</key><string>com.apple.postfix.master</string>
<key>Program</key><string>/usr/libexec/postfix/master</string>
<key>ProgramArguments</key><array><string>master</string><string>-e</string><string>60</string></array></dict></plist>`
)

func printed(s string) minikeeper.Result { return minikeeper.Result{Stdout: []byte(s)} }

func failed(exit int, stderr string) minikeeper.Result {
	return minikeeper.Result{Exit: exit, Stderr: []byte(stderr)}
}

func fromFile(t *testing.T, name, stderr string) minikeeper.Result {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "postfix", name))
	if err != nil {
		t.Fatal(err)
	}
	return minikeeper.Result{Stdout: data, Stderr: []byte(stderr)}
}

// TestPostfix runs at the turn of the year 2000, when the listings under
// testdata were printed.
func TestPostfix(t *testing.T) {
	relay := printed("[smtp.example.com]:587\n")
	listing := fromFile(t, "two-queues.json", "")
	tests := []struct {
		name     string // testdata/postfix/NAME.golden
		goos     string
		settings PostfixSettings
		tools    mailTools
	}{
		{name: "linux-running", tools: mailTools{"postqueue -j": listing, "postconf -h relayhost": relay}},
		{name: "linux-running-with-an-empty-queue", tools: mailTools{"postqueue -j": printed(""), "postconf -h relayhost": printed("\n")}},
		{name: "linux-down-as-root", tools: mailTools{
			"postqueue -j": fromFile(t, "two-queues.json", mailDownAsRoot), "postconf -h relayhost": relay,
		}},
		{name: "linux-down-as-user", tools: mailTools{"postqueue -j": failed(69, mailDownAsUser), "postconf -h relayhost": relay}},
		{name: "second-instance", settings: PostfixSettings{ConfigDir: "/etc/postfix-out", Command: map[string]string{"postqueue": "/opt/postqueue"}}, goos: "darwin", tools: mailTools{
			"/opt/postqueue -c /etc/postfix-out -j": fromFile(t, "two-queues.json", mailDownAsRoot), "postconf -c /etc/postfix-out -h relayhost": relay,
		}},
		{name: "before-3.1", tools: mailTools{
			"postqueue -j": failed(69, postqueueUsage), "postqueue -p": fromFile(t, "three-queues.txt", ""), "postconf -h relayhost": relay,
		}},
		{name: "listing-cut-off", tools: mailTools{"postqueue -j": fromFile(t, "cut-off.json", ""), "postconf -h relayhost": relay}},
		{name: "postconf-fails", tools: mailTools{"postqueue -j": listing, "postconf -h relayhost": failed(1, "postconf: fatal: open /etc/postfix/main.cf: Permission denied\n")}},
		{name: "queue-denied-but-status-answers", tools: mailTools{
			"postqueue -j": failed(69, "postqueue: fatal: User keeper(997) is not allowed to view the mail queue\n"), "postfix status": {}, "postconf -h relayhost": relay,
		}},
		{name: "queue-denied-and-status-says-down", tools: mailTools{
			"postqueue -j":   failed(69, "postqueue: fatal: User keeper(997) is not allowed to view the mail queue\n"),
			"postfix status": failed(1, "postfix/postfix-script: the Postfix mail system is not running\n"), "postconf -h relayhost": relay,
		}},
		{name: "queue-denied-and-status-silent", tools: mailTools{
			"postqueue -j": failed(69, "postqueue: fatal: User keeper(997) is not allowed to view the mail queue\n"), "postfix status": failed(1, ""), "postconf -h relayhost": relay,
		}},
		{name: "not-installed", tools: mailTools{}},
		{name: "macos-idle-as-root", goos: "darwin", tools: mailTools{
			"postqueue -j": fromFile(t, "two-queues.json", mailDownAsRoot), "postconf -h relayhost": relay,
			"launchctl print system/com.apple.postfix.master": printed("system/com.apple.postfix.master = {\n\tstate = not running\n}\n"),
		}},
		{name: "macos-idle-as-user", goos: "darwin", tools: mailTools{
			"postqueue -j": failed(69, mailDownAsUser), "postconf -h relayhost": relay,
			"launchctl print system/com.apple.postfix.master": printed("system/com.apple.postfix.master = {\n\tstate = not running\n}\n"),
		}},
		{name: "macos-job-not-loaded", goos: "darwin", tools: mailTools{
			"postqueue -j": failed(69, mailDownAsUser), "postconf -h relayhost": relay,
			"launchctl print system/com.apple.postfix.master": failed(113, jobNotFound),
		}},
		{name: "macos-launchctl-does-not-tell", goos: "darwin", tools: mailTools{
			"postqueue -j": fromFile(t, "two-queues.json", mailDownAsRoot), "postconf -h relayhost": relay,
			"launchctl print system/com.apple.postfix.master": failed(1, "unknown subcommand\n"),
		}},
		{name: "macos-running", goos: "darwin", tools: mailTools{"postqueue -j": listing, "postconf -h relayhost": relay}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			if tt.goos == "darwin" {
				writeTestFile(t, filepath.Join(root, "System/Library/LaunchDaemons/com.apple.postfix.master.plist"), onDemandJob, 0o644)
			}
			synctest.Test(t, func(t *testing.T) {
				c := newPostfixTest(t, Deps{Run: tt.tools, GOOS: cmp.Or(tt.goos, "linux"), Root: root, Settings: Settings{Postfix: tt.settings}})
				samples, err := c.Collect(t.Context())
				checkFamilies(t, c, samples)
				testkit.Golden(t, filepath.Join("testdata", "postfix", tt.name+".golden"), shown(samples, err))
			})
		})
	}
}

func newPostfixTest(t *testing.T, d Deps) Collector {
	t.Helper()
	c, err := Builtin()["postfix"](d)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPostfixRefusesRelativeConfigDir(t *testing.T) {
	_, err := Builtin()["postfix"](Deps{Settings: Settings{Postfix: PostfixSettings{ConfigDir: "postfix"}}})
	if err == nil || !strings.Contains(err.Error(), "absolute") {
		t.Errorf("error %v, want one about an absolute path", err)
	}
}

// hungQueue is a mail system whose queue lister never answers.
type hungQueue struct{ mailTools }

func (h hungQueue) Run(ctx context.Context, c minikeeper.Command) (minikeeper.Result, error) {
	if c.Path == "postqueue" {
		<-ctx.Done()
		return minikeeper.Result{}, ctx.Err()
	}
	return h.mailTools.Run(ctx, c)
}

// TestPostfixHangs shows that a queue that cannot be listed in time costs its
// own series only.
func TestPostfixHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		run := hungQueue{mailTools{"postfix status": {}, "postconf -h relayhost": printed("relay\n")}}
		samples, err := newPostfixTest(t, Deps{Run: run, GOOS: "linux"}).Collect(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			t.Errorf("error %v, context %v: want a deadline of the listing alone", err, ctx.Err())
		}
		want := "minikeeper_postfix_relayhost_info{relayhost=\"relay\"} 1\nminikeeper_postfix_up 1\n"
		if got := shown(samples, nil); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	})
}

// TestPostfixOnSimulatedMac runs shell scripts in place of a Mac's programs.
func TestPostfixOnSimulatedMac(t *testing.T) {
	root, bin := t.TempDir(), t.TempDir()
	writeTestFile(t, filepath.Join(root, "System/Library/LaunchDaemons/com.apple.postfix.master.plist"), onDemandJob, 0o644)
	command := make(map[string]string)
	for name, script := range map[string]string{
		"postqueue": `test "$*" = -j || exit 2
echo "postqueue: warning: Mail system is down -- accessing queue directly" >&2
printf '{"queue_name": "deferred", "queue_id": "1B2C3D4E5F", "arrival_time": %d, "message_size": 777, "sender": "mac@example.com", "recipients": []}\n' $(($(date +%s) - 7200))`,
		"postconf":  `test "$*" = "-h relayhost" && echo "[smtp.example.com]:587"`,
		"postfix":   `exit 1`,
		"launchctl": `test "$*" = "print system/com.apple.postfix.master" || exit 64; printf 'system/com.apple.postfix.master = {\n\tstate = not running\n}\n'`,
	} {
		command[name] = filepath.Join(bin, name)
		writeTestFile(t, command[name], "#!/bin/sh\n"+script+"\n", 0o755)
	}
	c := newPostfixTest(t, Deps{Run: commandLocal(), GOOS: "darwin", Root: root, Settings: Settings{Postfix: PostfixSettings{Command: command}}})
	samples, err := c.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	checkValue(t, samples, "minikeeper_postfix_up", "", 1, 1)
	checkValue(t, samples, "minikeeper_postfix_queue_messages", "deferred", 1, 1)
	checkValue(t, samples, "minikeeper_postfix_queue_oldest_age_seconds", "deferred", 7199, 7260)
}

// TestPostfixForReal reads a real postfix: with a message that cannot leave,
// after its master was killed, and after it was started again.
func TestPostfixForReal(t *testing.T) {
	i := postfixtest.Start(t, "")
	c := newPostfixTest(t, Deps{Run: commandLocal(), GOOS: "linux", Settings: Settings{Postfix: PostfixSettings{ConfigDir: i.ConfigDir}}})
	collect := func() []minikeeper.Sample {
		t.Helper()
		samples, err := c.Collect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		checkFamilies(t, c, samples)
		return samples
	}

	samples := collect()
	checkValue(t, samples, "minikeeper_postfix_up", "", 1, 1)
	checkValue(t, samples, "minikeeper_postfix_queue_messages", "deferred", 0, 0)

	postfixtest.Send(t, i, "a@example.com", "b@example.com", strings.Repeat("x", 500))
	waitFor(t, "a deferred message", func() bool {
		return valueOf(collect(), "minikeeper_postfix_queue_messages", "deferred") == 1
	})
	samples = collect()
	checkValue(t, samples, "minikeeper_postfix_queue_messages", "active", 0, 0)
	checkValue(t, samples, "minikeeper_postfix_queue_bytes", "deferred", 500, 2000)
	checkValue(t, samples, "minikeeper_postfix_queue_oldest_age_seconds", "deferred", 0, 60)
	for _, s := range samples { // nobody listens where the instance relays to
		if want := bool01(s.Label("reason") == "connection_refused"); s.Name == postfixDelayed && s.Value != want {
			t.Errorf("%v, want %v", s, want)
		}
	}
	if !slices.ContainsFunc(samples, func(s minikeeper.Sample) bool { return s.Label("relayhost") == "[127.0.0.1]:1" }) {
		t.Errorf("no relay host in %v", samples)
	}

	if err := i.Kill(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "postfix to be seen down", func() bool {
		// While its processes end, one of them may still take the question and
		// leave it unanswered: then nothing is known for a moment.
		samples, err := c.Collect(t.Context())
		return err == nil && valueOf(samples, "minikeeper_postfix_up", "") == 0
	})
	checkValue(t, collect(), "minikeeper_postfix_queue_messages", "deferred", 1, 1) // read past the mail system

	// What is submitted on the machine itself now waits in maildrop.
	_, err := commandLocal().Run(t.Context(), minikeeper.Command{Path: "sendmail", Args: []string{"-C", i.ConfigDir, "-f", "a@example.com", "b@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	checkValue(t, collect(), "minikeeper_postfix_queue_messages", "maildrop", 1, 1)

	if err := i.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkValue(t, collect(), "minikeeper_postfix_up", "", 1, 1)
}

func commandLocal() minikeeper.Runner { return command.NewLocal(os.Getenv("PATH")) }

// shown shows samples as a scrape would, sorted, and the error last.
func shown(samples []minikeeper.Sample, err error) string {
	lines := make([]string, len(samples))
	for i, s := range samples {
		lines[i] = s.String() + "\n"
	}
	slices.Sort(lines)
	if err != nil {
		lines = append(lines, fmt.Sprintf("error: %v\n", err))
	}
	return strings.Join(lines, "")
}

// checkFamilies holds samples against what c says that it can return.
func checkFamilies(t *testing.T, c Collector, samples []minikeeper.Sample) {
	t.Helper()
	families := make(map[string][]string)
	for _, f := range c.Families() {
		families[f.Name] = f.Labels
	}
	for _, s := range samples {
		names := make([]string, len(s.Labels))
		for i, l := range s.Labels {
			names[i] = l.Name
		}
		if want, ok := families[s.Name]; !ok || !slices.Equal(names, want) {
			t.Errorf("%v: labels %v, family has %v", s, names, want)
		}
	}
}

// valueOf returns the value of the sample called name with queue (if any), or -1.
func valueOf(samples []minikeeper.Sample, name, queue string) float64 {
	for _, s := range samples {
		if s.Name == name && s.Label("queue") == queue {
			return s.Value
		}
	}
	return -1
}

func checkValue(t *testing.T, samples []minikeeper.Sample, name, queue string, low, high float64) {
	t.Helper()
	if got := valueOf(samples, name, queue); got < low || got > high {
		t.Errorf("%s{queue=%q} is %v, want %v to %v", name, queue, got, low, high)
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 200 {
		if done() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("waited too long for %s", what)
}

func writeTestFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}
