package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/api"
	"github.com/minikeeper/minikeeper/internal/config"
	"github.com/minikeeper/minikeeper/internal/journal"
	"github.com/minikeeper/minikeeper/remediate"
)

func newRemedy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remedy",
		Short: "The runner by hand",
		Long: `Look at remedies and their runs, and decide about them. What only looks reads
the journal beside a running daemon; what changes something asks the daemon.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRemedyList(), newRemedyHistory(), newRemedyPlan(), newRemedyRun(),
		newRemedyApprove(), newRemedyDecision("deny", "Cancel a run that waits for approval", api.Client.Deny),
		newRemedyDecision("close", "End a run of which nobody knows what it did, and vouch that nothing of it still runs", api.Client.Close),
		newRemedyPause("pause", "Keep new runs from starting", api.Client.Pause),
		newRemedyPause("resume", "Lift a pause, and close a remedy's circuit", api.Client.Resume))
	return cmd
}

// remedyArgs are the words after the command's name, exactly n of them.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return wrongAsk(fmt.Errorf("%s: wants %s", cmd.CommandPath(), what))
		}
		return nil
	}
}

func newRemedyPlan() *cobra.Command {
	var path string
	var asJSON bool
	cmd := withConfig(&cobra.Command{
		Use:   "plan REMEDY [LABEL=VALUE...]",
		Short: "Print what a remedy would do now, and what would stop it",
		Args:  askArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, ask, err := asking(path, args)
			if err != nil {
				return err
			}
			p, err := client.Preview(cmd.Context(), ask)
			if err != nil {
				return answered(err)
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), p)
			}
			return writePreview(cmd.OutOrStdout(), p)
		},
	}, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// writePreview ends with exit status 1 if a guard would stop the run.
func writePreview(w io.Writer, p remediate.Preview) error {
	fmt.Fprintf(w, "%s on %s (%s)\n", p.Remedy, p.Server, p.Mode)
	for i, s := range p.Plan.Steps {
		fmt.Fprintf(w, "  %d. %s\n", i+1, s)
	}
	if p.Plan.Interrupts != "" {
		fmt.Fprintf(w, "  interrupts %s\n", p.Plan.Interrupts)
	}
	if p.Proof.Expr != "" { // it is not, where the target is not known
		fmt.Fprintf(w, "  proven by %s, within %s\n", p.Proof.Expr, p.Proof.Within)
	}
	if p.Asks != "" {
		fmt.Fprintf(w, "  would ask for approval: %s\n", p.Asks)
	}
	if p.Refusal != nil {
		return wrongWorld(p.Refusal)
	}
	return nil
}

func newRemedyRun() *cobra.Command {
	var path string
	var wait bool
	cmd := withConfig(&cobra.Command{
		Use:   "run REMEDY [LABEL=VALUE...]",
		Short: "Try a remedy now; its guards hold as always",
		Args:  askArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, ask, err := asking(path, args)
			if err != nil {
				return err
			}
			run, err := client.Start(cmd.Context(), ask)
			if err != nil {
				return answered(err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "run %s: %s on %s, %s\n", run.ID, run.Remedy, run.Server, run.State)
			if !wait {
				return nil
			}
			return follow(cmd.Context(), cmd.OutOrStdout(), client, run)
		},
	}, &path)
	cmd.Flags().BoolVar(&wait, "wait", true, "wait until the run has ended")
	return cmd
}

// follow prints each change of run until it has ended. Exit status 1 if it
// did not help.
func follow(ctx context.Context, w io.Writer, client api.Client, run remediate.Record) error {
	state := run.State
	for !run.State.Ended() {
		select {
		case <-ctx.Done():
			return cannotTell(fmt.Errorf("run %s goes on without us: %w", run.ID, ctx.Err()))
		case <-time.After(500 * time.Millisecond):
		}
		var err error
		if run, err = client.Run(ctx, run.ID); err != nil {
			return answered(err)
		}
		if run.State != state {
			state = run.State
			fmt.Fprintf(w, "run %s: %s %s\n", run.ID, run.State, run.Reason)
		}
	}
	if run.State != minikeeper.RunSucceeded {
		return wrongWorld(fmt.Errorf("run %s: %s: %s", run.ID, run.State, run.Reason))
	}
	return nil
}

// askArgs wants a remedy and labels.
func askArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return wrongAsk(fmt.Errorf("%s: which remedy?", cmd.CommandPath()))
	}
	for _, arg := range args[1:] {
		if name, _, ok := strings.Cut(arg, "="); !ok || name == "" {
			return wrongAsk(fmt.Errorf("%s: want LABEL=VALUE such as server=lon-mini-1, not %q", cmd.CommandPath(), arg))
		}
	}
	return nil
}

// asking turns arguments that askArgs has checked into a question.
func asking(path string, args []string) (api.Client, api.Ask, error) {
	ask := api.Ask{Remedy: args[0], Labels: make(map[string]string)}
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		ask.Labels[name] = value
	}
	client, err := clientOf(path)
	return client, ask, err
}

// clientOf asks the daemon that runs with the configuration at path.
func clientOf(path string) (api.Client, error) {
	cfg, err := loadConfig(path)
	if err != nil {
		return api.Client{}, err
	}
	return newClient(cfg)
}

// answered gives the daemon's error its exit status.
func answered(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, api.ErrRefused) {
		return wrongWorld(err)
	}
	if _, wrong := errors.AsType[*api.Wrong](err); wrong {
		return wrongAsk(err)
	}
	return cannotTell(err)
}

func newRemedyApprove() *cobra.Command {
	var path, plan string
	cmd := withConfig(&cobra.Command{
		Use:   "approve RUN",
		Short: "Let a run go ahead with the plan that it has",
		Args:  exactly(1, "the id of a run; remedy history lists them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := clientOf(path)
			if err != nil {
				return err
			}
			run, err := client.Run(cmd.Context(), args[0])
			if err != nil {
				return answered(err)
			}
			if plan != "" && plan != run.PlanHash {
				return wrongWorld(fmt.Errorf("run %s has plan %s by now, not %s", run.ID, run.PlanHash, plan))
			}
			for i, s := range run.Plan.Steps {
				fmt.Fprintf(cmd.OutOrStdout(), "  %d. %s\n", i+1, s)
			}
			return answered(client.Approve(cmd.Context(), run.ID, run.PlanHash))
		},
	}, &path)
	cmd.Flags().StringVar(&plan, "plan", "", "approve only if the plan has this hash")
	return cmd
}

// newRemedyDecision is a command that asks the daemon about one run.
func newRemedyDecision(name, short string, decide func(api.Client, context.Context, string) error) *cobra.Command {
	var path string
	return withConfig(&cobra.Command{
		Use:   name + " RUN",
		Short: short,
		Args:  exactly(1, "the id of a run; remedy history lists them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := clientOf(path)
			if err != nil {
				return err
			}
			return answered(decide(client, cmd.Context(), args[0]))
		},
	}, &path)
}

// newRemedyPause is a command about a pause.
func newRemedyPause(name, short string, do func(api.Client, context.Context, api.Pause) error) *cobra.Command {
	var path, reason string
	cmd := withConfig(&cobra.Command{
		Use:   name + " all | remedy NAME | server NAME | site NAME",
		Short: short,
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := api.Pause{Scope: remediate.PauseScope(args[0]), Reason: reason}
			if len(args) == 2 {
				p.Name = args[1]
			}
			client, err := clientOf(path)
			if err != nil {
				return err
			}
			return answered(do(client, cmd.Context(), p))
		},
	}, &path)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the others")
	return cmd
}

func newRemedyHistory() *cobra.Command {
	var path, server, remedy string
	var limit int
	var asJSON bool
	cmd := withConfig(&cobra.Command{
		Use:   "history",
		Short: "Print what was done, and what was not and why",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var runs []remediate.Record
			err := readJournal(cmd.Context(), path, func(r remediate.Reader, _ *config.Config) (err error) {
				runs, err = r.Runs(remediate.Query{Server: server, Remedy: remedy, Limit: limit})
				return err
			})
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), append([]remediate.Record{}, runs...)) // [], not null
			}
			return writeHistory(cmd.OutOrStdout(), runs)
		},
	}, &path)
	cmd.Flags().StringVar(&server, "server", "", "only runs on this server")
	cmd.Flags().StringVar(&remedy, "remedy", "", "only runs of this remedy")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many, the newest first")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func writeHistory(w io.Writer, runs []remediate.Record) error {
	if len(runs) == 0 {
		fmt.Fprintln(w, "no runs")
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BEGAN\tRUN\tREMEDY\tSERVER\tSTATE\tTOOK\tWHY")
	for _, r := range runs {
		state, took := string(r.State), "-"
		if r.Gate != "" {
			state += " by " + r.Gate
		}
		if !r.Ended.IsZero() {
			took = r.Ended.Sub(r.Created).Round(100 * time.Millisecond).String()
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			r.Created.Local().Format(time.DateTime), r.ID, r.Remedy, r.Server, state, took, r.Reason)
	}
	return table.Flush()
}

func newRemedyList() *cobra.Command {
	var path string
	var asJSON bool
	cmd := withConfig(&cobra.Command{
		Use:   "list",
		Short: "Print the remedies and what each may do at the moment",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := listRemedies(cmd.Context(), path)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), list)
			}
			return writeList(cmd.OutOrStdout(), list)
		},
	}, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// listed is a remedy as it is listed.
type listed struct {
	Name      string         `json:"name"`
	Action    string         `json:"action"`
	Match     []string       `json:"match"`
	Mode      remediate.Mode `json:"mode"`      // of the file
	Effective remediate.Mode `json:"effective"` // the lower of the file's and the circuit's cap
	Note      string         `json:"note,omitempty"`
	Source    string         `json:"source"`
}

func listRemedies(ctx context.Context, path string) ([]listed, error) {
	var list []listed
	err := readJournal(ctx, path, func(r remediate.Reader, cfg *config.Config) error {
		remedies, err := loadRemedies(cfg)
		if err != nil {
			return wrongAsk(err)
		}
		circuits, err := r.Circuits()
		if err != nil {
			return err
		}
		pauses, err := r.Pauses()
		if err != nil {
			return err
		}
		for _, remedy := range remedies {
			list = append(list, list1(remedy, circuits, pauses))
		}
		return nil
	})
	return list, err
}

func list1(r *remediate.Remedy, circuits []remediate.Circuit, pauses []remediate.Pause) listed {
	l := listed{Name: r.Name, Action: r.Action, Mode: r.Mode, Effective: r.Mode, Source: r.Source}
	for _, m := range r.Match {
		l.Match = append(l.Match, fmt.Sprint(m))
	}
	for _, c := range circuits {
		if c.Remedy == r.Name && c.Open() {
			if l.Mode == remediate.ModeAuto {
				l.Effective = remediate.ModePropose
			}
			l.Note = "circuit open: " + c.Reason
		}
	}
	for _, p := range pauses {
		if p.Scope == remediate.PauseAll || p.Scope == remediate.PauseRemedy && p.Name == r.Name {
			l.Note = strings.TrimSpace("paused by " + p.Who + " " + p.Reason)
		}
	}
	return l
}

func writeList(w io.Writer, list []listed) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "REMEDY\tACTION\tMODE\tNOW\tFOR\tNOTE")
	for _, l := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, l.Action, l.Mode, l.Effective, strings.Join(l.Match, ", "), l.Note)
	}
	return table.Flush()
}

// readJournal runs fn on the journal of the configuration at path, which a
// daemon may be writing.
func readJournal(ctx context.Context, path string, fn func(remediate.Reader, *config.Config) error) (err error) {
	cfg, err := loadConfig(path)
	if err != nil {
		return err
	}
	j, err := journal.OpenReadOnly(ctx, cfg.Journal.SQLite)
	if err != nil {
		return cannotTell(err)
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	return j.Read(ctx, func(r remediate.Reader) error { return fn(r, cfg) })
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
