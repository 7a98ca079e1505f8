package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/minikeeper/minikeeper/internal/demo"
)

// How long a script waits for what should happen.
const scriptPatience = 60 * time.Second

// cmdExits runs a program that must end with a status: exits STATUS PROGRAM ARGS.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = nil
		if got := exit.ExitCode(); got != want {
			ts.Fatalf("exit status %d, want %d", got, want)
		}
	} else if err == nil && want != 0 {
		ts.Fatalf("exit status 0, want %d", want)
	}
	ts.Check(err)
}

// A daemonProcess is a minikeeper that a script has started.
type daemonProcess struct {
	cmd  *exec.Cmd
	done chan error // its end
}

// daemons are those of one script, by name.
type daemons map[string]*daemonProcess

// daemonsKey is where a script keeps its daemons.
type daemonsKey struct{}

func daemonsOf(ts *testscript.TestScript) daemons { return ts.Value(daemonsKey{}).(daemons) }

func daemonOf(ts *testscript.TestScript, name string) *daemonProcess {
	d := daemonsOf(ts)[name]
	if d == nil {
		ts.Fatalf("no daemon %s was started", name)
	}
	return d
}

// cmdDaemon starts a daemon and waits for its ready line, which becomes the
// script's stdout: daemon NAME FLAGS. The address is in $NAME from then on,
// and the log in NAME.log.
func cmdDaemon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: daemon NAME FLAGS...")
	}
	log, err := os.Create(ts.MkAbs(args[0] + ".log"))
	ts.Check(err)
	program, err := lookPath(ts, "minikeeper")
	ts.Check(err)
	cmd := exec.CommandContext(context.Background(), program, append([]string{"serve"}, args[1:]...)...) //nolint:gosec // the program under test
	cmd.Dir, cmd.Stderr = ts.MkAbs("."), log
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "PATH="+ts.Getenv("PATH"), "PORT="+ts.Getenv("PORT"), "MAIL_ADDR="+ts.Getenv("MAIL_ADDR"))
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() { _ = cmd.Process.Kill() })

	line, _ := bufio.NewReader(stdout).ReadString('\n') // empty if it ended
	d := &daemonProcess{cmd: cmd, done: make(chan error, 1)}
	go func() {
		_, _ = io.Copy(io.Discard, stdout)
		d.done <- cmd.Wait()
	}()
	_, addr, ok := strings.Cut(strings.TrimSpace(line), " listens on ")
	if !ok {
		said, _ := os.ReadFile(log.Name())
		ts.Fatalf("the daemon did not say where it listens, but %q\n%s", line, said)
	}
	daemonsOf(ts)[args[0]] = d
	ts.Setenv(args[0], addr)
	_, err = io.WriteString(ts.Stdout(), line)
	ts.Check(err)
}

// lookPath finds a program as the script does.
func lookPath(ts *testscript.TestScript, name string) (string, error) {
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), string(os.PathListSeparator)) {
		if path, err := exec.LookPath(dir + "/" + name); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

// cmdSignal sends a signal to a daemon: signal NAME HUP.
func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || args[1] != "HUP" {
		ts.Fatalf("usage: signal NAME HUP")
	}
	ts.Check(daemonOf(ts, args[0]).cmd.Process.Signal(syscall.SIGHUP))
}

// cmdStop has a daemon end, which must do so well and soon: stop NAME.
func cmdStop(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: stop NAME")
	}
	d := daemonOf(ts, args[0])
	ts.Check(d.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-d.done:
		ts.Check(err)
	case <-time.After(scriptPatience):
		ts.Fatalf("%s does not end", args[0])
	}
}

// cmdFetch asks a daemon, and prints status and body: fetch METHOD URL [TOKENFILE].
func cmdFetch(ts *testscript.TestScript, neg bool, args []string) {
	status, answer, err := fetch(ts, args)
	ts.Check(err)
	_, err = io.WriteString(ts.Stdout(), answer)
	ts.Check(err)
	if good := status < 400; good == neg {
		ts.Fatalf("the answer has status %d", status)
	}
}

// cmdAwait asks a daemon until the answer fits: await REGEXP METHOD URL [TOKENFILE].
func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: await REGEXP METHOD URL [TOKENFILE]")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	var answer string
	for deadline := time.Now().Add(scriptPatience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if _, answer, err = fetch(ts, args[1:]); err == nil && want.MatchString(answer) {
			_, err = io.WriteString(ts.Stdout(), answer)
			ts.Check(err)
			return
		}
	}
	ts.Fatalf("no answer fits %s; the last one: %v\n%s", args[0], err, answer)
}

func fetch(ts *testscript.TestScript, args []string) (int, string, error) {
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: fetch METHOD URL [TOKENFILE]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, args[0], args[1], nil)
	if err != nil {
		return 0, "", err
	}
	if len(args) == 3 {
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(args[2])))
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Status + "\n" + string(body), err
}

// cmdMailbox starts an SMTP server that keeps what it is sent in a folder:
// mailbox FOLDER. Its address is in $MAIL_ADDR from then on.
func cmdMailbox(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: mailbox FOLDER")
	}
	ctx, cancel := context.WithCancel(context.Background())
	box, err := demo.NewMailbox(ctx, ts.MkAbs(args[0]))
	ts.Check(err)
	done := make(chan error, 1)
	go func() { done <- box.Run(ctx) }()
	ts.Defer(func() {
		cancel()
		ts.Check(<-done)
	})
	ts.Setenv("MAIL_ADDR", box.Addr())
}

// cmdSQL changes a database behind minikeeper's back: sql FILE STATEMENT.
func cmdSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql FILE STATEMENT")
	}
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0])+"?mode=rw") // internal/journal brings the driver
	ts.Check(err)
	defer func() { _ = db.Close() }()
	res, err := db.ExecContext(context.Background(), args[1])
	ts.Check(err)
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		ts.Fatalf("%s changed %d rows: %v", args[1], n, err)
	}
}
