package softwareupdate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper/internal/softwareupdate"
)

const found = "Software Update Tool\n\nFinding available software\nSoftware Update found the following new or updated software:\n"

func TestParseList(t *testing.T) {
	tests := []struct {
		name, stdout, stderr string
		want                 []softwareupdate.Update
		err                  string
	}{
		{
			name: "since 10.15", stdout: found + "* Label: Command Line Tools for Xcode 26.5-26.5\n\tTitle: Command Line Tools for Xcode 26.5, Version: 26.5, Size: 920416KiB, Recommended: YES, \n* Label: macOS Tahoe 26.5-25F71\n\tTitle: macOS Tahoe 26.5, Version: 26.5, Size: 3690218KiB, Recommended: NO, Action: restart, \n",
			want: []softwareupdate.Update{
				{Label: "Command Line Tools for Xcode 26.5-26.5", Title: "Command Line Tools for Xcode 26.5", Version: "26.5", Recommended: true},
				{Label: "macOS Tahoe 26.5-25F71", Title: "macOS Tahoe 26.5", Version: "26.5", Restart: true},
			},
		},
		{
			name: "before", stdout: found + "   * Security Update 2019-004-10.12.6\n\tSecurity Update 2019-004 (10.12.6), 2400000K [recommended] [restart]\n   - iTunesX-12.8.2\n\tiTunes (12.8.2), 273564K\n",
			want: []softwareupdate.Update{
				{Label: "Security Update 2019-004-10.12.6", Title: "Security Update 2019-004", Version: "10.12.6", Recommended: true, Restart: true},
				{Label: "iTunesX-12.8.2", Title: "iTunes", Version: "12.8.2"},
			},
		},
		{
			name: "a title with a comma, one without a version, and one listed twice", stdout: found + "* Label: a\n\tTitle: One, two, Version: 1, Size: 1K, Recommended: YES, \n* Label: b\n\tTitle: Three, Size: 2K, Recommended: YES\n* Label: a\n\tTitle: Again, Version: 9, Size: 1K\n",
			want: []softwareupdate.Update{{Label: "a", Title: "One, two", Version: "1", Recommended: true}, {Label: "b", Title: "Three", Recommended: true}},
		},
		{name: "cut off", stdout: found + "* Label: a\n\tTit", want: []softwareupdate.Update{{Label: "a", Title: "Tit"}}},
		{name: "none", stdout: "Software Update Tool\n\nFinding available software\n", stderr: "No new software available.\n"},
		{name: "none, on one stream", stdout: "No new software available."},
		{name: "no network", stdout: "Software Update Tool\n\nFinding available software\n", stderr: "The operation could not be completed.\n", err: `softwareupdate does not say whether there are updates: "The operation could not be completed."`},
		{name: "nothing", err: `softwareupdate does not say whether there are updates: ""`},
		{name: "announced only", stdout: found, err: "softwareupdate does not say whether there are updates: it announces some and lists none"},
		{name: "huge", stdout: strings.Repeat("x", 2<<20), err: "read softwareupdate: more than 1 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := softwareupdate.ParseList(tt.stdout, tt.stderr)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if message(err) != tt.err {
				t.Errorf("error %q, want %q", message(err), tt.err)
			}
			if strings.Contains(tt.err, "does not say") && !errors.Is(err, softwareupdate.ErrNoAnswer) {
				t.Error("not ErrNoAnswer")
			}
		})
	}
	many := found + strings.Repeat("* Label: a\n", 300)
	if got, err := softwareupdate.ParseList(many, ""); len(got) != 1 || err != nil {
		t.Errorf("%d, %v", len(got), err)
	}
}

func TestParseIgnored(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
		err  string
	}{
		{"Ignored updates:\n(\n    \"macOS Catalina\",\n    iTunesXPatch,\n    \"macOS Catalina\"\n)\n\nIgnoring software updates is deprecated (soon).\n", []string{"macOS Catalina", "iTunesXPatch"}, ""},
		{"Ignored updates:\n(\n    \"Tools (beta)\"\n)\n", []string{"Tools (beta)"}, ""},
		{"Ignored updates:\n(\n)\n", nil, ""},
		{"Ignored updates:\n()\n", nil, ""},
		{"Ignored updates:\n(\n    \"macOS", nil, "read softwareupdate: the list of ignored updates is cut off"},
		{"usage: softwareupdate <cmd>\n", nil, `read softwareupdate: no list of ignored updates: "usage: softwareupdate <cmd>"`},
	} {
		got, err := softwareupdate.ParseIgnored(tt.text)
		if diff := cmp.Diff(tt.want, got); diff != "" || message(err) != tt.err {
			t.Errorf("%q: error %q, -want +got:\n%s", tt.text, message(err), diff)
		}
	}
}

func TestValidLabel(t *testing.T) {
	for label, want := range map[string]bool{"macOS Catalina": true, "iTunesX-12": true, "": false, "--all": false, "a\nb": false, " a": false} {
		if got := softwareupdate.ValidLabel(label); got != want {
			t.Errorf("%q: %v", label, got)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func FuzzParse(f *testing.F) {
	f.Add(found + "* Label: macOS Tahoe 26.5-25F71\n\tTitle: macOS Tahoe 26.5, Version: 26.5, Size: 1K, Recommended: YES, Action: restart,\n")
	f.Add(found + "   * a\n\tA (1), 2K [recommended]\n   - b\n")
	f.Add("Ignored updates:\n(\n    \"macOS Catalina\",\n    x\n)\n")
	f.Fuzz(func(t *testing.T, text string) {
		seen := make(map[string]bool)
		updates, err := softwareupdate.ParseList(text, text)
		for _, u := range updates {
			if u.Label == "" || strings.ContainsAny(u.Label+u.Title+u.Version, "\n\x00") || seen[u.Label] {
				t.Errorf("%+v", u)
			}
			seen[u.Label] = true
		}
		if err == nil && len(updates) == 0 && !strings.Contains(text, "No new software available") {
			t.Errorf("no updates in %q", text)
		}
		if ignored, err := softwareupdate.ParseIgnored(text); err == nil {
			for _, label := range ignored {
				if label == "" || strings.Contains(label, "\n") {
					t.Errorf("%q", label)
				}
			}
		}
	})
}
