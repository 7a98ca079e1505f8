package actions

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/nbi"
)

// reindexTimeout bounds one image's step, which may have to read it again.
const reindexTimeout = 30 * time.Minute

// imageWish says which images an order is about.
type imageWish struct {
	nbi   string // "" for any
	index int    // 0 for any
}

// wantedImages reads the parameters.
func wantedImages(d Description, with map[string]string) (imageWish, error) {
	if err := d.Check(with); err != nil {
		return imageWish{}, err
	}
	want := imageWish{nbi: with["nbi"]}
	if text := with["index"]; text != "" {
		index, err := strconv.Atoi(text)
		if err != nil || index < 1 || index > nbi.MaxIndex {
			return imageWish{}, refuse("index %q is not a number from 1 to %d", text, nbi.MaxIndex)
		}
		want.index = index
	}
	return want, nil
}

// choose returns the images that are to get the index of their content.
func (w imageWish) choose(images []nbi.Image) ([]nbi.Image, error) {
	switch {
	case w.nbi != "":
		image, err := imageCalled(images, w.nbi)
		if err != nil {
			return nil, err
		}
		if w.index != 0 && image.Index != w.index {
			return nil, nil
		}
		return []nbi.Image{image}, nil
	case w.index != 0:
		return slices.DeleteFunc(slices.Clone(images), func(i nbi.Image) bool { return i.Index != w.index }), nil
	default:
		return droppedImages(images), nil
	}
}

// clashing is the index that a named image must give up, because an image of
// another server has it; 0 if there is none.
func (w imageWish) clashing() int {
	if w.nbi == "" {
		return 0
	}
	return w.index
}

// imageCalled returns the one image of that name, or of that folder in any of
// the share points.
func imageCalled(images []nbi.Image, name string) (nbi.Image, error) {
	var found []nbi.Image
	var names []string
	for _, i := range images {
		if i.NBI == name {
			return i, nil
		}
		if i.Folder == name {
			found = append(found, i)
		}
		names = append(names, i.NBI)
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return nbi.Image{}, refuse("no image is called %q (have %s)", name, choices(names))
}

// droppedImages returns the images that this server itself drops since another
// has their id. The first of those with one id is left alone, whoever looks.
func droppedImages(images []nbi.Image) []nbi.Image {
	seen := make(map[uint32]bool)
	var dropped []nbi.Image
	for _, i := range images {
		if !i.Has(nbi.DuplicateIndex) {
			continue
		}
		if seen[i.ID()] {
			dropped = append(dropped, i)
		}
		seen[i.ID()] = true
	}
	return dropped
}

// planReindex returns a step for each of chosen whose index is not that of its
// content. It is pure. images are all of the server's, with the indexes that
// are taken; clashing, if it is not 0, is taken too, by another server.
func planReindex(images, chosen []nbi.Image, clashing int, stateDir string) (minikeeper.Plan, error) {
	plan := minikeeper.Plan{Action: "reindex-nbi", Idempotent: true}
	now := slices.Clone(images) // as they are after the steps so far
	for _, image := range chosen {
		if err := reindexable(image); err != nil {
			return minikeeper.Plan{}, err
		}
		taken := nbi.Taken(now, image.NBI)
		if clashing != 0 {
			taken[clashing] = true
		}
		to, err := nbi.IndexFor(image.Content, taken)
		if err != nil {
			return minikeeper.Plan{}, refuse("%v", err)
		}
		if to == image.Index {
			continue
		}
		plan.Steps = append(plan.Steps, reindexStep(image, to, stateDir))
		n := slices.IndexFunc(now, func(i nbi.Image) bool { return i.NBI == image.NBI })
		now[n].Index = to
	}
	return plan, nil
}

// reindexable refuses an image of which it is not known what it is.
func reindexable(i nbi.Image) error {
	switch {
	case !utf8.ValidString(i.Root + i.Folder):
		return refuse("the path of %q is not UTF-8", i.NBI)
	case i.Content != "":
		return nil
	case len(i.Problems) > 0:
		return refuse("what %s holds is not known (%s), so no index can be derived from it", i.NBI, problemList(i.Problems))
	default:
		return refuse("what %s holds is not known, so no index can be derived from it", i.NBI)
	}
}

func problemList(problems []nbi.Problem) string {
	words := make([]string, len(problems))
	for i, p := range problems {
		words[i] = string(p)
	}
	return strings.Join(words, ", ")
}

func reindexStep(image nbi.Image, to int, stateDir string) minikeeper.Step {
	info := filepath.Join(image.Root, image.Folder, infoName)
	return minikeeper.Step{
		Name: "set the index of " + image.NBI,
		Op:   opReindex,
		Args: map[string]string{
			"root":    image.Root,
			"folder":  image.Folder,
			"from":    strconv.Itoa(image.Index),
			"to":      strconv.Itoa(to),
			"content": image.Content,
		},
		Revert:  "copy " + backupOf(stateDir, image) + " to " + info,
		Timeout: reindexTimeout,
	}
}
