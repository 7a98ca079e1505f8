package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// A Fault is something that can be done to the site.
type Fault struct {
	Name  string // short: the row's name and the button's address
	Title string // what it does, on the button
	Alert string // the alert that must tell of it
	Heals bool   // whether minikeeper can repair it by itself

	// Break does it. Breaking what is broken already is not an error.
	Break func(ctx context.Context) error

	// Mend undoes what minikeeper cannot, where Broken tells that there is
	// something to undo. Both are nil where minikeeper can.
	Mend   func(ctx context.Context) error
	Broken func() bool
}

// Faults lists what can be done, in the order of the table.
func (w *World) Faults() []Fault {
	first, second := w.Servers[0], w.Servers[1]
	return []Fault{
		{
			Name: "drift", Title: "lose, change and rot files of a replica", Alert: "ReplicaDrift", Heals: true,
			Break: func(context.Context) error { return damageShare(second.Share) },
		},
		{
			Name: "nbi", Title: "give two NetBoot images one index", Alert: "NetBootIndexClash", Heals: true,
			Break: func(context.Context) error { return clashIndex(first, second) },
		},
		{
			Name: "postfix", Title: "kill a mail relay (" + first.Relay.Kind() + ")", Alert: "MailRelayDown", Heals: true,
			Break: first.Relay.Kill,
		},
		{
			Name: "raid", Title: "fail a disk of a mirror", Alert: "RaidNotRedundant",
			Break: func(context.Context) error { return setMirror(first, "files/mirror-degraded.txt") },
			Mend:  func(context.Context) error { return setMirror(first, "files/mirror-online.txt") },
			Broken: func() bool {
				list, err := os.ReadFile(mirrorList(first))
				return err == nil && bytes.Contains(list, []byte("Degraded"))
			},
		},
	}
}

// damageShare loses one file, changes one, and flips one bit of a third under
// unchanged size and time, as a failing disk does.
func damageShare(share string) error {
	err := os.Remove(filepath.Join(share, "Packages", "Office-2016.pkg"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("lose a file: %w", err)
	}
	if err := os.WriteFile(filepath.Join(share, "Scripts", "enrol.sh"), []byte("#!/bin/sh\nexit 1 # an older version\n"), 0o644); err != nil {
		return fmt.Errorf("change a file: %w", err)
	}
	return flipBit(filepath.Join(share, "Packages", "Xcode-7.2.dmg"), 1<<20)
}

// flipBit changes the lowest bit of the byte at offset and keeps the file's
// time of change.
func flipBit(path string, offset int64) (err error) {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("rot a file: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("rot a file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Chtimes(path, info.ModTime(), info.ModTime())) }()
	var b [1]byte
	if _, err := f.ReadAt(b[:], offset); err != nil {
		return fmt.Errorf("rot a file: %w", err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], offset); err != nil {
		return fmt.Errorf("rot a file: %w", err)
	}
	return nil
}

// indexValue finds the index in an NBImageInfo.plist of the demo.
var indexValue = regexp.MustCompile(`(<key>Index</key>\s*<integer>)(\d+)(</integer>)`)

// clashIndex gives the image of to the index that the image of from has.
func clashIndex(from, to *Server) error {
	source, err := os.ReadFile(imageInfo(from))
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	found := indexValue.FindSubmatch(source)
	if found == nil {
		return fmt.Errorf("read index: %s has none", imageInfo(from))
	}
	target, err := os.ReadFile(imageInfo(to))
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	clashing := indexValue.ReplaceAll(target, append([]byte("${1}"), append(found[2], "${3}"...)...))
	if err := os.WriteFile(imageInfo(to), clashing, 0o644); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return nil
}

func imageInfo(s *Server) string {
	return filepath.Join(s.NetBoot, "Install-"+s.Name+".nbi", "NBImageInfo.plist")
}
