// Package instance makes a small private postfix in one folder: a queue, a log
// and an SMTP port of its own on the loopback interface, beside whatever mail
// system the machine has. Tests and the demonstration break and repair it.
//
// It delivers nothing itself: every message goes to one relay host, and names
// are never looked up, so no mail leaves the machine unless the relay host
// does. It needs root and an installed postfix, and touches nothing outside
// its folder.
package instance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/minikeeper/minikeeper"
)

// Options say what Create makes.
type Options struct {
	Dir       string // an absolute path; created if it is not there
	Port      int    // of SMTP on 127.0.0.1; 0 chooses a free one
	Relayhost string // such as "[127.0.0.1]:2525"; empty relays to a port that refuses, so that mail waits
}

// An Instance is one private postfix.
type Instance struct {
	ConfigDir string // for postfix -c
	Addr      string // HOST:PORT of its SMTP server
	Log       string // its log file

	run   minikeeper.Runner
	queue string
}

// patience bounds commands that ask postfix, or ask it to stop. It gives itself
// five seconds before it uses force.
const patience = 8 * time.Second

// nowhere is a relay host that refuses connections.
const nowhere = "[127.0.0.1]:1"

// Create writes the configuration of an instance and makes its folders. It
// does not start it.
func Create(ctx context.Context, run minikeeper.Runner, o Options) (*Instance, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("create postfix instance: only root can start a mail system")
	}
	if !filepath.IsAbs(o.Dir) || strings.ContainsAny(o.Dir, " \t\n$,") {
		return nil, fmt.Errorf("create postfix instance: folder %q must be an absolute path without spaces", o.Dir)
	}
	if o.Relayhost == "" {
		o.Relayhost = nowhere
	}
	if o.Port == 0 {
		port, err := freePort(ctx)
		if err != nil {
			return nil, fmt.Errorf("create postfix instance: %w", err)
		}
		o.Port = port
	}
	i := &Instance{
		ConfigDir: filepath.Join(o.Dir, "etc"),
		Addr:      net.JoinHostPort("127.0.0.1", strconv.Itoa(o.Port)),
		Log:       filepath.Join(o.Dir, "log", "mail.log"),
		run:       run,
		queue:     filepath.Join(o.Dir, "spool"),
	}
	if err := i.write(ctx, o); err != nil {
		return nil, fmt.Errorf("create postfix instance in %s: %w", o.Dir, err)
	}
	return i, nil
}

// write makes the folders and files of i.
func (i *Instance) write(ctx context.Context, o Options) error {
	data := filepath.Join(o.Dir, "data")
	for _, dir := range []string{o.Dir, i.ConfigDir, i.queue, data, filepath.Dir(i.Log)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
	}
	if err := searchable(o.Dir); err != nil {
		return err
	}
	uid, gid, err := i.owner(ctx)
	if err != nil {
		return err
	}
	if err := os.Chown(data, uid, gid); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(i.ConfigDir, "main.cf"), []byte(i.mainCF(o, data)), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(i.ConfigDir, "master.cf"), []byte(masterCF(i.Addr)), 0o644)
}

// owner returns the account that postfix runs as on this machine.
func (i *Instance) owner(ctx context.Context) (uid, gid int, err error) {
	res, err := i.run.Run(ctx, minikeeper.Command{Path: "postconf", Args: []string{"-d", "-h", "mail_owner"}})
	if err != nil {
		return 0, 0, err
	}
	name := strings.TrimSpace(string(res.Stdout))
	if res.Exit != 0 || name == "" {
		return 0, 0, fmt.Errorf("ask postconf for mail_owner: exit status %d: %s", res.Exit, strings.TrimSpace(string(res.Stderr)))
	}
	account, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	if uid, err = strconv.Atoi(account.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(account.Gid)
	return uid, gid, err
}

// searchable fails if an account without privileges cannot reach dir.
func searchable(dir string) error {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("folder %s may not be searched by everybody (mode %v), so postfix cannot reach its queue", dir, info.Mode().Perm())
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// freePort returns a TCP port of 127.0.0.1 that nobody listens on.
func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Start starts the instance and returns when it accepts mail.
func (i *Instance) Start(ctx context.Context) error { return i.postfix(ctx, "start") }

// Stop stops the instance, by force if postfix does not do it: its own commands
// wait for ever for a master that hangs.
func (i *Instance) Stop(ctx context.Context) error {
	polite, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := i.postfix(polite, "stop")
	if err == nil || !i.locked() {
		return err
	}
	return i.Kill()
}

func (i *Instance) postfix(ctx context.Context, verb string) error {
	res, err := i.run.Run(ctx, minikeeper.Command{Path: "postfix", Args: []string{"-c", i.ConfigDir, verb}})
	if err != nil {
		return err
	}
	if res.Exit != 0 {
		return fmt.Errorf("%s postfix instance: exit status %d: %s (its log: %s)", verb, res.Exit, strings.TrimSpace(string(res.Stderr)), i.Log)
	}
	return nil
}

// Kill kills the instance's master as a crash would: its other processes end
// because of it, and its queue and lock file stay as they are.
func (i *Instance) Kill() error {
	pid, err := i.PID()
	if err != nil {
		return fmt.Errorf("kill postfix master: %w", err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill postfix master %d: %w", pid, err)
	}
	return nil
}

// PID returns the process id that the instance's last master wrote down. It
// may have ended since.
func (i *Instance) PID() (int, error) {
	data, err := os.ReadFile(i.pidFile())
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("no process id in master.pid: %.40q", data)
	}
	return pid, nil
}

// Alive tells whether the instance's mail system runs, be it that it hangs.
func (i *Instance) Alive(ctx context.Context) bool {
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	res, err := i.run.Run(short, minikeeper.Command{Path: "postfix", Args: []string{"-c", i.ConfigDir, "status"}})
	if err != nil {
		return i.locked()
	}
	return res.Exit == 0
}

// locked tells whether a master holds the lock on its file, as it does for as
// long as it lives. So a process that has its old number is never taken for it.
func (i *Instance) locked() bool {
	f, err := os.OpenFile(i.pidFile(), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

func (i *Instance) pidFile() string { return filepath.Join(i.queue, "pid", "master.pid") }
