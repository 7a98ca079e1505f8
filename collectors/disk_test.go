package collectors

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minikeeper/minikeeper/internal/testkit"
)

// The file "statfs" of a scenario says what each mount point answers:
//
//	MOUNTPOINT SIZE FREE FILES FILESFREE rw|ro
//	MOUNTPOINT hangs|refused
func TestDisk(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("testdata", "disk", "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			deps, settings := scenario(t, path)
			deps.Settings.Disk.Exclude = strings.Fields(settings["exclude"])
			c, err := newDisk(deps)
			if err != nil {
				t.Fatal(err)
			}
			d := c.(disk)
			d.prober = newProber(scriptedStatfs(t, deps.Root), 100*time.Millisecond)
			testkit.Golden(t, strings.TrimSuffix(path, ".txtar")+".golden", collected(t, d, deps.Root))
		})
	}
}

// scriptedStatfs answers as the file statfs in root says.
func scriptedStatfs(t *testing.T, root string) func(string) (usage, error) {
	text, err := os.ReadFile(filepath.Join(root, "statfs"))
	if err != nil {
		text = nil
	}
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	return func(path string) (usage, error) {
		mountpoint := "/" + strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
		for line := range strings.Lines(string(text)) {
			rest, ok := strings.CutPrefix(strings.TrimSpace(line), mountpoint+" ")
			var u usage
			var mode string
			switch {
			case !ok:
				continue
			case rest == "hangs":
				<-over
				return usage{}, nil
			case rest == "refused":
				return usage{}, unix.EACCES
			}
			if _, err := fmt.Sscan(rest, &u.size, &u.free, &u.files, &u.filesFree, &mode); err != nil {
				continue // a longer path
			}
			u.readonly = mode == "ro"
			return u, nil
		}
		return usage{}, unix.ENOENT
	}
}

func TestDiskRefusesSettings(t *testing.T) {
	_, err := newDisk(Deps{GOOS: "linux", Settings: Settings{Disk: DiskSettings{Exclude: []string{"/mnt/*", "/x[", "/y[/**"}}}})
	want := "disk: exclude: pattern \"/x[\": syntax error in pattern\npattern \"/y[/**\": syntax error in pattern"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	c, err := newDisk(Deps{GOOS: "plan9"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Collect(t.Context()); err == nil || !strings.Contains(err.Error(), `"plan9"`) {
		t.Errorf("got %v, want an error that names plan9", err)
	}
}

func TestPatterns(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"/mnt/*", "/mnt/usb", true},
		{"/mnt/*", "/mnt/usb/deep", false},
		{"/mnt/*", "/mnt", false},
		{"/mnt/**", "/mnt/usb/deep", true},
		{"/mnt/**", "/mnt", false},
		{"/mnt/*/**", "/mnt/usb/deep", true},
		{"/mnt/*/**", "/mnt/usb", false},
		{"/**", "/mnt", true},
		{"disk9", "disk9", true},
		{"disk*", "/disk9", false},
	}
	for _, tt := range tests {
		ps, err := newPatterns([]string{tt.pattern})
		if err != nil {
			t.Fatal(err)
		}
		if got := ps.match(tt.name); got != tt.want {
			t.Errorf("%s matches %s: %v, want %v", tt.pattern, tt.name, got, tt.want)
		}
	}
}

// A filesystem that hangs holds one call for as long as it hangs, whoever asks,
// costs nobody twice, and is read again when it is back.
func TestProberHoldsOneCallPerHungMount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := make(chan struct{})
		var calls atomic.Int32
		p := newProber(func(path string) (usage, error) {
			if path == "/hung" {
				calls.Add(1)
				<-back
			}
			return usage{size: 8, free: 4}, nil
		}, 2*time.Second)
		ask := func() (hung, fine answer, took time.Duration) {
			start := time.Now()
			a := p.ask(t.Context(), []string{"/hung", "/fine"})
			return a[0], a[1], time.Since(start)
		}

		hung, fine, took := ask()
		if !errors.Is(hung.err, errSilent) || fine.err != nil || fine.usage.size != 8 || took != 2*time.Second {
			t.Errorf("first: %v, %v after %v", hung, fine, took)
		}
		for range 5 {
			hung, fine, took = ask()
			if !errors.Is(hung.err, errStillSilent) || fine.err != nil || took != 0 {
				t.Errorf("later: %v, %v after %v", hung, fine, took)
			}
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls of the hung filesystem, want 1", n)
		}

		close(back)
		synctest.Wait()
		if hung, _, _ = ask(); hung.err != nil || hung.usage.free != 4 {
			t.Errorf("back: %v", hung)
		}
	})
}

// Two who ask at once share the call, so neither takes the other's for a hang.
func TestProberSharesACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		p := newProber(func(string) (usage, error) {
			calls.Add(1)
			time.Sleep(time.Second)
			return usage{size: 8}, nil
		}, 2*time.Second)
		answers := make(chan answer, 2)
		for range 2 {
			go func() { answers <- p.ask(t.Context(), []string{"/slow"})[0] }()
		}
		for range 2 {
			if a := <-answers; a.err != nil || a.usage.size != 8 {
				t.Errorf("got %v", a)
			}
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
	})
}

// A list that a real Mac printed.
func TestDiskRecorded(t *testing.T) {
	data, err := os.ReadFile(testkit.Samples(t, "raid-macos/apfs-list-one-container.plist"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := newDisk(Deps{GOOS: "darwin", Run: tools{"diskutil apfs list -plist": {Stdout: data}, "diskutil cs list -plist": {Stdout: []byte(noCoreStorage)}, "mount": {}}})
	if err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, filepath.Join("testdata", "disk", "recorded", "apfs-list-one-container.plist.golden"), collected(t, c, ""))
}
