package actions_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/nbi"
	"github.com/minikeeper/minikeeper/internal/testkit"
	"github.com/minikeeper/minikeeper/remediate/actions"
)

// An image is what a test puts into a share point.
type image struct {
	folder  string
	index   int
	content string // of the system image; "" leaves it out
}

// write makes i below root.
func (i image) write(t *testing.T, root string) {
	t.Helper()
	put := func(name, content string) {
		path := filepath.Join(root, i.folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("NBImageInfo.plist", fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict>
	<key>Name</key><string>%s</string>
	<key>Index</key><integer>%d</integer>
	<key>Kind</key><integer>1</integer>
	<key>Type</key><string>HTTP</string>
	<key>IsInstall</key><true/>
	<key>Architectures</key><array><string>i386</string></array>
	<key>BootFile</key><string>booter</string>
	<key>RootPath</key><string>System.dmg</string>
</dict></plist>
`, i.folder, i.index))
	put("i386/booter", "booter")
	if i.content != "" {
		put("System.dmg", i.content)
	}
}

// netboot returns a machine that holds images, and the folder that stands for "/".
func netboot(t *testing.T, images ...image) (actions.Machine, string) {
	t.Helper()
	m := actions.Machine{
		Root:     t.TempDir(),
		StateDir: t.TempDir(),
		NetBoot:  actions.NetBootMachine{Roots: []string{"/Library/NetBoot/NetBootSP0", "/Library/NetBoot/NetBootSP1"}},
	}
	for _, root := range m.NetBoot.Roots {
		if err := os.MkdirAll(filepath.Join(m.Root, root), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range images {
		root, folder := "NetBootSP0", i.folder
		if dir, name, ok := strings.Cut(i.folder, "/"); ok {
			root, folder = dir, name
		}
		i.folder = folder
		i.write(t, filepath.Join(m.Root, "/Library/NetBoot", root))
	}
	return m, m.Root
}

func TestReindexPlan(t *testing.T) {
	two := []image{{"Install.nbi", 5000, "10.12"}, {"Restore.nbi", 6000, "10.13"}}
	decided := indexOf(t, image{"Install.nbi", 5000, "10.12"})
	tests := []struct {
		name   string
		images []image
		with   map[string]string
	}{
		{"one-image", two, map[string]string{"nbi": "Install.nbi"}},
		{"one-image-with-its-index", two, map[string]string{"nbi": "Install.nbi", "index": "5000"}},
		{"it-has-another-index-by-now", two, map[string]string{"nbi": "Install.nbi", "index": "5001"}},
		{"it-has-the-decided-index", []image{{"Install.nbi", decided, "10.12"}}, map[string]string{"nbi": "Install.nbi"}},
		{"the-decided-index-clashes", []image{{"Install.nbi", decided, "10.12"}}, map[string]string{"nbi": "Install.nbi", "index": strconv.Itoa(decided)}},
		{"the-decided-index-is-taken", []image{{"Install.nbi", 5000, "10.12"}, {"Restore.nbi", decided, "10.13"}}, map[string]string{"nbi": "Install.nbi"}},
		{"all-with-an-index", append(two, image{"Other.nbi", 5000, "10.11"}), map[string]string{"index": "5000"}},
		{"two-copies", []image{{"A.nbi", 5000, "10.12"}, {"B.nbi", 5000, "10.12"}}, map[string]string{"index": "5000"}},
		{"none-with-an-index", two, map[string]string{"index": "7000"}},
		{"nothing-is-dropped", two, nil},
		{"the-second-is-dropped", append(two, image{"Third.nbi", 5000, "10.11"}), nil},
		{"in-the-second-share-point", []image{{"NetBootSP1/Install.nbi", 5000, "10.12"}}, map[string]string{"nbi": "NetBootSP1/Install.nbi"}},
		{"in-some-share-point", []image{{"NetBootSP1/Install.nbi", 5000, "10.12"}}, map[string]string{"nbi": "Install.nbi"}},
		{"unknown", two, map[string]string{"nbi": "../Install.nbi"}},
		{"without-system-image", []image{{"Install.nbi", 5000, ""}}, map[string]string{"nbi": "Install.nbi"}},
		{"index-zero", two, map[string]string{"index": "0"}},
		{"index-too-large", two, map[string]string{"index": "65536"}},
		{"index-is-a-word", two, map[string]string{"index": "clash"}},
		{"misspelt", two, map[string]string{"image": "Install.nbi"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, root := netboot(t, tt.images...)
			plan, err := actions.Builtin()["reindex-nbi"].Plan(t.Context(), m, tt.with)
			if err != nil && !errors.Is(err, actions.ErrRefused) {
				t.Errorf("not refused: %v", err)
			}
			got := strings.NewReplacer(root, "", m.StateDir, "/var/lib/minikeeper").Replace(render(plan, err))
			testkit.Golden(t, filepath.Join("testdata", "reindex-nbi", tt.name+".golden"), got)
		})
	}
}

// indexOf returns the index that the content of i decides.
func indexOf(t *testing.T, i image) int {
	t.Helper()
	m, _ := netboot(t, i)
	plan, err := actions.Builtin()["reindex-nbi"].Plan(t.Context(), m, map[string]string{"nbi": i.folder})
	if err != nil {
		t.Fatal(err)
	}
	index, err := strconv.Atoi(plan.Steps[0].Args["to"])
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func TestReindexWithoutShares(t *testing.T) {
	action := actions.Builtin()["reindex-nbi"]
	if _, err := action.Plan(t.Context(), actions.Machine{}, nil); !errors.Is(err, actions.ErrRefused) {
		t.Errorf("no share points: %v", err)
	}
	m := actions.Machine{NetBoot: actions.NetBootMachine{Roots: []string{filepath.Join(t.TempDir(), "gone")}}}
	if _, err := action.Plan(t.Context(), m, nil); err == nil || errors.Is(err, actions.ErrRefused) {
		t.Errorf("a share point that cannot be read: %v", err)
	}
}

// TestReindexInTime gives up when the context ends, and does not refuse.
func TestReindexInTime(t *testing.T) {
	m, _ := netboot(t, image{"Install.nbi", 5000, "10.12"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := actions.Builtin()["reindex-nbi"].Plan(ctx, m, map[string]string{"nbi": "Install.nbi"})
	if err == nil || errors.Is(err, actions.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

// TestClashBetweenServers lets two servers of one site repair what a rule says
// about either, and checks that they end well whichever of them acts.
func TestClashBetweenServers(t *testing.T) {
	const index = 5000
	here, there := image{"Install.nbi", index, "10.12"}, image{"Restore.nbi", index, "10.13"}
	for name, act := range map[string][2]bool{"the first acts": {true, false}, "the second acts": {false, true}, "both act": {true, true}} {
		t.Run(name, func(t *testing.T) {
			a, _ := netboot(t, here)
			b, _ := netboot(t, there)
			if act[0] {
				reindexAll(t, a, here.folder, index)
			}
			if act[1] {
				reindexAll(t, b, there.folder, index)
			}
			if x, y := only(t, a), only(t, b); x.Index == y.Index {
				t.Errorf("both have index %d", x.Index)
			}
		})
	}
	t.Run("the same image under two indexes", func(t *testing.T) {
		a, _ := netboot(t, image{"Install.nbi", 5000, "10.12"})
		b, _ := netboot(t, image{"Renamed.nbi", 6000, "10.12"})
		reindexAll(t, a, "Install.nbi", 5000)
		reindexAll(t, b, "Renamed.nbi", 6000)
		if x, y := only(t, a), only(t, b); x.Index != y.Index || x.Index < nbi.MinGlobalIndex {
			t.Errorf("they have %d and %d", x.Index, y.Index)
		}
	})
}

// reindexAll plans and performs, and checks that a second plan is empty.
func reindexAll(t *testing.T, m actions.Machine, folder string, index int) {
	t.Helper()
	action := actions.Builtin()["reindex-nbi"]
	plan, err := action.Plan(t.Context(), m, map[string]string{"nbi": folder, "index": strconv.Itoa(index)})
	if err != nil || len(plan.Steps) != 1 {
		t.Fatalf("plan: %v, %v", plan, err)
	}
	if output, err := action.Do(t.Context(), m, plan.Steps[0]); err != nil || !strings.Contains(output, "had index "+strconv.Itoa(index)) {
		t.Fatalf("do: %q, %v", output, err)
	}
	if output, err := action.Do(t.Context(), m, plan.Steps[0]); err != nil || !strings.Contains(output, "already") {
		t.Fatalf("do again: %q, %v", output, err)
	}
	if again, err := action.Plan(t.Context(), m, map[string]string{"nbi": folder}); err != nil || len(again.Steps) != 0 {
		t.Errorf("plan again: %v, %v", again, err)
	}
}

// only returns the one image that m holds.
func only(t *testing.T, m actions.Machine) nbi.Image {
	t.Helper()
	images, err := nbi.Scan(t.Context(), []string{filepath.Join(m.Root, m.NetBoot.Roots[0])})
	if err != nil || len(images) != 1 {
		t.Fatalf("got %v, %v", images, err)
	}
	return images[0]
}

func TestReindexCanBeReverted(t *testing.T) {
	m, _ := netboot(t, image{"Install.nbi", 5000, "10.12"})
	info := filepath.Join(m.Root, m.NetBoot.Roots[0], "Install.nbi", "NBImageInfo.plist")
	before, err := os.ReadFile(info)
	if err != nil {
		t.Fatal(err)
	}
	action := actions.Builtin()["reindex-nbi"]
	plan, err := action.Plan(t.Context(), m, map[string]string{"nbi": "Install.nbi"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds the work done, and must not keep the new plist as the old one
		if _, err := action.Do(t.Context(), m, plan.Steps[0]); err != nil {
			t.Fatal(err)
		}
	}
	from, to, ok := strings.Cut(strings.TrimPrefix(plan.Steps[0].Revert, "copy "), " to ")
	if !ok || to != info {
		t.Fatalf("revert says %q", plan.Steps[0].Revert)
	}
	saved, err := os.ReadFile(from)
	if err != nil || string(saved) != string(before) {
		t.Errorf("%s holds %q, %v", from, saved, err)
	}
}

// TestReindexLooksAgain changes the image between plan and step.
func TestReindexLooksAgain(t *testing.T) {
	changes := map[string]struct {
		change func(t *testing.T, folder string)
		err    string
	}{
		"the index": {func(t *testing.T, folder string) {
			image{filepath.Base(folder), 5001, "10.12"}.write(t, filepath.Dir(folder))
		}, "the image's index has changed meanwhile: it is 5001, not 5000"},
		"the content": {func(t *testing.T, folder string) {
			path := filepath.Join(folder, "System.dmg")
			if err := os.WriteFile(path, []byte("10.99"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}, "the image's content has changed meanwhile"},
		"everything": {func(t *testing.T, folder string) {
			if err := os.RemoveAll(folder); err != nil {
				t.Fatal(err)
			}
		}, "the image is gone from"},
	}
	for name, tt := range changes {
		t.Run(name, func(t *testing.T) {
			m, _ := netboot(t, image{"Install.nbi", 5000, "10.12"})
			action := actions.Builtin()["reindex-nbi"]
			plan, err := action.Plan(t.Context(), m, map[string]string{"nbi": "Install.nbi"})
			if err != nil {
				t.Fatal(err)
			}
			tt.change(t, filepath.Join(m.Root, m.NetBoot.Roots[0], "Install.nbi"))
			if _, err := action.Do(t.Context(), m, plan.Steps[0]); err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, want %s", err, tt.err)
			}
		})
	}
	t.Run("not a share point", func(t *testing.T) {
		m, _ := netboot(t, image{"Install.nbi", 5000, "10.12"})
		step := minikeeper.Step{Op: "reindex", Args: map[string]string{
			"root": filepath.Dir(m.Root), "folder": "Install.nbi", "from": "5000", "to": "5001",
		}}
		if _, err := actions.Builtin()["reindex-nbi"].Do(t.Context(), m, step); err == nil {
			t.Error("a folder outside the share points was changed")
		}
	})
}
