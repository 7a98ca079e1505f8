package nbi

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"howett.net/plist"
)

func TestReplaceInXML(t *testing.T) {
	const head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n"
	tests := []struct{ name, in, want string }{
		{"usual", "<dict>\n\t<key>Index</key>\n\t<integer>7</integer>\n</dict>", "<dict>\n\t<key>Index</key>\n\t<integer>5000</integer>\n</dict>"},
		{
			"on one line, between others", "<dict><key>B</key><true/><key>Index</key><integer>7</integer><key>A</key><string>7</string></dict>",
			"<dict><key>B</key><true/><key>Index</key><integer>5000</integer><key>A</key><string>7</string></dict>",
		},
		{
			"not the one inside", "<dict><key>Sub</key><dict><key>Index</key><integer>7</integer></dict><key>Index</key><integer>8</integer></dict>",
			"<dict><key>Sub</key><dict><key>Index</key><integer>7</integer></dict><key>Index</key><integer>5000</integer></dict>",
		},
		{
			"not the one in a comment", "<dict><!-- <key>Index</key><integer>7</integer> --><key>Index</key><!-- x --><integer>8</integer></dict>",
			"<dict><!-- <key>Index</key><integer>7</integer> --><key>Index</key><!-- x --><integer>5000</integer></dict>",
		},
		{
			"not a text that says Index", "<dict><key>Name</key><string>Index</string><key>Index</key><string>8</string></dict>",
			"<dict><key>Name</key><string>Index</string><key>Index</key><integer>5000</integer></dict>",
		},
		{
			"twice", "<dict><key>Index</key><integer>7</integer><key>Index</key><integer>8</integer></dict>",
			"<dict><key>Index</key><integer>5000</integer><key>Index</key><integer>5000</integer></dict>",
		},
		{
			"absent", "<dict>\n\t<key>Name</key>\n\t<string>x</string>\n</dict>",
			"<dict>\n\t<key>Name</key>\n\t<string>x</string>\n\t<key>Index</key>\n\t<integer>5000</integer>\n</dict>",
		},
		{"key with an entity", "<dict><key>&#73;ndex</key><integer>7</integer></dict>", "<dict><key>&#73;ndex</key><integer>5000</integer></dict>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := replaceIndex([]byte(head+tt.in+"\n</plist>\n"), 5000)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(head+tt.want+"\n</plist>\n", string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	for name, in := range map[string]string{"no plist": "hello", "empty dictionary": "<plist><dict/></plist>", "cut off": "<plist><dict><key>Index</key>"} {
		if got, _, err := replaceIndex([]byte(in), 5000); err == nil {
			t.Errorf("%s: %q, want an error", name, got)
		}
	}
}

func TestSetIndex(t *testing.T) {
	for _, format := range []int{plist.XMLFormat, plist.BinaryFormat} {
		t.Run(plist.FormatNames[format], func(t *testing.T) {
			root := t.TempDir()
			dir := nest(t, root, "A.nbi", good(), usual("a"))
			path := filepath.Join(dir, plistName)
			before := encode(t, good(), format)
			put(t, path, string(before))
			if err := os.Chmod(path, 0o640); err != nil {
				t.Fatal(err)
			}
			if os.Geteuid() == 0 {
				if err := os.Chown(path, 1, 2); err != nil {
					t.Fatal(err)
				}
			}
			was := stat(t, path)

			old, err := SetIndex(root, "A.nbi", 4100, 4200, true)
			if err != nil || old != 4100 {
				t.Fatalf("%d, %v", old, err)
			}
			images, err := Scan(t.Context(), []string{root})
			if err != nil || images[0].Index != 4200 || len(images[0].Problems) != 0 {
				t.Errorf("%+v, %v", images, err)
			}
			is := stat(t, path)
			if is.Mode() != was.Mode() || !cmp.Equal(owner(is), owner(was)) {
				t.Errorf("mode %v owner %v, was %v %v", is.Mode(), owner(is), was.Mode(), owner(was))
			}
			kept, err := os.ReadFile(filepath.Join(dir, backupName))
			if err != nil || string(kept) != string(before) {
				t.Errorf("backup differs from what was there, %v", err)
			}
			if stat(t, filepath.Join(dir, backupName)).Mode() != was.Mode() {
				t.Error("the backup can be read by others than the plist")
			}

			if old, err := SetIndex(root, "A.nbi", 4200, 4100, false); err != nil || old != 4200 {
				t.Fatalf("undo: %d, %v", old, err)
			}
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if dict, f, err := decode(after); err != nil || int(f) != format || dict["Index"] != uint64(4100) {
				t.Errorf("after undo: %v, format %d, %v", dict, f, err)
			}
			if format == plist.XMLFormat && string(after) != string(before) {
				t.Errorf("XML is not what it was:\n%s", cmp.Diff(string(before), string(after)))
			}
			checkNothingLeft(t, dir)
		})
	}
}

func TestSetIndexRefuses(t *testing.T) {
	root := t.TempDir()
	dir := nest(t, root, "A.nbi", good(), usual("a"))
	if old, err := SetIndex(root, "A.nbi", 7, 4200, true); !errors.Is(err, ErrChanged) || old != 4100 {
		t.Errorf("another index than expected: %d, %v", old, err)
	}
	if old, err := SetIndex(root, "A.nbi", 7, 4100, true); err != nil || old != 4100 {
		t.Errorf("already done: %d, %v", old, err)
	}
	for _, to := range []int{0, -1, 65536} {
		if _, err := SetIndex(root, "A.nbi", 4100, to, false); err == nil {
			t.Errorf("index %d was set", to)
		}
	}
	for _, folder := range []string{"B.nbi", "../A.nbi", "A", "", ".", "/A.nbi"} {
		if _, err := SetIndex(root, folder, 4100, 4200, false); err == nil {
			t.Errorf("folder %q was changed", folder)
		}
	}
	if _, err := SetIndex(filepath.Join(root, "none"), "A.nbi", 4100, 4200, false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such share point: %v", err)
	}
	if err := os.Rename(filepath.Join(dir, plistName), filepath.Join(dir, "real.plist")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.plist", filepath.Join(dir, plistName)); err != nil {
		t.Fatal(err)
	}
	if _, err := SetIndex(root, "A.nbi", 4100, 4200, false); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("a link was replaced: %v", err)
	}
	checkNothingLeft(t, dir)
}

// checkNothingLeft finds temporary files.
func checkNothingLeft(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func stat(t *testing.T, path string) fs.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// owner returns the user and group that a file belongs to.
func owner(info fs.FileInfo) [2]uint32 {
	stat := info.Sys().(*syscall.Stat_t)
	return [2]uint32{stat.Uid, stat.Gid}
}
