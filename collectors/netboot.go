package collectors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/nbi"
)

// NetBootSettings are the settings of the netboot collector.
type NetBootSettings struct {
	Roots []string // share points, absolute paths; /Library/NetBoot/NetBootSP0 if empty
	Hash  bool     // read the images wholly, to tell what they hold
}

// defaultNetBootRoot is where macOS Server has its first share point.
const defaultNetBootRoot = "/Library/NetBoot/NetBootSP0"

// Names of the netboot collector's metrics.
const (
	netbootInfo    = "minikeeper_netboot_image_info"
	netbootIndex   = "minikeeper_netboot_image_index"
	netbootEnabled = "minikeeper_netboot_image_enabled"
	netbootDefault = "minikeeper_netboot_image_default"
	netbootProblem = "minikeeper_netboot_image_problem"
)

// hashTime bounds how long one collection reads images. What is not read by
// then goes on in the next one, so that the rest is known in time: an image
// has 5 to 10 GB.
const hashTime = time.Minute

// hashShare is the part of a collection's own time that reading may take.
const hashShare = 3.0 / 4

// netboot reads the NetBoot images that this machine serves.
type netboot struct {
	roots  []string
	hash   bool
	hasher *nbi.Hasher
}

func newNetBoot(d Deps) (Collector, error) {
	s := d.Settings.NetBoot
	roots := slices.Clone(s.Roots)
	if len(roots) == 0 {
		roots = []string{defaultNetBootRoot}
	}
	if err := nbi.CheckRoots(roots); err != nil {
		return nil, err
	}
	for n, root := range roots {
		roots[n] = d.path(root)
	}
	return netboot{roots: roots, hash: s.Hash, hasher: new(nbi.Hasher)}, nil
}

// Families implements Collector.
func (netboot) Families() []minikeeper.Family {
	gauge := func(name, help string, labels ...string) minikeeper.Family {
		return minikeeper.Family{Name: name, Help: help, Type: minikeeper.Gauge, Labels: labels}
	}
	return []minikeeper.Family{
		gauge(netbootInfo, "What a NetBoot image is; content is equal where the images are, and empty while it is not known. Always 1.",
			"nbi", "name", "index", "kind", "type", "content"),
		gauge(netbootIndex, "Index of the image, from 1 to 65535. One below 4096 belongs to its server, others are shared by all servers.", "nbi"),
		gauge(netbootEnabled, "Whether the server is to offer the image (1) or not (0).", "nbi"),
		gauge(netbootDefault, "Whether the image is the one that clients without a choice get (1) or not (0).", "nbi"),
		gauge(netbootProblem, "Whether an enabled image has the problem that keeps it from being offered rightly (1) or not (0).", "nbi", "problem"),
	}
}

// Collect implements Collector.
func (c netboot) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	images, err := nbi.Scan(ctx, c.roots)
	if c.hash {
		err = errors.Join(err, c.hashImages(ctx, images))
	}
	var samples []minikeeper.Sample
	for _, i := range images {
		samples = append(samples, imageSamples(i)...)
	}
	if err != nil {
		return samples, fmt.Errorf("read NetBoot images: %w", err)
	}
	return samples, nil
}

// hashImages tells what images hold, as far as there is time.
func (c netboot) hashImages(ctx context.Context, images []nbi.Image) error {
	limit := hashTime
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Duration(hashShare*float64(time.Until(deadline))))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.hasher.Hash(ctx, images)
}

// imageSamples says all that is known of one image: of one whose plist cannot
// be read, only that.
func imageSamples(i nbi.Image) []minikeeper.Sample {
	if !i.Readable {
		var samples []minikeeper.Sample
		for _, problem := range i.Problems {
			samples = append(samples, sample(netbootProblem, 1, "nbi", i.NBI, "problem", string(problem)))
		}
		return samples
	}
	index := ""
	if i.Index != 0 {
		index = strconv.Itoa(i.Index)
	}
	samples := []minikeeper.Sample{
		sample(netbootInfo, 1, "nbi", i.NBI, "name", labelText(i.Name), "index", index,
			"kind", i.Kind.String(), "type", i.Type, "content", i.Content),
		sample(netbootEnabled, bool01(i.Enabled), "nbi", i.NBI),
		sample(netbootDefault, bool01(i.Default), "nbi", i.NBI),
	}
	if i.Index != 0 {
		samples = append(samples, sample(netbootIndex, float64(i.Index), "nbi", i.NBI))
	}
	for _, problem := range nbi.Problems() {
		samples = append(samples, sample(netbootProblem, bool01(i.Has(problem)), "nbi", i.NBI, "problem", string(problem)))
	}
	return samples
}

// labelText makes text from a plist fit for a label: one line, of valid UTF-8,
// and not longer than anybody reads.
func labelText(s string) string {
	const limit = 200
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}
