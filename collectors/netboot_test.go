package collectors

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// imagePlist is what a Mac server writes, with some keys set to other XML; an
// empty value removes the key.
func imagePlist(keys map[string]string) string {
	all := [][2]string{
		{"Architectures", "<array><string>i386</string></array>"},
		{"BootFile", "<string>booter</string>"},
		{"Index", "<integer>4100</integer>"},
		{"IsDefault", "<false/>"},
		{"IsEnabled", "<true/>"},
		{"IsInstall", "<true/>"},
		{"Kind", "<integer>1</integer>"},
		{"Name", "<string>Install 10.10</string>"},
		{"RootPath", "<string>NetInstall.dmg</string>"},
		{"Type", "<string>HTTP</string>"},
	}
	var b strings.Builder
	b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\">\n<dict>\n")
	for _, pair := range all {
		value := pair[1]
		if other, ok := keys[pair[0]]; ok {
			value = other
		}
		if value != "" {
			fmt.Fprintf(&b, "\t<key>%s</key>\n\t%s\n", pair[0], value)
		}
	}
	b.WriteString("</dict>\n</plist>\n")
	return b.String()
}

// imageAt writes an image into the share point root.
func imageAt(t *testing.T, root, folder, content string, keys map[string]string) {
	t.Helper()
	dir := filepath.Join(root, folder)
	writeTestFile(t, filepath.Join(dir, "NBImageInfo.plist"), imagePlist(keys), 0o644)
	writeTestFile(t, filepath.Join(dir, "i386", "booter"), "booter", 0o644)
	writeTestFile(t, filepath.Join(dir, "NetInstall.dmg"), content, 0o644)
}

func newNetBootTest(t *testing.T, root string, settings NetBootSettings) Collector {
	t.Helper()
	c, err := Builtin()["netboot"](Deps{GOOS: "darwin", Root: root, Settings: Settings{NetBoot: settings}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNetBoot(t *testing.T) {
	const share = "Library/NetBoot/NetBootSP0"
	tests := []struct {
		name     string // testdata/netboot/NAME.golden
		settings NetBootSettings
		build    func(t *testing.T, root string)
	}{
		{"two-images", NetBootSettings{Hash: true}, func(t *testing.T, root string) {
			imageAt(t, filepath.Join(root, share), "Install.nbi", "one", map[string]string{"IsDefault": "<true/>"})
			imageAt(t, filepath.Join(root, share), "Restore.nbi", "two", map[string]string{
				"Index": "<integer>12</integer>", "Kind": "", "Type": "<string>NFS</string>", "Name": "<string>Restore\n  &quot;10.10&quot;</string>",
			})
		}},
		{"without-hashing", NetBootSettings{}, func(t *testing.T, root string) {
			imageAt(t, filepath.Join(root, share), "Install.nbi", "one", nil)
		}},
		{"broken-beside-good", NetBootSettings{Hash: true}, func(t *testing.T, root string) {
			imageAt(t, filepath.Join(root, share), "Good.nbi", "one", nil)
			imageAt(t, filepath.Join(root, share), "NoIndex.nbi", "one", map[string]string{"Index": ""})
			imageAt(t, filepath.Join(root, share), "Disabled.nbi", "one", map[string]string{"Index": "<integer>0</integer>", "IsEnabled": "<false/>"})
			writeTestFile(t, filepath.Join(root, share, "Damaged.nbi", "NBImageInfo.plist"), "<plist><dict>", 0o644)
			writeTestFile(t, filepath.Join(root, share, "Empty.nbi", "readme"), "nothing", 0o644)
		}},
		{"two-share-points", NetBootSettings{Roots: []string{"/a/NetBootSP0", "/b/NetBootSP1"}}, func(t *testing.T, root string) {
			imageAt(t, filepath.Join(root, "a/NetBootSP0"), "Install.nbi", "one", nil)
			imageAt(t, filepath.Join(root, "b/NetBootSP1"), "Install.nbi", "one", map[string]string{"RootPath": "<string>http://mk:geheim@10.1.0.4/x.dmg</string>"})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			tt.build(t, root)
			c := newNetBootTest(t, root, tt.settings)
			samples, err := c.Collect(t.Context())
			checkFamilies(t, c, samples)
			got := shown(samples, err)
			if strings.Contains(got, "geheim") {
				t.Error("a password is shown")
			}
			testkit.Golden(t, filepath.Join("testdata", "netboot", tt.name+".golden"), got)
		})
	}
}

// TestNetBootRecorded reads the plists that others published, each with the
// files that it names.
func TestNetBootRecorded(t *testing.T) {
	root := t.TempDir()
	for folder, recorded := range map[string]struct{ sample, dmg string }{
		"DeployStudio.nbi": {"NBImageInfo-deploystudio-10.8-index1082.plist", "NetInstall.dmg"},
		"Casper.nbi":       {"SYNTHETIC-NBImageInfo-loadbalanced-index4100.plist", "NetBoot.dmg"},
		"Disabled.nbi":     {"SYNTHETIC-NBImageInfo-index0-disabled.plist", "NetBoot.dmg"},
	} {
		data, err := os.ReadFile(testkit.Samples(t, "netboot/"+recorded.sample))
		if err != nil {
			t.Fatal(err)
		}
		writeTestFile(t, filepath.Join(root, folder, "NBImageInfo.plist"), string(data), 0o644)
		writeTestFile(t, filepath.Join(root, folder, recorded.dmg), "system", 0o644)
		writeTestFile(t, filepath.Join(root, folder, "i386", "booter"), "booter", 0o644)
	}
	c := newNetBootTest(t, "", NetBootSettings{Roots: []string{root}, Hash: true})
	samples, err := c.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	checkFamilies(t, c, samples)
	want := map[string]string{
		"DeployStudio.nbi": "name=DeployStudio-10.8 index=1082 kind=server type=NFS",
		"Casper.nbi":       "name=CasperNetInstall-10.10 index=4100 kind=macosx type=HTTP",
		"Disabled.nbi":     "name=CasperNetInstall-10.10 index= kind=macosx type=HTTP",
	}
	seen := 0
	for _, s := range samples {
		switch s.Name {
		case netbootInfo:
			seen++
			got := fmt.Sprintf("name=%s index=%s kind=%s type=%s", s.Label("name"), s.Label("index"), s.Label("kind"), s.Label("type"))
			if got != want[s.Label("nbi")] || s.Label("content") == "" {
				t.Errorf("%v, want %s", s, want[s.Label("nbi")])
			}
		case netbootProblem:
			if s.Value != 0 {
				t.Errorf("%v", s)
			}
		}
	}
	if seen != len(want) {
		t.Errorf("%d images, want %d", seen, len(want))
	}
}

// TestNetBootPair shows what rules compare between two servers: the content is
// equal exactly where the images are.
func TestNetBootPair(t *testing.T) {
	contents := func(images map[string]string) map[string]string {
		t.Helper()
		root := t.TempDir()
		for folder, content := range images {
			imageAt(t, root, folder, content, nil)
		}
		samples, err := newNetBootTest(t, "", NetBootSettings{Roots: []string{root}, Hash: true}).Collect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found := make(map[string]string)
		for _, s := range samples {
			if s.Name == netbootInfo {
				found[s.Label("nbi")] = s.Label("content")
			}
		}
		return found
	}
	one := contents(map[string]string{"A.nbi": "system 1"})["A.nbi"]
	two := contents(map[string]string{"Other.nbi": "system 1", "A.nbi": "system 2"})
	if one == "" || two["Other.nbi"] != one || two["A.nbi"] == one || two["A.nbi"] == "" {
		t.Errorf("first server %q, second %v", one, two)
	}
}

func TestNetBootFails(t *testing.T) {
	root := t.TempDir()
	imageAt(t, filepath.Join(root, "b/SP1"), "A.nbi", "one", nil)
	c := newNetBootTest(t, root, NetBootSettings{Roots: []string{"/a/SP0", "/b/SP1"}})
	samples, err := c.Collect(t.Context())
	if !errors.Is(err, fs.ErrNotExist) || len(samples) == 0 {
		t.Errorf("%d samples, %v: want the images of the other share point and an error", len(samples), err)
	}
	if _, err := Builtin()["netboot"](Deps{Settings: Settings{NetBoot: NetBootSettings{Roots: []string{"/a/SP0", "/b/SP0"}}}}); err == nil {
		t.Error("two share points of one name are accepted")
	}
}

// TestNetBootOutOfTime shows that an image that cannot be read in time has all
// its series but no content, and gets it later.
func TestNetBootOutOfTime(t *testing.T) {
	root := t.TempDir()
	imageAt(t, root, "A.nbi", "one", nil)
	// No disk space, but more to hash than can be done in a tenth of a second.
	if err := os.Truncate(filepath.Join(root, "A.nbi", "NetInstall.dmg"), 384<<20); err != nil {
		t.Fatal(err)
	}
	c := newNetBootTest(t, "", NetBootSettings{Roots: []string{root}, Hash: true})
	info := func(within time.Duration) minikeeper.Sample {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		samples, err := c.Collect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(samples, func(s minikeeper.Sample) bool { return s.Name == netbootInfo })
		if i < 0 {
			t.Fatal("no info")
		}
		return samples[i]
	}
	if got := info(120 * time.Millisecond); got.Label("content") != "" || got.Label("index") != "4100" {
		t.Errorf("out of time: %v", got)
	}
	waitFor(t, "the content", func() bool { return info(time.Minute).Label("content") != "" })
}
