package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/minikeeper/minikeeper/delta"
)

func newSync() *cobra.Command {
	var ask syncAsk
	cmd := &cobra.Command{
		Use:   "sync --from SOURCE DIR",
		Short: "Make a replica equal to its origin",
		Long: `Make the folder DIR equal to the folder SOURCE. Whoever reads a file meanwhile
sees it as it was or as it is to be. What SOURCE does not have stays, unless
--delete moves it into a trash, .minikeeper/trash in DIR.

A sync is refused if SOURCE holds no files, if it would delete more than
--max-delete allows, or if another one is under way.

Exit status: 0 equal now (without --delete, but for what SOURCE does not have),
1 refused or not all could be made equal, 3 a folder cannot be read.`,
		Args: exactly(1, "one folder, the replica"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask.run(cmd, args[0])
		},
	}
	ask.flags(cmd)
	f := cmd.Flags()
	f.BoolVarP(&ask.dryRun, "dry-run", "n", false, "print what would be done, and do nothing")
	f.BoolVar(&ask.remove, "delete", false, "move what SOURCE does not have into the trash")
	f.StringVar(&ask.maxDelete, "max-delete", "", "refuse to delete more than this many entries, or `N%` of them (default "+delta.DefaultMaxDelete().String()+")")
	return cmd
}

type syncAsk struct {
	treesAsk
	dryRun    bool
	remove    bool
	maxDelete string
}

func (a *syncAsk) run(cmd *cobra.Command, replica string) error {
	origin, err := oneDirectory(a.from)
	if err != nil {
		return err
	}
	limit, err := delta.ParseLimit(a.maxDelete)
	if err != nil {
		return wrongAsk(fmt.Errorf("minikeeper: --max-delete: %w", err))
	}
	bar := newBar(cmd.ErrOrStderr())
	o := delta.SyncOptions{Options: a.options(), DryRun: a.dryRun, Delete: a.remove, MaxDelete: limit}
	o.Progress = bar.tell
	start := time.Now()
	report, syncErr := delta.Sync(cmd.Context(), origin, replica, o)
	bar.end()
	if err := a.print(cmd.OutOrStdout(), report, time.Since(start), syncErr); err != nil {
		return cannotTell(err)
	}
	printProblems(cmd.ErrOrStderr(), report.Problems)
	switch {
	case syncErr != nil:
		return treesError(syncErr)
	case report.ProblemCount > 0:
		return wrongWorld(nil)
	default:
		return nil
	}
}

// print prints what was done, which may be something although the sync failed.
func (a *syncAsk) print(w io.Writer, r delta.SyncReport, took time.Duration, failed error) error {
	if a.asJSON {
		return writeJSON(w, newSyncJSON(r, a.dryRun, took, failed))
	}
	if failed != nil && r.Compared.Counts == nil {
		return nil // it did not come to anything
	}
	if a.dryRun {
		if err := printEntries(w, a.planned(r.Compared.Entries)); err != nil {
			return err
		}
		return printCounts(w, r.Compared)
	}
	return printTotals(w, r, took)
}

// planned are the entries that a sync would do something about.
func (a *syncAsk) planned(all []delta.Entry) []delta.Entry {
	var planned []delta.Entry
	for _, e := range all {
		if e.Kind != delta.Extra || a.remove {
			planned = append(planned, e)
		}
	}
	return planned
}

func printTotals(w io.Writer, r delta.SyncReport, took time.Duration) error {
	_, err := fmt.Fprintf(w, "copied %d files, %s; made %d folders, %d links; set metadata of %d; deleted %d, kept %d extra; %v\n",
		r.FilesCopied, showBytes(r.BytesCopied), r.FoldersMade, r.LinksMade, r.MetadataFixed, r.Deleted, r.Kept, took.Round(time.Millisecond))
	if err == nil && r.Trash != "" {
		_, err = fmt.Fprintf(w, "deleted entries are in %s\n", r.Trash)
	}
	return err
}

// A syncJSON is what sync prints with --json.
type syncJSON struct {
	Equal         bool          `json:"equal"`
	DryRun        bool          `json:"dry_run,omitempty"`
	Drift         driftJSON     `json:"drift"` // before anything was done
	FilesCopied   int64         `json:"files_copied"`
	BytesCopied   int64         `json:"bytes_copied"`
	BytesRead     int64         `json:"bytes_read"`
	LinksMade     int64         `json:"links_made"`
	FoldersMade   int64         `json:"folders_made"`
	MetadataFixed int64         `json:"metadata_fixed"`
	Deleted       int64         `json:"deleted"`
	Kept          int64         `json:"kept"`
	Trash         string        `json:"trash,omitempty"`
	Seconds       float64       `json:"seconds"`
	Problems      []problemJSON `json:"problems"`
	Error         string        `json:"error,omitempty"`
}

func newSyncJSON(r delta.SyncReport, dryRun bool, took time.Duration, failed error) syncJSON {
	s := syncJSON{
		Equal: failed == nil && r.Equal() && (!dryRun || r.Compared.Drift() == 0), DryRun: dryRun,
		Drift: newDriftJSON(r.Compared), FilesCopied: r.FilesCopied, BytesCopied: r.BytesCopied, BytesRead: r.BytesRead,
		LinksMade: r.LinksMade, FoldersMade: r.FoldersMade, MetadataFixed: r.MetadataFixed,
		Deleted: r.Deleted, Kept: r.Kept, Trash: r.Trash, Seconds: took.Seconds(), Problems: newProblemsJSON(r.Problems),
	}
	if failed != nil {
		s.Error = failed.Error()
	}
	return s
}
