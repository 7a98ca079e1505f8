package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
)

func (a *nbiAsk) printImages(w io.Writer, shares []nbiShare, findings []finding) error {
	if a.asJSON {
		return writeJSON(w, newImagesJSON(shares, findings))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FOLDER\tIMAGE\tINDEX\tCONTENT\tENABLED\tNAME")
	for _, s := range shares {
		for _, i := range s.images {
			enabled := "no"
			if i.Enabled {
				enabled = "yes"
			}
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\n", showPath(s.dir), showPath(i.NBI), i.Index, cmp.Or(i.Content, "-"), enabled, showPath(i.Name))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return printFindings(w, findings)
}

func printFindings(w io.Writer, findings []finding) error {
	for _, f := range findings {
		if _, err := fmt.Fprintln(w, f); err != nil {
			return err
		}
	}
	return nil
}

func (a *nbiAsk) printChanges(w io.Writer, changes []change, left []finding) error {
	if a.asJSON {
		return writeJSON(w, newChangesJSON(changes, left, a.dryRun))
	}
	if len(changes) == 0 && len(left) == 0 {
		_, err := fmt.Fprintln(w, "nothing clashes")
		return err
	}
	for _, c := range changes {
		verb := "changed"
		switch {
		case a.dryRun:
			verb = "would change"
		case c.err != nil:
			verb = "could not change"
		}
		line := fmt.Sprintf("%s %s from %d to %d", verb, showPath(filepath.Join(c.dir, c.image.NBI)), c.image.Index, c.to)
		if c.err != nil {
			line += ": " + c.err.Error()
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return printFindings(w, left)
}

// An imageJSON is an image as JSON.
type imageJSON struct {
	imageRef
	Name     string   `json:"name"`
	ID       uint32   `json:"id"`
	Kind     string   `json:"kind"`
	Type     string   `json:"type"`
	Install  bool     `json:"install"`
	Enabled  bool     `json:"enabled"`
	Default  bool     `json:"default"`
	Content  string   `json:"content,omitempty"` // absent if it is not known
	Problems []string `json:"problems"`
}

type imagesJSON struct {
	Images   []imageJSON `json:"images"`
	Findings []finding   `json:"findings"`
}

func newImagesJSON(shares []nbiShare, findings []finding) imagesJSON {
	j := imagesJSON{Images: []imageJSON{}, Findings: notNil(findings)}
	for _, s := range shares {
		for _, i := range s.images {
			image := imageJSON{
				imageRef: imageRef{s.dir, i.NBI, i.Index}, Name: i.Name, ID: i.ID(), Kind: i.Kind.String(), Type: i.Type,
				Install: i.Install, Enabled: i.Enabled, Default: i.Default, Content: i.Content, Problems: []string{},
			}
			for _, p := range i.Problems {
				image.Problems = append(image.Problems, string(p))
			}
			j.Images = append(j.Images, image)
		}
	}
	return j
}

// A changeJSON is a change as JSON.
type changeJSON struct {
	Dir   string `json:"dir"`
	NBI   string `json:"nbi"`
	From  int    `json:"from"` // 0 if there was no valid one
	To    int    `json:"to"`
	Done  bool   `json:"done"`
	Error string `json:"error,omitempty"`
}

type changesJSON struct {
	DryRun   bool         `json:"dry_run"`
	Changes  []changeJSON `json:"changes"`
	Findings []finding    `json:"findings"` // what is wrong afterwards; nothing in a dry run
}

func newChangesJSON(changes []change, left []finding, dryRun bool) changesJSON {
	j := changesJSON{DryRun: dryRun, Changes: []changeJSON{}, Findings: notNil(left)}
	for _, c := range changes {
		one := changeJSON{Dir: c.dir, NBI: c.image.NBI, From: c.image.Index, To: c.to, Done: c.done}
		if c.err != nil {
			one.Error = c.err.Error()
		}
		j.Changes = append(j.Changes, one)
	}
	return j
}

// notNil has JSON say [] and not null.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
