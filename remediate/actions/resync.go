package actions

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/delta"
)

// resyncTimeout bounds a resync. A share of 115 GB over a line of 2 MB/s takes
// 16 hours.
const resyncTimeout = 24 * time.Hour

// resyncKeepTrash is how long what a resync deleted can be taken back.
const resyncKeepTrash = 7 * 24 * time.Hour

// resyncNamed is how many paths with problems a resync names.
const resyncNamed = 5

// resyncOp is the operation that makes a replica equal.
const resyncOp = "resync"

// resync makes a replica of a share equal to its origin.
type resync struct{}

func (resync) Name() string { return "resync" }

func (resync) Describe() Description {
	return Description{
		Doc:        "Makes the replica of a share equal to its origin.",
		Idempotent: true,
		Params:     []Param{{Name: "share", Doc: "The share's name in the config of the server.", Required: true}},
	}
}

// Plan says which trees, and what may be deleted. It does not compare them, as
// that may take hours: the step does.
func (r resync) Plan(_ context.Context, m Machine, with map[string]string) (minikeeper.Plan, error) {
	if err := r.Describe().Check(with); err != nil {
		return minikeeper.Plan{}, fmt.Errorf("plan resync: %w", err)
	}
	share, err := m.share(with["share"])
	if err != nil {
		return minikeeper.Plan{}, fmt.Errorf("plan resync: %w", err)
	}
	limit, err := delta.ParseLimit(share.MaxDelete)
	if err != nil {
		return minikeeper.Plan{}, fmt.Errorf("plan resync: %w", refuse("share %q: max_delete: %v", share.Name, err))
	}
	args := map[string]string{
		"share":   share.Name,
		"origin":  share.Origin,
		"replica": share.Path,
		"delete":  strconv.FormatBool(share.Delete),
	}
	revert := ""
	if share.Delete {
		args["max_delete"] = limit.String()
		revert = "what was deleted is in .minikeeper/trash of the replica for 7 days; what was replaced is gone"
	}
	return minikeeper.Plan{
		Action:     r.Name(),
		Idempotent: true,
		Steps: []minikeeper.Step{{
			Name:    "make share " + share.Name + " equal to its origin",
			Op:      resyncOp,
			Args:    args,
			Revert:  revert,
			Timeout: resyncTimeout,
		}},
	}, nil
}

// Do compares and copies. It is an error if anything could not be made equal.
// The trees and limits are those of this machine's config, and they must still be
// those that the plan names.
func (r resync) Do(ctx context.Context, m Machine, s minikeeper.Step) (string, error) {
	if s.Op != resyncOp {
		return "", fmt.Errorf("perform %q: the action resync has no such operation", s.Op)
	}
	share, err := m.share(s.Args["share"])
	if err != nil {
		return "", fmt.Errorf("resync: %w", err)
	}
	plan, err := r.Plan(ctx, m, map[string]string{"share": share.Name})
	if err != nil {
		return "", fmt.Errorf("resync: %w", err)
	}
	if plan.Steps[0].String() != s.String() {
		return "", fmt.Errorf("resync: %w", refuse("the config of share %q has changed since it was planned", share.Name))
	}
	limit, err := delta.ParseLimit(share.MaxDelete)
	if err != nil {
		return "", fmt.Errorf("resync: %w", err)
	}
	start := time.Now()
	report, err := delta.Sync(ctx, m.below(share.Origin), m.below(share.Path), delta.SyncOptions{
		Options: delta.Options{
			Exclude:    share.Exclude,
			MaxEntries: resyncNamed,
			Progress:   m.tellProgress(),
		},
		Delete:    share.Delete,
		MaxDelete: limit,
		KeepTrash: resyncKeepTrash,
	})
	summary := resyncSummary(share.Name, report, time.Since(start))
	if err != nil {
		return summary, fmt.Errorf("resync share %q: %w", share.Name, err)
	}
	return summary, resyncRemainder(share, report)
}

// share returns the share called name that this machine holds.
func (m Machine) share(name string) (Share, error) {
	names := make([]string, len(m.Shares))
	for i, s := range m.Shares {
		if s.Name == name {
			return s, nil
		}
		names[i] = s.Name
	}
	return Share{}, refuse("unknown share %q (have %s)", name, choices(names))
}

// below returns where the file that the machine knows as name is.
func (m Machine) below(name string) string {
	if m.Root == "" {
		return name
	}
	return filepath.Join(m.Root, name)
}

// tellProgress returns what puts the progress of a sync into words; nil if nobody
// listens. It speaks once a second.
func (m Machine) tellProgress() func(delta.Progress) {
	if m.Progress == nil {
		return nil
	}
	var told time.Time
	var phase delta.Phase
	return func(p delta.Progress) {
		if now := time.Now(); p.Phase != phase || now.Sub(told) >= time.Second {
			told, phase = now, p.Phase
			m.Progress(resyncProgress(p))
		}
	}
}

// resyncProgress puts p into words.
func resyncProgress(p delta.Progress) string {
	if p.FilesTotal == 0 {
		return fmt.Sprintf("%s: %d files, %s read", p.Phase, p.Files, size(p.Bytes))
	}
	if p.BytesTotal == 0 {
		return fmt.Sprintf("%s: %d of %d files", p.Phase, p.Files, p.FilesTotal)
	}
	return fmt.Sprintf("%s: %d of %d files, %s of %s", p.Phase, p.Files, p.FilesTotal, size(p.Bytes), size(p.BytesTotal))
}

// resyncSummary says on one line what was found and done, and on further
// lines which paths have problems.
func resyncSummary(share string, r delta.SyncReport, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "share %s:", share)
	for _, kind := range delta.Kinds() {
		fmt.Fprintf(&b, " %d %s,", r.Compared.Counts[kind], kind)
	}
	fmt.Fprintf(&b, " %s to copy; copied %d files (%s), made %d folders and %d links, set metadata of %d, deleted %d; read %s in %s",
		size(r.Compared.DriftBytes), r.FilesCopied, size(r.BytesCopied), r.FoldersMade, r.LinksMade,
		r.MetadataFixed, r.Deleted, size(r.BytesRead), took.Round(time.Millisecond))
	if r.Trash != "" {
		fmt.Fprintf(&b, "; trash: %s", r.Trash)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "\n%s", p)
	}
	if more := r.ProblemCount - int64(len(r.Problems)); more > 0 {
		fmt.Fprintf(&b, "\nand %d more", more)
	}
	return b.String()
}

// resyncRemainder says what is not equal after a sync that came to its end.
func resyncRemainder(s Share, r delta.SyncReport) error {
	var errs []error
	if r.ProblemCount > 0 && len(r.Problems) > 0 {
		errs = append(errs, fmt.Errorf("resync share %q: %d paths could not be made equal, such as %s", s.Name, r.ProblemCount, r.Problems[0]))
	}
	if r.Kept > 0 {
		errs = append(errs, fmt.Errorf("resync share %q: %d extra entries stay, because delete is off for this share", s.Name, r.Kept))
	}
	return errors.Join(errs...)
}

// size shows a number of bytes as people read it.
func size(n int64) string {
	const step = 1000
	if n < step {
		return strconv.FormatInt(n, 10) + " B"
	}
	value, unit := float64(n)/step, 0
	for units := "kMGTPE"; value >= step && unit < len(units)-1; unit++ {
		value /= step
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + "kMGTPE"[unit:unit+1] + "B"
}
