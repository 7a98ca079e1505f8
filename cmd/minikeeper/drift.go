package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/minikeeper/minikeeper/delta"
)

func newDrift() *cobra.Command {
	var ask driftAsk
	cmd := &cobra.Command{
		Use:   "drift --from SOURCE DIR",
		Short: "Print in what a replica differs from its origin",
		Long: `Compare the folder DIR with SOURCE, the folder that it is to be equal to, and
print each path that differs with its kind: missing, extra, content or
metadata. Files of equal size and modification time are taken for equal unless
--checksum has their bytes read. Nothing is written.

Exit status: 0 equal, 1 drift, 3 not everything could be compared and what could
is equal.`,
		Args: exactly(1, "one folder, the replica"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask.run(cmd, args[0])
		},
	}
	ask.flags(cmd)
	return cmd
}

// A treesAsk is what drift and sync are both asked.
type treesAsk struct {
	from     []string
	exclude  []string
	checksum bool
	asJSON   bool
}

func (a *treesAsk) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&a.from, "from", nil, "the origin: a folder")
	f.StringArrayVar(&a.exclude, "exclude", nil, "leave out what matches this `pattern`, beside what macOS leaves everywhere")
	f.BoolVar(&a.checksum, "checksum", false, "read all bytes instead of trusting size and modification time")
	f.BoolVar(&a.asJSON, "json", false, "print JSON")
}

// options are what the library is to do. Every difference is wanted, not only the first ones.
func (a *treesAsk) options() delta.Options {
	return delta.Options{Exclude: append([]string{"default"}, a.exclude...), Quick: !a.checksum, MaxEntries: math.MaxInt}
}

type driftAsk struct{ treesAsk }

func (a *driftAsk) run(cmd *cobra.Command, replica string) error {
	origin, err := oneDirectory(a.from)
	if err != nil {
		return err
	}
	o := a.options()
	bar := newBar(cmd.ErrOrStderr())
	o.Progress = bar.tell
	report, err := delta.Compare(cmd.Context(), origin, replica, o)
	bar.end()
	if err != nil {
		return treesError(err)
	}
	if report.OriginFiles == 0 && report.Drift() > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s holds no files: is its disk mounted?\n", origin)
	}
	if err := a.print(cmd.OutOrStdout(), report); err != nil {
		return cannotTell(err)
	}
	printProblems(cmd.ErrOrStderr(), report.Problems)
	switch {
	case report.Drift() > 0:
		return wrongWorld(nil)
	case report.ProblemCount > 0:
		return cannotTell(nil)
	default:
		return nil
	}
}

func (a *driftAsk) print(w io.Writer, r delta.Report) error {
	if a.asJSON {
		return writeJSON(w, newDriftJSON(r))
	}
	if err := printEntries(w, r.Entries); err != nil {
		return err
	}
	return printCounts(w, r)
}

// printEntries prints one path a line, its kind first.
func printEntries(w io.Writer, entries []delta.Entry) error {
	for _, e := range entries {
		if _, err := fmt.Fprintf(w, "%-8s  %s\n", e.Kind, showPath(e.Path)); err != nil {
			return err
		}
	}
	return nil
}

// printCounts prints how much differs, in one line if nothing does.
func printCounts(w io.Writer, r delta.Report) error {
	if r.Drift() == 0 {
		_, err := fmt.Fprintf(w, "equal: %d files, %d folders, %s\n", r.Files, r.Dirs, showBytes(r.Bytes))
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, kind := range slices.Sorted(slices.Values(delta.Kinds())) {
		fmt.Fprintf(t, "%s\t%d\t\n", kind, r.Counts[kind])
	}
	fmt.Fprintf(t, "to move\t%s\t\n", showBytes(r.DriftBytes))
	return t.Flush()
}
