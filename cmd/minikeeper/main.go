// Command minikeeper keeps a fleet of small on-site servers healthy: it reads
// them, judges what it read, repairs what can be repaired safely, proves that
// the repair worked, and tells people.
//
// This package only puts the parts together: one file for each command, and
// wire.go, the only place that picks implementations.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // calendars name time zones, and a small server may lack them

	"github.com/spf13/cobra"
)

// Exit statuses, equal for all commands.
const (
	exitWell       = 0
	exitWrongWorld = 1 // the world is wrong: drift, an unhealed fault, a refusal by a guard
	exitWrongAsk   = 2 // the request is wrong: flags, configuration
	exitCannotTell = 3 // unreachable, unreadable
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its doors passed in. It returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitWell
	}
	if status, ok := errors.AsType[*statusError](err); ok {
		if status.err != nil {
			fmt.Fprintln(stderr, status.err)
		}
		return status.status
	}
	fmt.Fprintln(stderr, "minikeeper:", err)
	return exitWrongAsk // what cobra itself refuses is a wrong request
}

// A statusError carries the exit status of a command out of it.
type statusError struct {
	status int
	err    error // nil if everything has been said already
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// wrongWorld says that the world is not as it should be.
func wrongWorld(err error) error { return &statusError{exitWrongWorld, err} }

// wrongAsk says that the request cannot be right.
func wrongAsk(err error) error { return &statusError{exitWrongAsk, err} }

// cannotTell says that the answer could not be found out.
func cannotTell(err error) error { return &statusError{exitCannotTell, err} }

// newRoot returns the command that holds all others.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "minikeeper",
		Short: "Keep a fleet of small on-site servers healthy",
		Long: `minikeeper reads servers, judges what it read with PromQL, repairs what can be
repaired safely, proves the repair on fresh samples, and tells people.

Exit status: 0 well, 1 the world is wrong (drift, unhealed, refused by a guard),
2 the request is wrong (flags, configuration), 3 could not tell.`,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Version:       buildVersion(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("minikeeper {{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		newServe(), newCheck(), newCollect(), newDemo(),
		newSNMP(), newDrift(), newSync(), newManifest(), newNBI(), newSegment(),
		newRemedy(), newJournal(), newNotify(),
	)
	return root
}

// noArgs refuses arguments with the words that fit a mistyped command.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasSubCommands() {
		return wrongAsk(fmt.Errorf("minikeeper %s: takes no arguments, but got %q", cmd.Name(), args))
	}
	return wrongAsk(fmt.Errorf("minikeeper: unknown command %q (have %s)", args[0], subcommands(cmd)))
}

// subcommands lists the names of the commands below cmd.
func subcommands(cmd *cobra.Command) string {
	var list string
	for _, c := range cmd.Commands() {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		if list != "" {
			list += ", "
		}
		list += c.Name()
	}
	return list
}
