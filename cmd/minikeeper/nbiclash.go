package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/minikeeper/minikeeper/internal/nbi"
)

// What is found wrong with images.
const (
	findingClash   = "clash"   // one index stands for different images
	findingSplit   = "split"   // one image has several indexes, or one that belongs to one server only
	findingProblem = "problem" // its server does not offer it, or not rightly
)

// A finding is one thing that is wrong.
type finding struct {
	Kind    string     `json:"kind"`
	Index   int        `json:"index,omitempty"`   // of a clash
	Content string     `json:"content,omitempty"` // of a split
	Problem string     `json:"problem,omitempty"`
	Images  []imageRef `json:"images"`
}

// An imageRef says which image it is.
type imageRef struct {
	Dir   string `json:"dir"`
	NBI   string `json:"nbi"`
	Index int    `json:"index"`
}

func (r imageRef) path() string { return showPath(filepath.Join(r.Dir, r.NBI)) }

// String tells a finding in one line.
func (f finding) String() string {
	var paths []string
	for _, r := range f.Images {
		path := r.path()
		if f.Kind == findingSplit {
			path += " (" + strconv.Itoa(r.Index) + ")"
		}
		paths = append(paths, path)
	}
	list := strings.Join(paths, ", ")
	switch f.Kind {
	case findingClash:
		return fmt.Sprintf("clash: index %d stands for different images: %s", f.Index, list)
	case findingSplit:
		return fmt.Sprintf("split: one image has several indexes, or one below %d: %s", nbi.MinGlobalIndex, list)
	default:
		return fmt.Sprintf("problem: %s: %s", list, f.Problem)
	}
}

// findClashes says what is wrong with images of several servers, clashes
// first. Of images whose content is not known only their problems are.
func findClashes(shares []nbiShare) []finding {
	byID, byContent := make(map[uint32][]placed), make(map[string][]placed)
	var problems []finding
	for _, s := range shares {
		for _, i := range s.images {
			p := placed{imageRef{s.dir, i.NBI, i.Index}, i.Content}
			for _, problem := range i.Problems {
				problems = append(problems, finding{Kind: findingProblem, Problem: string(problem), Images: []imageRef{p.imageRef}})
			}
			if !i.Offered() || i.Content == "" {
				continue
			}
			if i.Index >= nbi.MinGlobalIndex {
				byID[i.ID()] = append(byID[i.ID()], p)
			}
			byContent[i.Content] = append(byContent[i.Content], p)
		}
	}
	var found []finding
	for _, same := range inOrder(byID) {
		if slices.ContainsFunc(same, func(p placed) bool { return p.content != same[0].content }) {
			found = append(found, finding{Kind: findingClash, Index: same[0].Index, Images: refs(same)})
		}
	}
	for _, same := range inOrder(byContent) {
		if isSplit(same) {
			found = append(found, finding{Kind: findingSplit, Content: same[0].content, Images: refs(same)})
		}
	}
	return append(found, problems...)
}

// A placed image is one with what it holds.
type placed struct {
	imageRef
	content string
}

// isSplit tells whether images of one content do not have one index on all
// servers. A second copy on a server must have another one.
func isSplit(same []placed) bool {
	dirs, indexes := make(map[string]int), make(map[int]int)
	for _, p := range same {
		dirs[p.Dir]++
		indexes[p.Index]++
	}
	if len(dirs) < 2 {
		return false
	}
	copies := 0
	for _, n := range dirs {
		copies = max(copies, n)
	}
	return len(indexes) > copies || slices.ContainsFunc(same, func(p placed) bool {
		return p.Index < nbi.MinGlobalIndex && dirs[p.Dir] == 1
	})
}

func refs(images []placed) []imageRef {
	var all []imageRef
	for _, p := range images {
		all = append(all, p.imageRef)
	}
	return all
}

func inOrder[K cmp.Ordered](groups map[K][]placed) [][]placed {
	var all [][]placed
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		all = append(all, groups[key])
	}
	return all
}

// A change gives one image another index.
type change struct {
	dir   string
	image nbi.Image
	to    int
	done  bool
	err   error
}

// planChanges returns what has to change so that nothing clashes any more.
func planChanges(shares []nbiShare) ([]change, error) {
	servers := make(map[string][]nbi.Image)
	for _, s := range shares {
		servers[s.dir] = s.images
	}
	planned, err := nbi.PlanReindex(servers)
	if err != nil {
		return nil, err
	}
	var changes []change
	for _, p := range planned {
		image, ok := nbi.Find(servers[p.Server], p.NBI)
		if !ok {
			return nil, fmt.Errorf("reindex %s: it is gone", p.NBI)
		}
		changes = append(changes, change{dir: p.Server, image: image, to: p.To})
	}
	return changes, nil
}

// do makes the change, unless ctx has ended. The old property list stays
// beside the new one.
func (c *change) do(ctx context.Context) {
	if c.err = context.Cause(ctx); c.err != nil {
		return
	}
	_, c.err = nbi.SetIndex(c.image.Root, c.image.Folder, c.image.Index, c.to, true)
	c.done = c.err == nil
}
