package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/minikeeper/minikeeper/delta"
	"github.com/minikeeper/minikeeper/delta/manifest"
)

func newManifest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "manifest",
		Short: "The record of what a folder holds",
		Long: `Keep a record of a folder: each path with its size, times and permissions, and
a hash of every block of every file. With it, a later look reads only what
changed, and bytes that rotted on the disk show.

The record lies in the user's cache directory, or in the directory --state.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newManifestBuild(), newManifestVerify(), newManifestShow(), newManifestAccept())
	return cmd
}

// A manifestAsk is what all manifest commands are asked.
type manifestAsk struct {
	state   string
	exclude []string
	asJSON  bool
	rate    sizeFlag
}

func (a *manifestAsk) command(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&a.state, "state", "", "the `directory` of records (default: in the user's cache directory)")
	cmd.Flags().BoolVar(&a.asJSON, "json", false, "print JSON")
	return cmd
}

// reading adds the flags of commands that read the folder.
func (a *manifestAsk) reading(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringArrayVar(&a.exclude, "exclude", nil, "leave out what matches this `pattern`, beside what macOS leaves everywhere")
	cmd.Flags().Var(&a.rate, "rate", "read no more than this much a second, such as 40MB")
	return a.command(cmd)
}

// file is where the record of the folder dir is.
func (a *manifestAsk) file(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", cannotTell(err)
	}
	folder := a.state
	if folder == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", wrongAsk(fmt.Errorf("minikeeper: no --state is given, and %w", err))
		}
		folder = filepath.Join(cache, "minikeeper", "manifests")
	}
	sum := sha256.Sum256([]byte(abs))
	name := strings.ToValidUTF8(filepath.Base(abs), "_")
	return filepath.Join(folder, fmt.Sprintf("%.100s-%x.manifest", name, sum[:6])), nil
}

func (a *manifestAsk) options(b *bar) delta.RecordOptions {
	return delta.RecordOptions{
		Exclude: append([]string{"default"}, a.exclude...), MaxEntries: math.MaxInt,
		Progress: b.tell, Rate: int64(a.rate.Size),
	}
}

// pass runs one pass over the folder dir and prints what it found.
func (a *manifestAsk) pass(cmd *cobra.Command, dir string, do func(context.Context, string, delta.RecordOptions) (delta.RecordReport, error)) (delta.RecordReport, error) {
	state, err := a.file(dir)
	if err != nil {
		return delta.RecordReport{}, err
	}
	b := newBar(cmd.ErrOrStderr())
	start := time.Now()
	report, err := do(cmd.Context(), state, a.options(b))
	b.end()
	if err != nil {
		return report, recordError(err)
	}
	if a.asJSON {
		err = writeJSON(cmd.OutOrStdout(), newRecordJSON(report, time.Since(start)))
	} else {
		err = printRecord(cmd.OutOrStdout(), report, time.Since(start))
	}
	if err != nil {
		return report, cannotTell(err)
	}
	printProblems(cmd.ErrOrStderr(), report.Problems)
	return report, nil
}

// answer is the exit status of a report.
func answer(r delta.RecordReport) error {
	switch {
	case r.Corrupt > 0:
		return wrongWorld(nil)
	case r.ProblemCount > 0:
		return cannotTell(nil)
	default:
		return nil
	}
}

// recordError gives an error of the library its exit status.
func recordError(err error) error {
	switch {
	case errors.Is(err, delta.ErrNoRecord):
		return wrongAsk(fmt.Errorf("%w: make one with minikeeper manifest build", err))
	case errors.Is(err, delta.ErrEmptied):
		return wrongWorld(fmt.Errorf("refused: %w: is its disk mounted?", err))
	case errors.Is(err, delta.ErrRecordLocked):
		return wrongWorld(fmt.Errorf("refused: %w", err))
	case errors.Is(err, delta.ErrNotRecorded), errors.Is(err, delta.ErrNotCorrupt), errors.Is(err, delta.ErrStateInside),
		errors.Is(err, delta.ErrOtherTree), errors.Is(err, delta.ErrPattern):
		return wrongAsk(err)
	default:
		return cannotTell(err)
	}
}

func newManifestBuild() *cobra.Command {
	var ask manifestAsk
	return ask.reading(&cobra.Command{
		Use:   "build DIR",
		Short: "Make the record of a folder, or bring it up to date",
		Long: `Make the record of the folder DIR, or bring it up to date: files that are new or
changed by their size, modification time or inode are read, once.

Exit status: 1 if files are corrupt: their bytes changed and these did not.
3 if something could not be read; what is recorded of it stays.`,
		Args: exactly(1, "one folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := ask.pass(cmd, args[0], func(ctx context.Context, state string, o delta.RecordOptions) (delta.RecordReport, error) {
				return delta.Ingest(ctx, args[0], state, o)
			})
			if err != nil {
				return err
			}
			return answer(r)
		},
	})
}

func newManifestVerify() *cobra.Command {
	var ask manifestAsk
	return ask.reading(&cobra.Command{
		Use:   "verify DIR",
		Short: "Read every file again, and report rot",
		Long: `Read every file of the folder DIR and hold it against the record. A file whose
bytes changed under unchanged size and modification time is corrupt. What was
added, changed or removed since the record was made is counted, and left to
minikeeper manifest build.

Exit status: 0 all bytes are as recorded, 1 files are corrupt, 3 something could
not be read.`,
		Args: exactly(1, "one folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := ask.pass(cmd, args[0], func(ctx context.Context, state string, o delta.RecordOptions) (delta.RecordReport, error) {
				return delta.Scrub(ctx, args[0], state, delta.ScrubOptions{RecordOptions: o})
			})
			if err != nil {
				return err
			}
			return answer(r)
		},
	})
}

func newManifestAccept() *cobra.Command {
	var ask manifestAsk
	return ask.reading(&cobra.Command{
		Use:   "accept DIR PATH",
		Short: "Take the bytes that a corrupt file has now for right",
		Args:  exactly(2, "a folder, and a path in it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := pathIn(args[0], args[1])
			if err != nil {
				return err
			}
			_, err = ask.pass(cmd, args[0], func(ctx context.Context, state string, o delta.RecordOptions) (delta.RecordReport, error) {
				return delta.Accept(ctx, args[0], state, path, o)
			})
			return err
		},
	})
}

// pathIn is path from the folder dir, wherever it was given from.
func pathIn(dir, path string) (string, error) {
	if !filepath.IsAbs(path) {
		return filepath.ToSlash(filepath.Clean(path)), nil
	}
	abs, err := filepath.Abs(dir)
	if err == nil {
		path, err = filepath.Rel(abs, path)
	}
	if err != nil || path == ".." || strings.HasPrefix(path, "../") {
		return "", wrongAsk(fmt.Errorf("minikeeper: %s does not lie in %s", path, dir))
	}
	return filepath.ToSlash(path), nil
}

func newManifestShow() *cobra.Command {
	var ask manifestAsk
	return ask.command(&cobra.Command{
		Use:   "show DIR [PATH]",
		Short: "Print the record of a folder, or of one path in it",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return wrongAsk(fmt.Errorf("%s: wants a folder, and perhaps a path in it", cmd.CommandPath()))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			path := ""
			if len(args) == 2 {
				var err error
				if path, err = pathIn(args[0], args[1]); err != nil {
					return err
				}
			}
			return ask.show(cmd.OutOrStdout(), args[0], path)
		},
	})
}

func (a *manifestAsk) show(w io.Writer, dir, path string) (err error) {
	state, err := a.file(dir)
	if err != nil {
		return err
	}
	f, err := os.Open(state)
	if errors.Is(err, os.ErrNotExist) {
		return recordError(fmt.Errorf("show %s: %w", dir, delta.ErrNoRecord))
	}
	if err != nil {
		return cannotTell(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return cannotTell(err)
	}
	r, err := manifest.Open(f, st.Size())
	if err != nil {
		return cannotTell(fmt.Errorf("read %s: %w", state, err))
	}
	if path != "" {
		err = a.showPath(w, r, path)
	} else {
		err = a.showAll(w, r)
	}
	if _, said := errors.AsType[*statusError](err); err != nil && !said {
		return cannotTell(fmt.Errorf("read %s: %w", state, err))
	}
	return err
}
