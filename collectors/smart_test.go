package collectors

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/command"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

func TestSmart(t *testing.T) {
	scenarios(t, "smart", applySmart)
}

// applySmart reads the settings "devices", a list of NAME=TYPE, "exclude" and
// "wake".
func applySmart(s *Settings, settings map[string]string) {
	for pair := range strings.FieldsSeq(settings["devices"]) {
		name, kind, _ := strings.Cut(pair, "=")
		s.Smart.Devices = append(s.Smart.Devices, SmartDevice{Name: name, Type: kind})
	}
	s.Smart.Exclude = strings.Fields(settings["exclude"])
	s.Smart.Wake = settings["wake"] == "true"
}

// Every recorded file is read to what its golden file says or refused with the
// error that stands there: scans with disks that cannot be opened, reports as
// those of the one disk there is.
func TestSmartRecorded(t *testing.T) {
	entries, err := os.ReadDir(testkit.Samples(t, "smart"))
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			data, err := os.ReadFile(testkit.Samples(t, "smart/"+e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			machine := tools{"smartctl --scan -j": {Stdout: data}}
			if !strings.Contains(e.Name(), "-scan-") {
				var r struct {
					Smartctl struct {
						ExitStatus int `json:"exit_status"`
					} `json:"smartctl"`
					Device struct {
						Name string `json:"name"`
					} `json:"device"`
				}
				if err := json.Unmarshal(data, &r); err != nil {
					t.Fatal(err)
				}
				if r.Device.Name == "" {
					r.Device.Name = "/dev/sda"
				}
				machine = tools{
					"smartctl --scan -j":                         {Stdout: []byte(`{"smartctl":{},"devices":[{"name":"` + r.Device.Name + `"}]}`)},
					"smartctl -j -x -n standby " + r.Device.Name: {Stdout: data, Exit: r.Smartctl.ExitStatus},
				}
			}
			c, err := newSmart(Deps{Run: machine, GOOS: "linux"})
			if err != nil {
				t.Fatal(err)
			}
			testkit.Golden(t, filepath.Join("testdata", "smart", "recorded", e.Name()+".golden"), collected(t, c, ""))
		})
	}
}

// hangs answers as tools does, but for one command that never ends.
type hangs struct {
	tools
	at string
}

func (h hangs) Run(ctx context.Context, c minikeeper.Command) (minikeeper.Result, error) {
	if c.String() == h.at {
		<-ctx.Done()
		return minikeeper.Result{}, context.Cause(ctx)
	}
	return h.tools.Run(ctx, c)
}

// A disk that hangs leaves out its own series only, and leaves time to say so.
func TestSmartHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c, err := newSmart(Deps{Run: hangs{at: "smartctl -j -x -n standby /dev/sda", tools: tools{
			"smartctl --scan -j":                 {Stdout: []byte(`{"smartctl":{},"devices":[{"name":"/dev/sda"},{"name":"/dev/sdb"}]}`)},
			"smartctl -j -x -n standby /dev/sdb": {Stdout: []byte(`{"smartctl":{},"device":{"name":"/dev/sdb"},"smart_status":{"passed":true}}`)},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		samples, err := c.Collect(ctx)
		if took := time.Since(start); took != 45*time.Second {
			t.Errorf("took %v of a minute", took)
		}
		if err == nil || !strings.Contains(err.Error(), "read disk /dev/sda: ") {
			t.Errorf("got error %v", err)
		}
		found := false
		for _, s := range samples {
			found = found || s.String() == smartHealthy+`{device="/dev/sdb"} 1`
		}
		if !found {
			t.Errorf("the disk that answers is not there: %v", samples)
		}
	})
}

func TestSmartRefusesSettings(t *testing.T) {
	for _, s := range []SmartSettings{
		{Exclude: []string{"["}},
		{Devices: []SmartDevice{{Type: "sat"}}},
		{Devices: []SmartDevice{{Name: "--set=x"}}},
		{Devices: []SmartDevice{{Name: "/dev/sda", Type: "-s"}}},
	} {
		if _, err := newSmart(Deps{Settings: Settings{Smart: s}}); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}

// The real smartctl: it scans, and says of what is no disk that it is none.
func TestSmartReal(t *testing.T) {
	testkit.Peers(t, "smartctl")
	deps := Deps{Run: command.NewLocal(os.Getenv("PATH")), GOOS: "linux"}
	devices, err := smart{deps: deps}.devices(t.Context())
	if err != nil {
		t.Errorf("scan: %v (found %v)", err, devices)
	}
	deps.Settings.Smart.Devices = []SmartDevice{{Name: "/dev/null"}}
	c, err := newSmart(deps)
	if err != nil {
		t.Fatal(err)
	}
	samples, err := c.Collect(t.Context())
	if len(samples) != 0 || err == nil || !strings.HasPrefix(err.Error(), "read disk /dev/null: smartctl: exit status ") {
		t.Errorf("got %v and %v", samples, err)
	}
}

func FuzzSmart(f *testing.F) {
	f.Add([]byte(`{"smartctl":{"exit_status":4},"device":{"name":"a"},"smart_status":{"passed":true},"temperature":{"current":31},"ata_smart_attributes":{"table":[{"id":5,"name":"SSD_Life_Left","value":9,"raw":{"string":"3 (1)"}}]}}`), 4)
	f.Add([]byte(`{"smartctl":{},"nvme_smart_health_information_log":{"percentage_used":3,"media_errors":1e400},"power_on_time":{"hours":1e308}}`), 0)
	f.Add([]byte(`{"smartctl":{"output":["Device is in STANDBY mode, exit(2)"]},"scsi_error_counter_log":{"read":{"total_uncorrected_errors":1}}}`), 2)
	f.Fuzz(func(t *testing.T, data []byte, exit int) {
		report, err := parseSmart(data, exit)
		samples := report.samples(smartDisk{label: "a"})
		checkSamples(t, smart{}, samples)
		if err == nil && len(samples) == 0 {
			t.Error("nothing was read, and no error says why")
		}
	})
}

func FuzzSmartScan(f *testing.F) {
	f.Add([]byte(`{"smartctl":{"exit_status":0},"devices":[{"name":"/dev/sda","type":"sat"},{"name":"-x"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, _ := parseSmartScan(data)
		for _, d := range found {
			if strings.HasPrefix(d.Name, "-") || strings.HasPrefix(d.Type, "-") || d.Name == "" {
				t.Errorf("%+v would be an option", d)
			}
		}
	})
}
