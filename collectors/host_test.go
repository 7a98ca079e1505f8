package collectors

import (
	"os"
	"strings"
	"testing"
)

func TestHost(t *testing.T) {
	timedScenarios(t, "host", func(s *Settings, settings map[string]string) {
		s.Host.NTPServer = settings["ntp_server"]
	})
}

func TestHostRefusesWhatIsNoServer(t *testing.T) {
	for _, name := range []string{"-S time.example.com", "a b", "--help"} {
		if _, err := newHost(Deps{Settings: Settings{Host: HostSettings{NTPServer: name}}}); err == nil {
			t.Errorf("ntp_server %q was taken", name)
		}
	}
}

// All that the collector reads is in range, and what fails is an error.
func TestHostOfManyShapes(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "binary": "\x00\xff\x80vm.loadavg: \x01", "huge": strings.Repeat("vm.loadavg: { 1 }\n", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := newHost(Deps{Run: tools{
				"sysctl vm.loadavg hw.ncpu hw.memsize kern.boottime": {Stdout: []byte(text)}, "vm_stat": {Stdout: []byte(text)},
			}, GOOS: "darwin", Root: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			if samples, err := c.Collect(t.Context()); err == nil || len(samples) > 0 {
				t.Errorf("read %v, %v", samples, err)
			}
		})
	}
}

func FuzzHost(f *testing.F) {
	for _, path := range []string{"linux-server", "macos-server", "macos-old"} {
		f.Add(read(f, "testdata/host/"+path+".txtar"))
	}
	f.Add("{ NaN } +Inf +/- 0x1p9999")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := newHost(Deps{Run: tools{
			"sysctl vm.loadavg hw.ncpu hw.memsize kern.boottime": {Stdout: []byte(text)}, "vm_stat": {Stdout: []byte(text)},
			"sntp x": {Stdout: []byte(text)},
		}, GOOS: "darwin", Settings: Settings{Host: HostSettings{NTPServer: "x"}}})
		if err != nil {
			t.Fatal(err)
		}
		samples, _ := c.Collect(t.Context())
		checkSamples(t, c, samples)
		for _, s := range samples {
			if s.Value < 0 && s.Name != hostClockOffset {
				t.Error(s)
			}
		}
		if c, err := parseTracking(text); err == nil && c.synced == nil {
			t.Errorf("a clock of which nothing is known: %q", text)
		}
	})
}

// read returns the text of the file at path.
func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
