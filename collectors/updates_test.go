package collectors

import (
	"context"
	"errors"
	"os"
	"testing"

	"howett.net/plist"

	"github.com/minikeeper/minikeeper"
)

func TestUpdates(t *testing.T) {
	scenarios(t, "updates", func(s *Settings, settings map[string]string) {
		s.Updates.Preferences = settings["preferences"]
	})
}

func TestUpdatesRefusesARelativePath(t *testing.T) {
	if _, err := newUpdates(Deps{Settings: Settings{Updates: UpdatesSettings{Preferences: "x.plist"}}}); err == nil {
		t.Error("it was taken")
	}
}

// The preferences are a binary file on a real Mac.
func TestUpdatesReadsBinaryPreferences(t *testing.T) {
	root := t.TempDir()
	data, err := plist.Marshal(map[string]any{"InactiveUpdates": []string{"macOS Catalina"}}, plist.BinaryFormat)
	must(t, err)
	writeScenario(t, root, defaultUpdatesPreferences, data)
	c, err := newUpdates(Deps{Run: noTools{}, GOOS: "darwin", Root: root})
	must(t, err)
	samples, err := c.Collect(t.Context())
	if len(samples) != 2 || samples[0].String() != "minikeeper_updates_ignored 1" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, %v", samples, err)
	}
}

// hanging is a machine whose programs do not answer while somebody waits.
type hanging struct{}

func (hanging) Run(ctx context.Context, c minikeeper.Command) (minikeeper.Result, error) {
	<-ctx.Done()
	return minikeeper.Result{}, context.Cause(ctx)
}

// A softwareupdate that hangs ends with the time that there is, and says nothing.
func TestUpdatesEndsWhenItsTimeIsOver(t *testing.T) {
	root := t.TempDir()
	writeScenario(t, root, defaultUpdatesPreferences, []byte(`<?xml version="1.0"?><plist version="1.0"><dict/></plist>`))
	c, err := newUpdates(Deps{Run: hanging{}, GOOS: "darwin", Root: root})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if samples, err := c.Collect(ctx); len(samples) != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", samples, err)
	}
}

func FuzzUpdatePreferences(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0"?><plist version="1.0"><dict><key>InactiveUpdates</key><array><string>a</string></array><key>LastSuccessfulDate</key><date>2026-11-22T08:26:40Z</date></dict></plist>`))
	f.Add([]byte("bplist00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parseUpdatePreferences(data)
		if err == nil && !p.known {
			t.Error("nothing is known and nothing is wrong")
		}
		for _, label := range p.ignored {
			if label == "" || label != labelText(label) {
				t.Errorf("%q", label)
			}
		}
	})
}
