package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/minikeeper/minikeeper/internal/nbi"
)

func newNBI() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "nbi",
		Short: "NetBoot images, their clashes, and their repair",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newNBIList(), newNBIReindex())
	return cmd
}

func newNBIList() *cobra.Command {
	var ask nbiAsk
	cmd := &cobra.Command{
		Use:   "list DIR...",
		Short: "Print the NetBoot images in folders, and what is wrong with them",
		Long: `Print the NetBoot images in each DIR, a folder of .nbi folders such as
/Library/NetBoot/NetBootSP0, and what is wrong with them. Each DIR stands for a
server of its own: an index from 4096 on is one image on all servers.

Images are told apart by what they hold, which reads them wholly; --no-hash
prints them without, and then finds only what their property lists show.

Exit status: 0 all is well, 1 images clash or cannot be offered, 3 a folder or
an image cannot be read.`,
		Args: someFolders,
		RunE: func(cmd *cobra.Command, dirs []string) error { return ask.list(cmd, dirs) },
	}
	cmd.Flags().BoolVar(&ask.asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&ask.noHash, "no-hash", false, "do not read the images themselves")
	return cmd
}

func newNBIReindex() *cobra.Command {
	var ask nbiAsk
	cmd := &cobra.Command{
		Use:   "reindex DIR...",
		Short: "Give NetBoot images indexes that do not clash",
		Long: `Give the NetBoot images in each DIR, a folder of .nbi folders such as
/Library/NetBoot/NetBootSP0, indexes that do not clash: the same image in
several folders gets the same index, from 4096 on, and different images get
different ones. Each DIR stands for a server of its own. Numbers that are right
stay. Disabled images, and those of which it is not known what they hold, stay
as they are.

Only the number changes in NBImageInfo.plist; its format, owner and mode stay.
The old file is kept beside it as NBImageInfo.plist.minikeeper-old: to undo a
change, move it back.

Exit status: 0 nothing clashes any more (with --dry-run: the changes are known),
1 something still does, 3 a folder or an image cannot be read.`,
		Args: someFolders,
		RunE: func(cmd *cobra.Command, dirs []string) error { return ask.reindex(cmd, dirs) },
	}
	cmd.Flags().BoolVar(&ask.asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVarP(&ask.dryRun, "dry-run", "n", false, "print what would be changed, and change nothing")
	return cmd
}

// someFolders wants at least one argument.
func someFolders(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return wrongAsk(fmt.Errorf("%s: wants at least one folder of .nbi folders", cmd.CommandPath()))
	}
	return nil
}

// An nbiAsk is what the nbi commands are asked.
type nbiAsk struct {
	asJSON bool
	noHash bool
	dryRun bool

	hasher nbi.Hasher // remembers what it read
}

func (a *nbiAsk) list(cmd *cobra.Command, dirs []string) error {
	found, err := a.read(cmd.Context(), dirs)
	if err != nil && found == nil {
		return err
	}
	findings := findClashes(found)
	if printErr := a.printImages(cmd.OutOrStdout(), found, findings); printErr != nil {
		return cannotTell(printErr)
	}
	switch {
	case err != nil:
		return err
	case len(findings) > 0:
		return wrongWorld(nil)
	default:
		return nil
	}
}

func (a *nbiAsk) reindex(cmd *cobra.Command, dirs []string) error {
	found, err := a.read(cmd.Context(), dirs)
	if err != nil {
		return err // numbers that are not known may be taken
	}
	changes, err := planChanges(found)
	if err != nil {
		return wrongWorld(err)
	}
	if !a.dryRun {
		for i := range changes {
			changes[i].do(cmd.Context())
		}
		if found, err = a.read(cmd.Context(), dirs); err != nil {
			return err
		}
	}
	left := findClashes(found)
	if a.dryRun {
		left = nil
	}
	if err := a.printChanges(cmd.OutOrStdout(), changes, left); err != nil {
		return cannotTell(err)
	}
	for _, c := range changes {
		if c.err != nil {
			return wrongWorld(nil)
		}
	}
	for _, f := range left {
		if f.Kind != findingProblem { // which no index would cure
			return wrongWorld(nil)
		}
	}
	return nil
}

// An nbiShare is a folder of images, called as it was on the command line.
type nbiShare struct {
	dir    string
	images []nbi.Image
}

// read reads the images in dirs and, unless told otherwise, what they hold.
// Of what could not be read, the rest is returned beside the error.
func (a *nbiAsk) read(ctx context.Context, dirs []string) ([]nbiShare, error) {
	if err := checkShares(dirs); err != nil {
		return nil, err
	}
	var shares []nbiShare
	var all []nbi.Image
	var errs []error
	for _, dir := range dirs {
		path, err := filepath.Abs(dir)
		if err != nil {
			return nil, cannotTell(err)
		}
		images, err := nbi.Scan(ctx, []string{path})
		shares, all, errs = append(shares, nbiShare{dir, images}), append(all, images...), append(errs, err)
	}
	if !a.noHash {
		errs = append(errs, a.hash(ctx, all)) // all at once: it remembers only what it read last
		for _, s := range shares {
			copy(s.images, all)
			all = all[len(s.images):]
		}
	}
	if err := errors.Join(append(errs, context.Cause(ctx))...); err != nil {
		return shares, cannotTell(err)
	}
	return shares, nil
}

// hash reads what images hold. It is an error if that is not known of one
// that its server offers.
func (a *nbiAsk) hash(ctx context.Context, images []nbi.Image) error {
	if err := a.hasher.Hash(ctx, images); err != nil || ctx.Err() != nil {
		return err
	}
	for _, i := range images {
		if i.Offered() && i.Content == "" {
			return fmt.Errorf("what %s holds is not known: a file of it changes while it is read", filepath.Join(i.Root, i.NBI))
		}
	}
	return nil
}

// checkShares refuses what is no folder of images, or the same one twice.
func checkShares(dirs []string) error {
	var seen []os.FileInfo
	for i, dir := range dirs {
		info, err := os.Stat(dir)
		switch {
		case err != nil:
			return cannotTell(err)
		case !info.IsDir():
			return wrongAsk(fmt.Errorf("minikeeper: %s is no folder", dir))
		case strings.HasSuffix(filepath.Clean(dir), ".nbi"):
			return wrongAsk(fmt.Errorf("minikeeper: %s is an image: name the folder that it is in", dir))
		}
		for j, other := range seen {
			if os.SameFile(info, other) {
				return wrongAsk(fmt.Errorf("minikeeper: %s and %s are the same folder", dirs[j], dirs[i]))
			}
		}
		seen = append(seen, info)
	}
	return nil
}
