package nbi

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// scanned returns the images in root with their content.
func scanned(t *testing.T, h *Hasher, root string) []Image {
	t.Helper()
	images, err := Scan(t.Context(), []string{root})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Hash(t.Context(), images); err != nil {
		t.Fatal(err)
	}
	return images
}

func content(t *testing.T, images []Image, nbi string) string {
	t.Helper()
	i, ok := Find(images, nbi)
	if !ok {
		t.Fatalf("no image %s", nbi)
	}
	return i.Content
}

func TestContent(t *testing.T) {
	root := t.TempDir()
	nest(t, root, "A.nbi", good(), usual("system"))
	nest(t, root, "Renamed.nbi", with(map[string]any{"RootPath": "x.dmg", "Name": "other", "Index": 1}), map[string]string{"x.dmg": "system", "i386/booter": "booter"})
	nest(t, root, "System.nbi", with(map[string]any{"Index": 2}), usual("another system"))
	nest(t, root, "Booter.nbi", with(map[string]any{"Index": 3}), map[string]string{"NetInstall.dmg": "system", "i386/booter": "another booter"})
	nest(t, root, "Missing.nbi", with(map[string]any{"Index": 4}), map[string]string{"i386/booter": "booter"})
	nest(t, root, "Remote.nbi", with(map[string]any{"Index": 5, "RootPath": "http://a:b@10.1.0.4/x.dmg"}), map[string]string{"i386/booter": "booter"})
	nest(t, root, "Password.nbi", with(map[string]any{"Index": 6, "RootPath": "http://a:c@10.1.0.4/x.dmg"}), map[string]string{"i386/booter": "booter"})
	nest(t, root, "BootOnly.nbi", with(map[string]any{"Index": 7, "Type": "BootFileOnly"}), map[string]string{"i386/booter": "booter"})
	nest(t, root, "Disabled.nbi", with(map[string]any{"Index": 8, "IsEnabled": false}), usual("system"))
	images := scanned(t, new(Hasher), root)

	a := content(t, images, "A.nbi")
	if len(a) != contentLength {
		t.Errorf("content %q", a)
	}
	for nbi, same := range map[string]bool{"Renamed.nbi": true, "Disabled.nbi": true, "System.nbi": false, "Booter.nbi": false, "Remote.nbi": false, "BootOnly.nbi": false} {
		if got := content(t, images, nbi); got == "" || (got == a) != same {
			t.Errorf("%s: content %q, A has %q, same should be %v", nbi, got, a, same)
		}
	}
	if got := content(t, images, "Missing.nbi"); got != "" {
		t.Errorf("content %q of an image without its file", got)
	}
	if content(t, images, "Remote.nbi") != content(t, images, "Password.nbi") {
		t.Error("a password is part of the content")
	}
}

// TestContentIsRemembered shows that a file is read again only if its size,
// time or inode changed, and that what is gone is forgotten.
func TestContentIsRemembered(t *testing.T) {
	root := t.TempDir()
	dir := nest(t, root, "A.nbi", good(), usual("system"))
	var h Hasher
	first := content(t, scanned(t, &h, root), "A.nbi")

	dmg := filepath.Join(dir, "NetInstall.dmg")
	info, err := os.Stat(dmg)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(dmg, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("SYSTEM")
	if err := os.Chtimes(dmg, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if got := content(t, scanned(t, &h, root), "A.nbi"); got != first {
		t.Error("a file was read again although nothing said so")
	}
	if err := os.Chtimes(dmg, time.Time{}, info.ModTime().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := content(t, scanned(t, &h, root), "A.nbi"); got == first {
		t.Error("a new modification time went unnoticed")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	scanned(t, &h, root)
	if len(h.files) != 0 {
		t.Errorf("%d files remembered of no image", len(h.files))
	}
}

// stopsAfter is a context that ends when it was asked n times.
type stopsAfter struct {
	context.Context
	left *int
}

func (s stopsAfter) Err() error {
	if *s.left--; *s.left < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// TestContentGoesOn hashes a file of 8 MB with time for 3 MB each time.
func TestContentGoesOn(t *testing.T) {
	root := t.TempDir()
	nest(t, root, "A.nbi", good(), usual(strings.Repeat("system", 8<<20/6)))
	want := content(t, scanned(t, new(Hasher), root), "A.nbi")

	var h Hasher
	for round := 1; ; round++ {
		images, err := Scan(t.Context(), []string{root})
		if err != nil {
			t.Fatal(err)
		}
		left := 3
		if err := h.Hash(stopsAfter{t.Context(), &left}, images); err != nil {
			t.Fatal(err)
		}
		if h.Finished() {
			if images[0].Content != want || round < 3 {
				t.Errorf("content %q after %d rounds, want %q", images[0].Content, round, want)
			}
			return
		}
		if images[0].Content != "" || round > 10 {
			t.Fatalf("round %d: content %q", round, images[0].Content)
		}
	}
}
