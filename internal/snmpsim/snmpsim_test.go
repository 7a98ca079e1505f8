package snmpsim_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"

	"github.com/minikeeper/minikeeper/internal/snmpsim"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// printer is a small device with a value of every type.
const printer = `# comments and empty lines are skipped

1.3.6.1.2.1.1.1.0|4|Laser
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.8072.3.2.255
1.3.6.1.2.1.1.3.0|67|4294967295
1.3.6.1.2.1.2.2.1.1.1|2|1
1.3.6.1.2.1.2.2.1.1.2|2|-2147483648
1.3.6.1.2.1.2.2.1.6.1|4x|00aaff
1.3.6.1.2.1.2.2.1.6.2|4|
1.3.6.1.2.1.4.20.1.1.10.0.0.1|64|10.0.0.1
1.3.6.1.2.1.2.2.1.10.1|65|4294967295
1.3.6.1.2.1.2.2.1.10.200000|66|128
1.3.6.1.2.1.31.1.1.1.6.1|70|18446744073709551615
1.3.6.1.4.1.2021.10.1.6.1|68x|9f78043f800000
`

func device(t testing.TB, record string) *snmpsim.Device {
	t.Helper()
	d, err := snmpsim.ReadRecord(strings.NewReader(record))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func start(t testing.TB, d *snmpsim.Device, o snmpsim.Options) *snmpsim.Agent {
	t.Helper()
	a, err := snmpsim.Start(t.Context(), d, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func client(t testing.TB, a *snmpsim.Agent, version gosnmp.SnmpVersion) *gosnmp.GoSNMP {
	t.Helper()
	host, port, err := net.SplitHostPort(a.Addr())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	g := &gosnmp.GoSNMP{Target: host, Port: uint16(number), Version: version, Community: "public", Timeout: 200 * time.Millisecond}
	if err := g.Connect(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

func show(pdus []gosnmp.SnmpPDU) string {
	var b strings.Builder
	for _, p := range pdus {
		fmt.Fprintf(&b, "%s %v %v\n", p.Name, p.Type, p.Value)
	}
	return b.String()
}

func TestWalk(t *testing.T) {
	a := start(t, device(t, printer), snmpsim.Options{})
	bulk, err := client(t, a, gosnmp.Version2c).BulkWalkAll(".1.3.6.1")
	if err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, filepath.Join("testdata", "printer.golden"), show(bulk))
	v1, err := client(t, a, gosnmp.Version1).WalkAll(".1.3.6.1")
	if err != nil {
		t.Fatal(err)
	}
	if len(v1) != len(bulk)-1 {
		t.Errorf("v1 shows %d of %d objects; it has no Counter64", len(v1), len(bulk))
	}
}

// TestAgainstNetSNMP has the tools that most people use read an agent.
func TestAgainstNetSNMP(t *testing.T) {
	testkit.Peers(t, "snmpbulkwalk", "snmpget")
	a := start(t, device(t, printer), snmpsim.Options{Community: "public"})
	run := func(program string, args ...string) string {
		args = append([]string{"-v2c", "-c", "public", "-On", "-m", "", "-r", "0", "-t", "2", a.Addr()}, args...)
		out, err := exec.CommandContext(t.Context(), program, args...).Output()
		if err != nil {
			t.Fatalf("%s: %v", program, err)
		}
		return string(out)
	}
	testkit.Golden(t, filepath.Join("testdata", "netsnmp.golden"),
		run("snmpbulkwalk", ".1.3.6.1")+run("snmpget", ".1.3.6.1.2.1.1.3.0", ".1.3.6.1.2.1.1.3.1", ".1.3.9.9.9.0"))
}

func TestFaults(t *testing.T) {
	const first, column = ".1.3.6.1.2.1.1.1.0", ".1.3.6.1.2.1.2.2.1.1"
	tests := []struct {
		name   string
		faults snmpsim.Faults
		do     func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error)
		want   string
	}{
		{
			"silent",
			snmpsim.Faults{Silent: true},
			func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) { return g.Get([]string{first}) },
			"timeout",
		},
		{
			"first request lost",
			snmpsim.Faults{Lose: []int{1}},
			func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) {
				g.Retries = 1
				return g.Get([]string{first})
			},
			"NoError 1",
		},
		{
			"genErr at once",
			snmpsim.Faults{Status: snmpsim.GenErr},
			func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) { return g.Get([]string{first}) },
			"GenErr 1",
		},
		{
			"genErr elsewhere",
			snmpsim.Faults{Status: snmpsim.GenErr, StatusBelow: "1.3.6.1.2.1.2"},
			func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) { return g.Get([]string{first}) },
			"NoError 1",
		},
		{
			"bulk cut short",
			snmpsim.Faults{MaxMessage: 120},
			func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) { return g.GetBulk([]string{column}, 0, 9) },
			"NoError 4",
		},
		{
			"bulk too big",
			snmpsim.Faults{TooBigOver: 120},
			func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) { return g.GetBulk([]string{column}, 0, 9) },
			"TooBig 1",
		},
		{
			"stuck",
			snmpsim.Faults{StuckBelow: column},
			func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) { return g.GetNext([]string{column + ".1"}) },
			"NoError 1 .1.3.6.1.2.1.2.2.1.1.1",
		},
		{
			"endless",
			snmpsim.Faults{Endless: column, EndlessSize: 5},
			func(g *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, error) { return g.GetNext([]string{column + ".77"}) },
			"NoError 1 .1.3.6.1.2.1.2.2.1.1.78",
		},
	}
	d := device(t, printer)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := start(t, d, snmpsim.Options{Faults: tt.faults})
			packet, err := tt.do(client(t, a, gosnmp.Version2c))
			got := ""
			switch {
			case errors.Is(err, gosnmp.ErrMaxRetriesExceeded):
				got = "timeout"
			case err != nil:
				got = err.Error()
			default:
				got = fmt.Sprintf("%v %d", packet.Error, len(packet.Variables))
				if tt.faults.StuckBelow != "" || tt.faults.Endless != "" {
					got += " " + packet.Variables[0].Name
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLatency(t *testing.T) {
	const late = 30 * time.Millisecond
	a := start(t, device(t, printer), snmpsim.Options{Faults: snmpsim.Faults{Latency: late}})
	begin := time.Now()
	if _, err := client(t, a, gosnmp.Version2c).Get([]string{".1.3.6.1.2.1.1.1.0"}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < late {
		t.Errorf("answered after %v, want at least %v", took, late)
	}
}

func TestReadRecordRefuses(t *testing.T) {
	tests := map[string]string{
		"1.3.6.1":           "not OID|TAG|VALUE",
		"1.3.x|4|a":         "bad OID",
		"1.3.6.1|4:cache|a": "unknown tag",
		"1.3.6.1|2|many":    "not an integer",
		"1.3.6.1|65|-1":     "not an unsigned number of 32 bits",
		"1.3.6.1|4x|zz":     "not hexadecimal",
		"1.3.6.1|64|::1":    "not an IPv4 address",
		"1.3.6.1|99|1":      "unknown tag 99",
	}
	for record, want := range tests {
		if _, err := snmpsim.ReadRecord(strings.NewReader("\n" + record)); err == nil ||
			!strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "line 2: ") {
			t.Errorf("%s: error %v, want line 2: …%s", record, err, want)
		}
	}
}

// TestRecorded reads recordings of real devices that lie beside the checkout.
func TestRecorded(t *testing.T) {
	file, err := os.Open(testkit.Samples(t, "snmp/linux-netsnmp-5.9.3-debian12.snmprec"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	d, err := snmpsim.ReadRecord(file)
	if err != nil {
		t.Fatal(err)
	}
	all, err := client(t, start(t, d, snmpsim.Options{}), gosnmp.Version2c).BulkWalkAll(".1.3")
	if err != nil || len(all) != d.Len() || d.Len() < 500 {
		t.Errorf("walked %d of %d objects: %v", len(all), d.Len(), err)
	}
}

func FuzzReadRecord(f *testing.F) {
	f.Add(printer)
	f.Add("1.3|4x|00\n1.3|6|1.3\n")
	f.Fuzz(func(t *testing.T, record string) {
		d, err := snmpsim.ReadRecord(strings.NewReader(record))
		if err == nil && d == nil {
			t.Error("neither a device nor an error")
		}
	})
}

func FuzzAnswer(f *testing.F) {
	a := start(f, device(f, printer), snmpsim.Options{Faults: snmpsim.Faults{MaxMessage: 1472}})
	for _, kind := range []gosnmp.PDUType{gosnmp.GetRequest, gosnmp.GetNextRequest, gosnmp.GetBulkRequest} {
		g := &gosnmp.GoSNMP{Version: gosnmp.Version2c, Community: "public"}
		message, err := g.SnmpEncodePacket(kind, []gosnmp.SnmpPDU{{Name: ".1.3.6.1.2.1", Type: gosnmp.Null}}, 0, 20)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if answer := a.Answer(message); len(answer) > 1472+len(message) {
			t.Errorf("%d bytes of answer to %d bytes", len(answer), len(message))
		}
	})
}
