package nbi

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// problemsOf returns the problems of images by NBI.
func problemsOf(images []Image) map[string][]Problem {
	found := make(map[string][]Problem)
	for _, i := range images {
		found[i.NBI] = i.Problems
	}
	return found
}

func TestScan(t *testing.T) {
	base := t.TempDir()
	first, second := filepath.Join(base, "NetBootSP0"), filepath.Join(base, "NetBootSP1")
	nest(t, first, "Good.nbi", good(), usual("a"))
	nest(t, first, "NoName.nbi", with(map[string]any{"Name": "", "Index": 4101}), usual("a"))
	put(t, filepath.Join(first, "Broken.nbi", plistName), "<plist>")
	put(t, filepath.Join(first, "Bare.nbi", "NetInstall.dmg"), "a")
	put(t, filepath.Join(first, "file.nbi"), "no folder")
	put(t, filepath.Join(first, "Other", plistName), "no image")
	nest(t, second, "Good.nbi", with(map[string]any{"Index": 4102}), usual("a"))

	images, err := Scan(t.Context(), []string{first, second})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]Problem{
		"Good.nbi":            nil,
		"NoName.nbi":          {MissingName},
		"Broken.nbi":          {UnreadablePlist},
		"Bare.nbi":            {MissingPlist},
		"NetBootSP1/Good.nbi": nil,
	}
	if diff := cmp.Diff(want, problemsOf(images)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if i, ok := Find(images, "NetBootSP1/Good.nbi"); !ok || i.Index != 4102 || i.Root != second || i.Folder != "Good.nbi" {
		t.Errorf("%+v, %v", i, ok)
	}
	if _, ok := Find(images, "None.nbi"); ok {
		t.Error("found what is not there")
	}
}

// TestScanGoesOn shows that a share point that is not there hides no other.
func TestScanGoesOn(t *testing.T) {
	base := t.TempDir()
	nest(t, filepath.Join(base, "SP1"), "Good.nbi", good(), usual("a"))
	images, err := Scan(t.Context(), []string{filepath.Join(base, "SP0"), filepath.Join(base, "SP1")})
	if !errors.Is(err, fs.ErrNotExist) || len(images) != 1 || images[0].NBI != "SP1/Good.nbi" {
		t.Errorf("%v, %v", images, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Scan(ctx, []string{filepath.Join(base, "SP1")}); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context ended: %v", err)
	}
}

func TestScanDuplicates(t *testing.T) {
	root := t.TempDir()
	for folder, changes := range map[string]map[string]any{
		"A.nbi": {"IsDefault": true},
		"B.nbi": {"IsDefault": true},                     // same id as A, and a second default
		"C.nbi": {"Kind": 2},                             // same index, another id
		"D.nbi": {"IsEnabled": false, "IsDefault": true}, // same id, but not offered
		"E.nbi": {"Name": ""},                            // same id, but not offered either
		"F.nbi": {"Index": 7, "IsDefault": true, "EnabledSystemIdentifiers": []string{"Macmini6,1"}},
	} {
		nest(t, root, folder, with(changes), usual("a"))
	}
	images, err := Scan(t.Context(), []string{root})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]Problem{
		"A.nbi": {DuplicateIndex, SeveralDefaults},
		"B.nbi": {DuplicateIndex, SeveralDefaults},
		"C.nbi": nil, "D.nbi": nil, "E.nbi": {MissingName}, "F.nbi": nil,
	}
	if diff := cmp.Diff(want, problemsOf(images)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestScanStaysInside shows that nothing leads out of the share point: no link,
// no "..", no absolute path.
func TestScanStaysInside(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "SP0")
	put(t, filepath.Join(base, "secret.dmg"), "secret")
	nest(t, base, "Outside.nbi", good(), usual("secret"))
	inside := nest(t, root, "Inside.nbi", good(), usual("a"))

	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("Inside.nbi", "LinkInside.nbi")
	link("../Outside.nbi", "LinkOut.nbi")
	link(filepath.Join(base, "Outside.nbi"), "LinkAbsolute.nbi")
	link("Nowhere.nbi", "LinkDangling.nbi")
	link("LinkLoop.nbi", "LinkLoop.nbi")
	put(t, filepath.Join(root, "PlistLink.nbi", "i386", "booter"), "b")
	link("../../Outside.nbi/"+plistName, "PlistLink.nbi/"+plistName)
	nest(t, root, "DotDot.nbi", with(map[string]any{"RootPath": "../../secret.dmg", "Index": 1}), usual("a"))
	nest(t, root, "Absolute.nbi", with(map[string]any{"RootPath": filepath.Join(base, "secret.dmg"), "Index": 2}), usual("a"))
	nest(t, root, "Sister.nbi", with(map[string]any{"RootPath": "../Inside.nbi/NetInstall.dmg", "Index": 3}), usual("a"))
	nest(t, root, "FileLink.nbi", with(map[string]any{"Index": 4}), map[string]string{"i386/booter": "b"})
	link("../../secret.dmg", "FileLink.nbi/NetInstall.dmg")
	nest(t, root, "Pipe.nbi", with(map[string]any{"Index": 5}), map[string]string{"i386/booter": "b"})
	if err := syscall.Mkfifo(filepath.Join(root, "Pipe.nbi", "NetInstall.dmg"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "PipePlist.nbi"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(root, "PipePlist.nbi", plistName), 0o644); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(root, "Large.nbi", plistName), string(encode(t, good(), 1))+strings.Repeat(" ", plistLimit))

	images, err := Scan(t.Context(), []string{root})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]Problem{
		"Inside.nbi":       {DuplicateIndex},
		"LinkInside.nbi":   {DuplicateIndex},
		"LinkOut.nbi":      {OutsideRoot},
		"LinkAbsolute.nbi": {OutsideRoot},
		"LinkDangling.nbi": {MissingPlist},
		"LinkLoop.nbi":     {UnreadablePlist},
		"PlistLink.nbi":    {OutsideRoot},
		"DotDot.nbi":       {OutsideRoot},
		"Absolute.nbi":     {MissingRootPath}, // taken as a path in the folder, as bootpd does
		"Sister.nbi":       nil,
		"FileLink.nbi":     {OutsideRoot},
		"Pipe.nbi":         {MissingRootPath},
		"PipePlist.nbi":    {UnreadablePlist},
		"Large.nbi":        {UnreadablePlist},
	}
	if diff := cmp.Diff(want, problemsOf(images)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	if err := new(Hasher).Hash(t.Context(), images); err != nil {
		t.Error(err)
	}
	hashed := make([]string, 0, len(images))
	for _, i := range images {
		if i.Content != "" {
			hashed = append(hashed, i.NBI)
		}
	}
	if !slices.Equal(hashed, []string{"Inside.nbi", "LinkInside.nbi", "Sister.nbi"}) {
		t.Errorf("hashed %v", hashed)
	}
	for _, folder := range []string{"PlistLink.nbi", "LinkOut.nbi", "../Outside.nbi"} {
		if _, err := SetIndex(root, folder, 4100, 4200, true); err == nil {
			t.Errorf("%s: index was set", folder)
		}
	}
	if _, err := os.Lstat(filepath.Join(inside, backupName)); err == nil {
		t.Error("a backup appeared in another image")
	}
}

func TestScanRefusesRoots(t *testing.T) {
	for _, roots := range [][]string{{"relative"}, {"/a/SP0", "/b/SP0"}, {"/a/SP0", "/a/SP0/"}} {
		if _, err := Scan(t.Context(), roots); err == nil {
			t.Errorf("%v: no error", roots)
		}
	}
}
