package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/exporter"
	"github.com/minikeeper/minikeeper/internal/access"
	"github.com/minikeeper/minikeeper/internal/command"
	"github.com/minikeeper/minikeeper/internal/demo"
	"github.com/minikeeper/minikeeper/internal/web"
	"github.com/minikeeper/minikeeper/rules"
)

func newDemo() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Break a small site in one process, and watch it heal",
		Long: `Make a site with two servers out of folders, with a keeper for each and a hub,
all in this process and on the loopback interface. Break a replica, NetBoot
images, a mail relay and a mirror; print how each fault was detected, remedied,
verified and told. Then stay up: the page, and the keys on the terminal, break
things again.

With --once, end after the table: with exit status 0 only if every fault that
can be healed was, and every other one was reported.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), o, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&o.once, "once", false, "print the table and end")
	cmd.Flags().StringVar(&o.dir, "dir", "", "make the site in this empty folder and leave it there (default: a temporary folder)")
	cmd.Flags().BoolVar(&o.simulate, "simulate", false, "simulate the mail relays even where a real postfix can be run")
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:9797", "where the hub listens; with --once, a free port")
	cmd.Flags().StringVar(&o.level, "log-level", "error", "debug, info, warn or error")
	return cmd
}

type demoOptions struct {
	once, simulate     bool
	dir, listen, level string
}

// demoTimeout bounds how long the demo waits for all that should happen.
const demoTimeout = 2 * time.Minute

func runDemo(ctx context.Context, o demoOptions, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	log, err := newLog(stderr, o.level, "logfmt")
	if err != nil {
		return wrongAsk(err)
	}
	dir, tidy, err := demoDir(o.dir)
	if err != nil {
		return cannotTell(err)
	}
	defer tidy()
	s, err := newShow(ctx, dir, o, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, running := errgroup.WithContext(ctx)
	for _, t := range s.tasks() {
		group.Go(func() error { return t.run(running) })
	}
	group.Go(func() error {
		defer stop()
		return s.perform(running, stdin, stdout)
	})
	return group.Wait()
}

// demoDir returns the folder of the demo, and what to do with it at the end.
func demoDir(dir string) (string, func(), error) {
	if dir != "" {
		return dir, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "minikeeper-demo-")
	if err != nil {
		return "", nil, fmt.Errorf("make demo folder: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil // a temporary folder that stays harms nobody
}

// show is the site with its daemons.
type show struct {
	once    bool
	passing bool // the folder goes when the demo ends
	world   *demo.World
	keepers []*daemon
	hub     *daemon
}

func newShow(ctx context.Context, dir string, o demoOptions, log *slog.Logger) (*show, error) {
	var run minikeeper.Runner // without it, relays are simulated
	if !o.simulate {
		run = command.NewLocal(os.Getenv("PATH"))
	}
	world, err := demo.Create(ctx, dir, run)
	if err != nil {
		return nil, cannotTell(err)
	}
	s := &show{once: o.once, passing: o.dir == "", world: world}
	if err := s.startDaemons(ctx, o, log); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// startDaemons starts the keepers, then the hub, which must know where they
// listen.
func (s *show) startDaemons(ctx context.Context, o demoOptions, log *slog.Logger) error {
	if err := s.world.WriteKeeperConfigs(); err != nil {
		return cannotTell(err)
	}
	addresses := make(map[string]string)
	for _, server := range s.world.Servers {
		d, err := newDaemon(ctx, server.Config(), options{log: log.With("server", server.Name)})
		if err != nil {
			return err
		}
		s.keepers = append(s.keepers, d)
		addresses[server.Name] = d.addr.String()
	}
	remedies, err := remedySources()
	if err != nil {
		return err
	}
	listen := o.listen
	if o.once {
		listen = "127.0.0.1:0"
	}
	if err := s.world.WriteHubConfig(listen, addresses, remedies); err != nil {
		return cannotTell(err)
	}
	s.hub, err = newDaemon(ctx, s.world.HubConfig(), options{
		log: log.With("server", "hub"), routes: s.routes(), faults: s.buttons(), hurry: true,
	})
	return err
}

// remedySources are the shipped remedy files by name.
func remedySources() (map[string][]byte, error) {
	sources := make(map[string][]byte)
	shipped := rules.ShippedRemedies()
	names, err := fs.Glob(shipped, "*.yml")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if sources[name], err = fs.ReadFile(shipped, name); err != nil {
			return nil, err
		}
	}
	return sources, nil
}

func (s *show) tasks() []task {
	tasks := []task{{"mailbox", s.world.Mailbox.Run}, {"hub", s.hub.Run}}
	for _, k := range s.keepers {
		tasks = append(tasks, task{"keeper", k.Run})
	}
	return tasks
}

// Close ends all that the demo started.
func (s *show) Close() error {
	var errs []error
	if s.hub != nil {
		errs = append(errs, s.hub.Close())
	}
	for _, k := range s.keepers {
		errs = append(errs, k.Close())
	}
	return errors.Join(append(errs, s.world.Close())...)
}

// routes let the page break things.
func (s *show) routes() []exporter.Route {
	faults := s.world.Faults()
	return []exporter.Route{{Pattern: "POST /demo/break/{fault}", Role: access.Operate, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fault, err := findFault(faults, r.PathValue("fault"))
		if err != nil {
			access.Error(w, r, http.StatusNotFound, err.Error())
			return
		}
		if err := toggle(r.Context(), fault); err != nil {
			access.Error(w, r, http.StatusInternalServerError, err.Error())
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})}}
}

func (s *show) buttons() []web.Fault {
	var buttons []web.Fault
	for _, f := range s.world.Faults() {
		buttons = append(buttons, web.Fault{Name: f.Name, Title: f.Title})
	}
	return buttons
}

func findFault(faults []demo.Fault, name string) (demo.Fault, error) {
	var names []string
	for _, f := range faults {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return demo.Fault{}, fmt.Errorf("unknown fault %q (have %s)", name, strings.Join(names, ", "))
}

// toggle breaks what is whole, and mends what only people can.
func toggle(ctx context.Context, f demo.Fault) error {
	if f.Mend != nil && f.Broken() {
		return f.Mend(ctx)
	}
	return f.Break(ctx)
}

// perform breaks everything, and tells the story.
func (s *show) perform(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	fmt.Fprintf(stdout, "a site in %s: lon-mini-1 and lon-mini-2, a hub on http://%s, mail relay: %s\n",
		s.world.Dir, s.hub.addr, s.world.Servers[0].Relay.Kind())
	if err := s.await(ctx, "the site to be well", s.well); err != nil {
		if ctx.Err() != nil {
			return s.interrupted(err)
		}
		return cannotTell(err)
	}
	faults := s.world.Faults()
	broken := make(map[string]time.Time)
	for _, f := range faults {
		fmt.Fprintf(stdout, "break: %s\n", f.Title)
		broken[f.Name] = time.Now()
		if err := f.Break(ctx); err != nil {
			return cannotTell(fmt.Errorf("break %s: %w", f.Name, err))
		}
	}
	var rows []demo.Row
	waited := s.await(ctx, "all that should happen", func(ctx context.Context) (err error) {
		rows, err = s.rows(ctx, faults, broken)
		return err
	})
	if waited != nil && ctx.Err() != nil {
		return s.interrupted(waited)
	}
	fmt.Fprintln(stdout)
	if err := demo.WriteTable(stdout, rows); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\nmail: %d messages", len(s.world.Mailbox.Mails()))
	if s.once && s.passing {
		fmt.Fprintln(stdout, "; --dir FOLDER keeps them, and everything else, to look at")
	} else {
		fmt.Fprintln(stdout, " in", filepath.Join(s.world.Dir, "mail"))
	}
	if s.once {
		if waited != nil {
			return wrongWorld(waited)
		}
		return nil
	}
	return s.stay(ctx, stdin, stdout)
}

// interrupted is how a demo ends that was stopped before its table: that is
// what one does with a demo that stays up, but of --once nobody knows then how
// it would have ended.
func (s *show) interrupted(waited error) error {
	if s.once {
		return cannotTell(waited)
	}
	return nil
}

// await calls f until it returns nil, and gives up after a while.
func (s *show) await(ctx context.Context, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("stopped while waiting for %s: %w", what, err)
			}
			return fmt.Errorf("waited %v for %s: %w", demoTimeout, what, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// stay lets people break things by key until they leave.
func (s *show) stay(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	token, err := os.ReadFile(tokenFile(s.hub.cfg.Load()))
	if err != nil {
		return cannotTell(err)
	}
	fmt.Fprintf(stdout, "\nopen http://%s/#token=%s\n", s.hub.addr, strings.TrimSpace(string(token)))
	faults := s.world.Faults()
	for i, f := range faults {
		fmt.Fprintf(stdout, "  %d  %s\n", i+1, f.Title)
	}
	fmt.Fprintln(stdout, "  q  leave")
	keys := make(chan string)
	go func() {
		for lines := bufio.NewScanner(stdin); lines.Scan(); {
			keys <- strings.TrimSpace(lines.Text())
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case key := <-keys:
			if key == "q" {
				return nil
			}
			s.press(ctx, key, faults, stdout)
		}
	}
}

// press does what a key stands for.
func (s *show) press(ctx context.Context, key string, faults []demo.Fault, stdout io.Writer) {
	for i, f := range faults {
		if key == strconv.Itoa(i+1) || key == f.Name {
			if err := toggle(ctx, f); err != nil {
				fmt.Fprintln(stdout, err)
				return
			}
			fmt.Fprintf(stdout, "done: %s\n", f.Title)
			return
		}
	}
	fmt.Fprintf(stdout, "there is no key %q\n", key)
}
