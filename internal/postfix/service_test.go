package postfix

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper/internal/testkit"
)

const stockJob = `<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict>
<key>Label</key><string>LABEL</string>
<key>Program</key><string>/usr/libexec/postfix/master</string>
<key>ProgramArguments</key><array><string>master</string>ARGS</array>
</dict></plist>
`

func job(label, args string) string {
	return strings.NewReplacer("LABEL", label, "ARGS", args).Replace(stockJob)
}

func TestDetectService(t *testing.T) {
	const (
		system   = "System/Library/LaunchDaemons/"
		library  = "Library/LaunchDaemons/"
		onDemand = "<string>-e</string><string>60</string>"
		debian   = "[Service]\nType=oneshot\nExecStart=/bin/true\n"
	)
	newer := job("com.apple.postfix.master", onDemand)
	older := job("org.postfix.master", onDemand)
	own := job("com.example.relay", "")
	tests := []struct {
		name, goos string
		files      map[string]string // a name that ends in "/" is a folder
		want       Service
	}{
		{
			"macOS 10.12 and later", "darwin",
			map[string]string{system + "com.apple.postfix.master.plist": newer},
			Service{Kind: Launchd, Label: "com.apple.postfix.master", Plist: system + "com.apple.postfix.master.plist", OnDemand: true},
		},
		{
			"OS X 10.11", "darwin",
			map[string]string{system + "org.postfix.master.plist": older},
			Service{Kind: Launchd, Label: "org.postfix.master", Plist: system + "org.postfix.master.plist", OnDemand: true},
		},
		{
			"an upgrade left the old job behind", "darwin",
			map[string]string{system + "org.postfix.master.plist": older, system + "com.apple.postfix.master.plist": newer},
			Service{Kind: Launchd, Label: "com.apple.postfix.master", Plist: system + "com.apple.postfix.master.plist", OnDemand: true},
		},
		{
			"the administrator's own job", "darwin",
			map[string]string{library + "zz.plist": own, library + "aa.plist": job("x", "")[:40], system + "com.apple.postfix.master.plist": newer},
			Service{Kind: Launchd, Label: "com.example.relay", Plist: library + "zz.plist"},
		},
		{
			"the administrator's own job, by the front door", "darwin",
			map[string]string{library + "a.plist": strings.NewReplacer("libexec/postfix/master", "sbin/postfix").Replace(job("com.example.relay", "<string>start-fg</string>"))},
			Service{Kind: Launchd, Label: "com.example.relay", Plist: library + "a.plist"},
		},
		{"other jobs only", "darwin", map[string]string{library + "sshd.plist": strings.Replace(own, "postfix/master", "sshd", 1)}, Service{Kind: Plain}},
		{"a folder named like a job", "darwin", map[string]string{library + "a.plist/": ""}, Service{Kind: Plain}},
		{"bare mac", "darwin", nil, Service{Kind: Plain}},
		{
			"debian 12", "linux",
			map[string]string{"run/systemd/system/": "", "lib/systemd/system/postfix.service": debian, "lib/systemd/system/postfix@.service": "[Service]\n"},
			Service{Kind: Systemd, Unit: "postfix@-.service"},
		},
		{
			"a real unit", "linux",
			map[string]string{"run/systemd/system/": "", "usr/lib/systemd/system/postfix.service": "[Service]\nExecStart = /usr/sbin/postfix start\n", "usr/lib/systemd/system/postfix@.service": ""},
			Service{Kind: Systemd, Unit: "postfix.service"},
		},
		{
			"the administrator's unit wins", "linux",
			map[string]string{"run/systemd/system/": "", "etc/systemd/system/postfix.service": "ExecStart=/opt/postfix start\n", "lib/systemd/system/postfix.service": debian, "lib/systemd/system/postfix@.service": ""},
			Service{Kind: Systemd, Unit: "postfix.service"},
		},
		{"systemd without postfix", "linux", map[string]string{"run/systemd/system/": ""}, Service{Kind: Plain}},
		{"units without systemd", "linux", map[string]string{"lib/systemd/system/postfix.service": debian}, Service{Kind: Plain}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for name, content := range tt.files {
				write(t, filepath.Join(root, name), name, content)
			}
			got := DetectService(root, tt.goos)
			if got.Plist != "" {
				rel, err := filepath.Rel(root, got.Plist)
				if err != nil {
					t.Fatal(err)
				}
				got.Plist = rel
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestDetectRecordedJobs reads the jobs that Apple shipped.
func TestDetectRecordedJobs(t *testing.T) {
	for sample, label := range map[string]string{
		"postfix/org.postfix.master.plist-10.10-10.11.plist":     "org.postfix.master",
		"postfix/com.apple.postfix.master.plist-10.12plus.plist": "com.apple.postfix.master",
	} {
		data, err := os.ReadFile(testkit.Samples(t, sample))
		if err != nil {
			t.Fatal(err)
		}
		root := t.TempDir()
		name := "System/Library/LaunchDaemons/" + label + ".plist"
		write(t, filepath.Join(root, name), name, string(data))
		if got := DetectService(root, "darwin"); got.Label != label || !got.OnDemand {
			t.Errorf("%s: %+v, want label %s on demand", sample, got, label)
		}
	}
}

// write makes the file at path, or the folder if name ends in "/".
func write(t *testing.T, path, name, content string) {
	t.Helper()
	if name[len(name)-1] == '/' {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
