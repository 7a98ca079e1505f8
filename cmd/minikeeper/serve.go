package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/prometheus/common/promslog"
	"github.com/spf13/cobra"
)

func newServe() *cobra.Command {
	var path, level, format string
	cmd := withConfig(&cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long: `Run the daemon: read this machine and serve what was read; where the
configuration has a store, also scrape, judge, repair and tell.

SIGHUP, and POST /-/reload, read the configuration again. A bad one changes
nothing. A line on standard output says where the daemon listens.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLog(cmd.ErrOrStderr(), level, format)
			if err != nil {
				return wrongAsk(err)
			}
			return serve(cmd.Context(), path, log, cmd.OutOrStdout())
		},
	}, &path)
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	cmd.Flags().StringVar(&format, "log-format", "logfmt", "logfmt or json")
	return cmd
}

// newLog returns a logger that writes to w.
func newLog(w io.Writer, level, format string) (*slog.Logger, error) {
	c := &promslog.Config{Writer: w, Level: promslog.NewLevel(), Format: promslog.NewFormat()}
	if err := c.Level.Set(level); err != nil {
		return nil, fmt.Errorf("unknown log level %q (have debug, info, warn, error)", level)
	}
	if err := c.Format.Set(format); err != nil {
		return nil, fmt.Errorf("unknown log format %q (have logfmt, json)", format)
	}
	return promslog.New(c), nil
}

// serve runs the daemon with the configuration at path until ctx ends.
func serve(ctx context.Context, path string, log *slog.Logger, stdout io.Writer) (err error) {
	d, err := newDaemon(ctx, path, options{log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	fmt.Fprintf(stdout, "minikeeper %s listens on %s\n", d.cfg.Load().Server, d.addr)
	go d.reloadOnHangup(ctx)
	if err := d.Run(ctx); err != nil {
		return cannotTell(err)
	}
	return nil
}

// reloadOnHangup reloads the configuration at each SIGHUP, until ctx ends.
func (d *daemon) reloadOnHangup(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			_ = d.Reload(ctx) // it is logged, and a metric tells
		}
	}
}
