package actions_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/command/commandtest"
	"github.com/minikeeper/minikeeper/internal/testkit"
	"github.com/minikeeper/minikeeper/remediate/actions"
)

// What the tools say.
var (
	runs    = minikeeper.Result{Stderr: []byte("postfix/postfix-script: the Postfix mail system is running: PID: 4711\n")}
	stopped = minikeeper.Result{Stderr: []byte("postfix/postfix-script: the Postfix mail system is not running\n"), Exit: 1}
	unknown = minikeeper.Result{Stderr: []byte("Could not find service \"com.apple.postfix.master\" in domain for system\n"), Exit: 113}
)

const (
	debianUnit = "[Service]\nType=oneshot\nExecStart=/bin/true\n"
	stockJob   = `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict>
<key>Label</key><string>%</string><key>Program</key><string>/usr/libexec/postfix/master</string>
<key>ProgramArguments</key><array><string>master</string><string>-e</string><string>60</string></array>
</dict></plist>`
)

// system lays out the files by which postfix's service is found.
func system(t *testing.T, kind string) actions.Machine {
	t.Helper()
	m := actions.Machine{GOOS: "linux", Root: t.TempDir()}
	put := func(name, content string) {
		path := filepath.Join(m.Root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	job := func(label string) {
		m.GOOS = "darwin"
		put("System/Library/LaunchDaemons/"+label+".plist", string(replace(stockJob, label)))
	}
	switch kind {
	case "plain":
	case "second-instance":
		m.Postfix.ConfigDir = "/etc/postfix-out"
		put("run/systemd/system/.keep", "")
		put("lib/systemd/system/postfix.service", debianUnit)
	case "systemd":
		put("run/systemd/system/.keep", "")
		put("lib/systemd/system/postfix.service", debianUnit)
		put("lib/systemd/system/postfix@.service", "[Service]\n")
	case "macos-10.11":
		job("org.postfix.master")
	case "macos-10.12":
		job("com.apple.postfix.master")
	default:
		t.Fatalf("no system %q", kind)
	}
	return m
}

func replace(template, value string) []byte {
	var out []byte
	for _, c := range []byte(template) {
		if c == '%' {
			out = append(out, value...)
			continue
		}
		out = append(out, c)
	}
	return out
}

func TestRestartServicePlan(t *testing.T) {
	status := func(r minikeeper.Result) commandtest.Call { return commandtest.Call{Want: "postfix status", Give: r} }
	active := func(exit int) commandtest.Call {
		return commandtest.Call{Want: "systemctl is-active postfix@-.service", Give: minikeeper.Result{Exit: exit}}
	}
	job := func(label string, r minikeeper.Result) commandtest.Call {
		return commandtest.Call{Want: "launchctl print system/" + label, Give: r}
	}
	const older, newer = "org.postfix.master", "com.apple.postfix.master"

	tests := []struct {
		name, system, rung string
		calls              []commandtest.Call
	}{
		{"plain-stopped", "plain", "", []commandtest.Call{status(stopped)}},
		{"plain-running", "plain", "restart", []commandtest.Call{status(runs)}},
		{"plain-flush", "plain", "flush", []commandtest.Call{status(runs)}},
		{"plain-reload", "plain", "reload", []commandtest.Call{status(runs)}},
		{"plain-flush-of-a-stopped-one-starts-it", "plain", "flush", []commandtest.Call{status(stopped)}},
		{"second-instance-stopped", "second-instance", "", []commandtest.Call{
			{Want: "postfix -c /etc/postfix-out status", Give: stopped},
		}},
		{"second-instance-running", "second-instance", "", []commandtest.Call{
			{Want: "postfix -c /etc/postfix-out status", Give: runs},
		}},
		{"systemd-stopped", "systemd", "", []commandtest.Call{status(stopped)}},
		{"systemd-running", "systemd", "", []commandtest.Call{status(runs), active(0)}},
		{"systemd-running-but-started-by-hand", "systemd", "", []commandtest.Call{status(runs), active(3)}},
		{"systemd-does-not-answer", "systemd", "", []commandtest.Call{status(runs), active(1)}},
		{"macos-10.11-stopped", "macos-10.11", "", []commandtest.Call{status(stopped), job(older, minikeeper.Result{})}},
		{"macos-10.12-stopped", "macos-10.12", "", []commandtest.Call{status(stopped), job(newer, minikeeper.Result{})}},
		{"macos-10.12-running", "macos-10.12", "", []commandtest.Call{status(runs), job(newer, minikeeper.Result{})}},
		{"macos-10.12-stopped-and-not-loaded", "macos-10.12", "", []commandtest.Call{status(stopped), job(newer, unknown)}},
		{"macos-10.12-running-but-started-by-hand", "macos-10.12", "", []commandtest.Call{status(runs), job(newer, unknown)}},
		{"silent-and-stopped", "plain", "", []commandtest.Call{
			status(minikeeper.Result{Exit: 1}),
			daemons,
			{Want: "/usr/libexec/postfix/master -d -t"},
		}},
		{"silent-and-not-allowed-to-look", "plain", "", []commandtest.Call{
			status(minikeeper.Result{Exit: 1}),
			daemons,
			{Want: "/usr/libexec/postfix/master -d -t", Give: minikeeper.Result{Exit: 1}},
		}},
		{"silent-without-configuration", "plain", "", []commandtest.Call{
			status(minikeeper.Result{Exit: 1}),
			{Want: "postconf -h daemon_directory", Give: minikeeper.Result{Stderr: []byte("postconf: fatal: open /etc/postfix/main.cf: No such file or directory\n"), Exit: 1}},
		}},
		{"not-installed", "plain", "", []commandtest.Call{{Want: "postfix status", Err: errors.New("run postfix: file does not exist")}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := system(t, tt.system)
			m.Run = commandtest.New(t, tt.calls...)
			with := map[string]string{"service": "postfix", "rung": tt.rung}
			plan, err := actions.Builtin()["restart-service"].Plan(t.Context(), m, with)
			if errors.Is(err, actions.ErrRefused) {
				t.Error("a machine that cannot be read is not a refusal")
			}
			for i := range plan.Steps { // the file's place is a folder of the test's
				if path, ok := plan.Steps[i].Args["plist"]; ok {
					rel, err := filepath.Rel(m.Root, path)
					if err != nil {
						t.Fatal(err)
					}
					plan.Steps[i].Args["plist"] = "/" + rel
				}
			}
			testkit.Golden(t, filepath.Join("testdata", "restart-service", tt.name+".golden"), render(plan, err))
		})
	}
}

// hanging is a runner whose commands in hang never answer.
type hanging struct {
	minikeeper.Runner
	hang map[string]bool
}

func (h hanging) Run(ctx context.Context, c minikeeper.Command) (minikeeper.Result, error) {
	if h.hang[c.String()] {
		<-ctx.Done()
		return minikeeper.Result{}, fmt.Errorf("run %s: %w", c.Path, context.Cause(ctx))
	}
	return h.Runner.Run(ctx, c)
}

// daemons is where the tests' postfix has its master.
var daemons = commandtest.Call{
	Want: "postconf -h daemon_directory",
	Give: minikeeper.Result{Stdout: []byte("/usr/libexec/postfix\n")},
}

// TestHangingPostfix has a postfix whose master does not take its own log:
// whatever writes to that log waits.
func TestHangingPostfix(t *testing.T) {
	held := commandtest.Call{Want: "/usr/libexec/postfix/master -d -t", Give: minikeeper.Result{Exit: 1}}
	free := commandtest.Call{Want: held.Want}
	hang := map[string]bool{"postfix status": true, "postfix check": true, "postfix reload": true, "postfix stop": true}
	action := actions.Builtin()["restart-service"]

	for name, tt := range map[string]struct {
		system string
		calls  []commandtest.Call
	}{
		"plain-hangs":             {"plain", []commandtest.Call{daemons, held}},
		"systemd-hangs":           {"systemd", []commandtest.Call{daemons, held, {Want: "systemctl is-active postfix@-.service"}}},
		"macos-10.12-hangs":       {"macos-10.12", []commandtest.Call{daemons, held, {Want: "launchctl print system/com.apple.postfix.master"}}},
		"plain-hangs-and-is-gone": {"plain", []commandtest.Call{daemons, free}},
	} {
		t.Run(name, func(t *testing.T) {
			m := system(t, tt.system)
			synctest.Test(t, func(t *testing.T) {
				m.Run = hanging{commandtest.New(t, tt.calls...), hang}
				plan, err := action.Plan(t.Context(), m, map[string]string{"service": "postfix"})
				testkit.Golden(t, filepath.Join("testdata", "restart-service", name+".golden"), render(plan, err))
			})
		})
	}
	for name, tt := range map[string]struct {
		step minikeeper.Step
		want string
	}{
		"check":  {minikeeper.Step{Op: "check"}, "postfix check: no answer within 1m0s; going on"},
		"reload": {minikeeper.Step{Op: "try", Args: map[string]string{"what": "reload"}}, "\npostfix reload: no answer within 15s; going on"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := actions.Machine{Run: hanging{commandtest.New(t), hang}}
				if got, err := action.Do(t.Context(), m, tt.step); got != tt.want || err != nil {
					t.Errorf("got %q, %v; want %q", got, err, tt.want)
				}
				ended, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := action.Do(ended, m, tt.step); err == nil {
					t.Error("the end of the step's own time is taken for a mail system that hangs")
				}
			})
		})
	}
	t.Run("stop", func(t *testing.T) {
		m := actions.Machine{Root: t.TempDir()}
		writePID(t, m.Root, "4711")
		synctest.Test(t, func(t *testing.T) {
			m.Run = hanging{commandtest.New(t,
				daemons, held,
				commandtest.Call{Want: "postconf -h queue_directory", Give: minikeeper.Result{Stdout: []byte("/var/spool/postfix\n")}},
				commandtest.Call{Want: "ps -o comm= -p 4711", Give: minikeeper.Result{Stdout: []byte("master\n")}},
				commandtest.Call{Want: "kill -KILL 4711"},
				daemons, free,
			), hang}
			if got, err := action.Do(t.Context(), m, minikeeper.Step{Op: "stop"}); got != "master 4711 was killed" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	})
}

// writePID writes what a master leaves behind.
func writePID(t *testing.T, root, pid string) {
	t.Helper()
	dir := filepath.Join(root, "var/spool/postfix/pid")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "master.pid"), []byte(pid), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestRestartServiceRefuses(t *testing.T) {
	for want, with := range map[string]map[string]string{
		`plan restart-service: refused: unknown service "httpd" (have postfix)`:               {"service": "httpd"},
		`plan restart-service: refused: unknown rung "kill" (have flush, reload, restart)`:    {"service": "postfix", "rung": "kill"},
		`plan restart-service: refused: parameter "service" is missing: the service: postfix`: {},
		`plan restart-service: refused: unknown parameter "host" (have rung, service)`:        {"service": "postfix", "host": "x"},
	} {
		_, err := actions.Builtin()["restart-service"].Plan(t.Context(), actions.Machine{Run: commandtest.New(t)}, with)
		if text(err) != want || !errors.Is(err, actions.ErrRefused) {
			t.Errorf("%v: got %q, want %q", with, text(err), want)
		}
	}
}

func TestTryGoesOnWhateverHappens(t *testing.T) {
	tests := []struct {
		name, what string
		call       commandtest.Call
		want       string
	}{
		{"success", "flush", commandtest.Call{Want: "postqueue -f"}, ""},
		{
			"failure", "reload",
			commandtest.Call{Want: "postfix reload", Give: stopped},
			"postfix/postfix-script: the Postfix mail system is not running\npostfix reload: exit 1; going on",
		},
		{
			"no answer", "flush",
			commandtest.Call{Want: "postqueue -f", Err: errors.New("run postfix: killed")},
			"\nrun postfix: killed; going on",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := actions.Machine{Run: commandtest.New(t, tt.call)}
			step := minikeeper.Step{Op: "try", Args: map[string]string{"what": tt.what}}
			got, err := actions.Builtin()["restart-service"].Do(t.Context(), m, step)
			if got != tt.want || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
	t.Run("not a command of its own", func(t *testing.T) {
		step := minikeeper.Step{Op: "try", Args: map[string]string{"what": "/bin/sh"}}
		if _, err := actions.Builtin()["restart-service"].Do(t.Context(), actions.Machine{Run: commandtest.New(t)}, step); err == nil {
			t.Error("ran")
		}
	})
}

func TestStopByForce(t *testing.T) {
	var (
		stop  = commandtest.Call{Want: "postfix stop", Give: minikeeper.Result{Exit: 1}}
		queue = commandtest.Call{Want: "postconf -h queue_directory", Give: minikeeper.Result{Stdout: []byte("/var/spool/postfix\n")}}
		ps    = func(name string) commandtest.Call {
			return commandtest.Call{Want: "ps -o comm= -p 4711", Give: minikeeper.Result{Stdout: []byte(name)}}
		}
		kill    = commandtest.Call{Want: "kill -KILL 4711"}
		isUp    = commandtest.Call{Want: "postfix status", Give: runs}
		isDown  = commandtest.Call{Want: "postfix status", Give: stopped}
		forever = []commandtest.Call{stop, isUp, queue, ps("master\n"), kill}
	)
	for range 50 {
		forever = append(forever, isUp)
	}
	tests := []struct {
		name, pid string
		calls     []commandtest.Call
		want, err string
	}{
		{"stops", "", []commandtest.Call{{Want: "postfix stop"}, isDown}, "", ""},
		{"was stopped", "", []commandtest.Call{stop, isDown}, "", ""},
		{"hangs", "   4711\n", []commandtest.Call{stop, isUp, queue, ps("master\n"), kill, isUp, isDown}, "master 4711 was killed", ""},
		{"hangs on a mac", "4711", []commandtest.Call{stop, isUp, queue, ps("/usr/libexec/postfix/master\n"), kill, isDown}, "master 4711 was killed", ""},
		{
			"is another program", "4711",
			[]commandtest.Call{stop, isUp, queue, ps("launchd\n")},
			"",
			`stop postfix, which does not stop by itself: process 4711, which master.pid names, is "launchd" and not a master`,
		},
		{"is init", "1", []commandtest.Call{stop, isUp, queue}, "", "stop postfix, which does not stop by itself: master.pid names no process"},
		{"is nobody", "x", []commandtest.Call{stop, isUp, queue}, "", "stop postfix, which does not stop by itself: master.pid names no process"},
		{"cannot be killed", "4711", forever, "", "stop postfix, which does not stop by itself: master 4711 outlives SIGKILL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := actions.Machine{Root: t.TempDir()}
			writePID(t, m.Root, tt.pid)
			synctest.Test(t, func(t *testing.T) {
				m.Run = commandtest.New(t, tt.calls...)
				got, err := actions.Builtin()["restart-service"].Do(t.Context(), m, minikeeper.Step{Op: "stop"})
				if got != tt.want || text(err) != tt.err {
					t.Errorf("got %q, %q; want %q, %q", got, text(err), tt.want, tt.err)
				}
			})
		})
	}
}

func TestLoadJob(t *testing.T) {
	const plist = "/Library/LaunchDaemons/com.example.relay.plist"
	var (
		print5    = minikeeper.Result{Exit: 5, Stderr: []byte("Bootstrap failed: 5: Input/output error\n")}
		notFound  = commandtest.Call{Want: "launchctl print system/com.example.relay", Give: unknown}
		found     = commandtest.Call{Want: "launchctl print system/com.example.relay"}
		enable    = commandtest.Call{Want: "launchctl enable system/com.example.relay"}
		bootstrap = func(r minikeeper.Result) commandtest.Call {
			return commandtest.Call{Want: "launchctl bootstrap system " + plist, Give: r}
		}
	)
	refused := []commandtest.Call{notFound, enable, bootstrap(print5)}
	var always []commandtest.Call
	for range 5 {
		always = append(always, refused...)
	}
	tests := []struct {
		name      string
		calls     []commandtest.Call
		want, err string
	}{
		{"loaded already", []commandtest.Call{found}, "com.example.relay is loaded", ""},
		{"loads", []commandtest.Call{notFound, enable, bootstrap(minikeeper.Result{})}, "com.example.relay is loaded", ""},
		{"was still being unloaded", append(refused[:3:3], notFound, enable, bootstrap(minikeeper.Result{})), "com.example.relay is loaded", ""},
		{"answers 5 and loads all the same", append(refused[:3:3], found), "com.example.relay is loaded", ""},
		{"answers 5 for ever", always, "launchctl bootstrap system " + plist + ": exit 5: Bootstrap failed: 5: Input/output error; trying to start it all the same", ""},
		{
			"refuses for good",
			[]commandtest.Call{notFound, enable, bootstrap(minikeeper.Result{Exit: 1, Stderr: []byte("Not privileged\n")})},
			"", "load launchd job: launchctl bootstrap system " + plist + ": exit 1: Not privileged",
		},
		{
			"cannot be asked",
			[]commandtest.Call{{Want: found.Want, Give: minikeeper.Result{Exit: 1, Stderr: []byte("usage\n")}}},
			"", "load launchd job: launchctl print system/com.example.relay: exit 1: usage",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := actions.Machine{Run: commandtest.New(t, tt.calls...)}
				step := minikeeper.Step{Op: "load-job", Args: map[string]string{"label": "com.example.relay", "plist": plist}}
				got, err := actions.Builtin()["restart-service"].Do(t.Context(), m, step)
				if got != tt.want || text(err) != tt.err {
					t.Errorf("got %q, %q; want %q, %q", got, text(err), tt.want, tt.err)
				}
			})
		})
	}
}
