package actions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/google/renameio/v2"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/nbi"
)

// opReindex gives one image another index.
const opReindex = "reindex"

// reindexNBI gives NetBoot images the index that their content decides, so
// that two servers that hold the same image come to the same number, and that
// different images come to different ones, without asking each other.
type reindexNBI struct {
	hasher *nbi.Hasher // remembers what it read of images of several GB
}

func newReindexNBI() reindexNBI { return reindexNBI{hasher: new(nbi.Hasher)} }

func (reindexNBI) Name() string { return "reindex-nbi" }

func (reindexNBI) Describe() Description {
	return Description{
		Doc:        "Gives NetBoot images whose index clashes the index that their content decides.",
		Idempotent: true,
		Params: []Param{
			{Name: "nbi", Doc: "the image's folder, as the label nbi has it; left out: every image that has index, or all that this server drops"},
			{Name: "index", Doc: "the index that clashes: with nbi, the image gets another one even if this is that of its content; an image that has another one by now is left alone"},
		},
	}
}

func (r reindexNBI) Plan(ctx context.Context, m Machine, with map[string]string) (minikeeper.Plan, error) {
	plan, err := r.plan(ctx, m, with)
	if err != nil {
		return minikeeper.Plan{}, fmt.Errorf("plan reindex-nbi: %w", err)
	}
	return plan, nil
}

func (r reindexNBI) plan(ctx context.Context, m Machine, with map[string]string) (minikeeper.Plan, error) {
	want, err := wantedImages(r.Describe(), with)
	if err != nil {
		return minikeeper.Plan{}, err
	}
	images, err := scanImages(ctx, m)
	if err != nil {
		return minikeeper.Plan{}, err
	}
	chosen, err := want.choose(images)
	if err != nil {
		return minikeeper.Plan{}, err
	}
	unread := r.hasher.Hash(ctx, chosen)
	if ctx.Err() != nil { // not refused: asking again goes on where this stopped
		return minikeeper.Plan{}, fmt.Errorf("read images: %w", context.Cause(ctx))
	}
	plan, err := planReindex(images, chosen, want.clashing(), m.StateDir)
	if err != nil && unread != nil {
		return minikeeper.Plan{}, fmt.Errorf("%w: %w", err, unread)
	}
	return plan, err
}

// scanImages reads the images of m. A share point that cannot be read is an
// error, since the indexes of its images are taken too.
func scanImages(ctx context.Context, m Machine) ([]nbi.Image, error) {
	if len(m.NetBoot.Roots) == 0 {
		return nil, refuse("this server has no NetBoot share points")
	}
	return nbi.Scan(ctx, shareRoots(m))
}

// shareRoots returns the share points below m's root.
func shareRoots(m Machine) []string {
	roots := make([]string, len(m.NetBoot.Roots))
	for i, root := range m.NetBoot.Roots {
		roots[i] = filepath.Join(m.Root, root)
	}
	return roots
}

func (r reindexNBI) Do(ctx context.Context, m Machine, s minikeeper.Step) (string, error) {
	if s.Op != opReindex {
		return "", fmt.Errorf("perform %q: the action reindex-nbi has no such operation", s.Op)
	}
	output, err := r.reindex(ctx, m, s.Args)
	if err != nil {
		return "", fmt.Errorf("reindex %s: %w", s.Args["folder"], err)
	}
	return output, nil
}

// reindex performs one step, if the image is still the one that was planned for.
func (r reindexNBI) reindex(ctx context.Context, m Machine, args map[string]string) (string, error) {
	from, err := strconv.Atoi(args["from"])
	if err != nil {
		return "", err
	}
	to, err := strconv.Atoi(args["to"])
	if err != nil {
		return "", err
	}
	image, err := r.find(ctx, m, args)
	if err != nil {
		return "", err
	}
	switch image.Index {
	case to:
		return fmt.Sprintf("%s has index %d already", image.NBI, to), nil
	case from:
	default:
		return "", fmt.Errorf("%w: it is %d, not %d", nbi.ErrChanged, image.Index, from)
	}
	// Before the change, and not again after it: a revert needs the old one.
	if err := saveInfo(image, backupOf(m.StateDir, image)); err != nil {
		return "", fmt.Errorf("keep the old plist: %w", err)
	}
	old, err := nbi.SetIndex(image.Root, image.Folder, from, to, false)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s had index %d and has %d", image.NBI, old, to), nil
}

// find returns the image that a step is about, with the content that it had
// when the plan was made.
func (r reindexNBI) find(ctx context.Context, m Machine, args map[string]string) (nbi.Image, error) {
	images, err := scanImages(ctx, m)
	if err != nil {
		return nbi.Image{}, err
	}
	n := slices.IndexFunc(images, func(i nbi.Image) bool { return i.Root == args["root"] && i.Folder == args["folder"] })
	if n < 0 {
		return nbi.Image{}, fmt.Errorf("the image is gone from %s", args["root"])
	}
	image := images[n : n+1]
	if err := errors.Join(r.hasher.Hash(ctx, image), ctx.Err()); err != nil {
		return nbi.Image{}, err
	}
	if image[0].Content != args["content"] {
		return nbi.Image{}, errors.New("the image's content has changed meanwhile")
	}
	return image[0], nil
}

// infoName is the file in an image's folder that holds its index.
const infoName = "NBImageInfo.plist"

// infoLimit bounds a plist: a real one has 2 to 10 kB.
const infoLimit = 1 << 20

// backupOf returns where the plist of image is kept before it is changed.
func backupOf(stateDir string, image nbi.Image) string {
	name := fmt.Sprintf("%s-%s-%d.plist", filepath.Base(image.Root), image.Folder, image.Index)
	return filepath.Join(stateDir, "nbi", name)
}

// saveInfo copies the plist of image to path. It is on disk before saveInfo returns.
func saveInfo(image nbi.Image, path string) error {
	f, err := os.OpenInRoot(image.Root, filepath.Join(image.Folder, infoName))
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, infoLimit))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(path, data, 0o600) // a RootPath may hold a password
}
