package snmp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/minikeeper/minikeeper/internal/snmp"
	"github.com/minikeeper/minikeeper/internal/snmp/poll"
	"github.com/minikeeper/minikeeper/internal/snmpsim"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// The benchmarks run three programs side by side: this one, as it would serve
// /snmp; snmp_exporter where it is on PATH; and a program of simulated
// switches. Each is a process of its own, so that its processor time can be
// told from that of the others:
//
//	go test ./internal/snmp -run '^$' -bench . -benchtime 300x

// roleVariable has the test binary act as one of the programs.
const roleVariable = "MINIKEEPER_SNMP_ROLE"

func TestMain(m *testing.M) {
	switch role, argument, _ := strings.Cut(os.Getenv(roleVariable), " "); role {
	case "switches":
		serveSwitches(argument)
	case "server":
		serveScraper(argument)
	default:
		os.Exit(m.Run())
	}
}

// untilClosed waits until the parent closes standard input.
func untilClosed() { _, _ = io.Copy(io.Discard, os.Stdin) }

// serveSwitches starts simulated switches: PORTS COUNT LATENCY.
func serveSwitches(argument string) {
	var ports, count int
	var latency time.Duration
	if _, err := fmt.Sscan(argument, &ports, &count); err != nil {
		panic(err)
	}
	if fields := strings.Fields(argument); len(fields) > 2 {
		latency, _ = time.ParseDuration(fields[2])
	}
	device := switchDevice(ports)
	for range count {
		a, err := snmpsim.Start(context.Background(), device, snmpsim.Options{Faults: snmpsim.Faults{Latency: latency}})
		if err != nil {
			panic(err)
		}
		fmt.Println(a.Addr())
	}
	fmt.Println()
	untilClosed()
}

// serveScraper serves our own /snmp with the modules of file.
func serveScraper(file string) {
	modules, err := snmp.Load([]string{file}, snmp.Options{})
	if err != nil {
		panic(err)
	}
	s := snmp.NewScraper(modules, poll.Limits{})
	server := httptest.NewServer(snmp.Handler(s, slog.New(slog.DiscardHandler)))
	fmt.Println(server.URL)
	fmt.Println()
	untilClosed()
}

// switchDevice is a switch with all 41 columns of IF-MIB.
func switchDevice(ports int) *snmpsim.Device {
	var binds []snmpsim.Bind
	add := func(oid string, tag int, value string) {
		b, err := snmpsim.NewBind(oid, tag, value)
		if err != nil {
			panic(err)
		}
		binds = append(binds, b)
	}
	add("1.3.6.1.2.1.2.1.0", snmpsim.Integer, strconv.Itoa(ports))
	for port := 1; port <= ports; port++ {
		for column := 1; column <= 22; column++ {
			oid := fmt.Sprintf("1.3.6.1.2.1.2.2.1.%d.%d", column, port)
			switch column {
			case 1, 3, 4, 7, 8:
				add(oid, snmpsim.Integer, strconv.Itoa(1+column*port%6))
			case 2:
				add(oid, snmpsim.OctetString, fmt.Sprintf("GigabitEthernet1/0/%d", port))
			case 6:
				add(oid, snmpsim.OctetString, fmt.Sprintf("\x00\x11\x22\x33\x44%c", port%256))
			case 9:
				add(oid, snmpsim.TimeTicks, strconv.Itoa(port*1234567))
			case 22:
				add(oid, snmpsim.ObjectID, "0.0")
			default:
				add(oid, snmpsim.Counter32, strconv.Itoa(column*port*7654321%4294967296))
			}
		}
		for column := 1; column <= 19; column++ {
			oid := fmt.Sprintf("1.3.6.1.2.1.31.1.1.1.%d.%d", column, port)
			switch column {
			case 1:
				add(oid, snmpsim.OctetString, fmt.Sprintf("Gi1/0/%d", port))
			case 18:
				add(oid, snmpsim.OctetString, fmt.Sprintf("desk %d", port))
			case 14, 16, 17:
				add(oid, snmpsim.Integer, "1")
			case 15:
				add(oid, snmpsim.Gauge32, "1000")
			case 19:
				add(oid, snmpsim.TimeTicks, "0")
			case 6, 7, 8, 9, 10, 11, 12, 13:
				add(oid, snmpsim.Counter64, strconv.FormatUint(uint64(column*port)*123456789012, 10))
			default:
				add(oid, snmpsim.Counter32, strconv.Itoa(column*port*54321))
			}
		}
	}
	return snmpsim.NewDevice(binds...)
}

// switchModules writes a module for that switch, of the size of the usual one.
func switchModules(t testing.TB) string {
	t.Helper()
	if more := os.Getenv(peerFile); more != "" {
		return more
	}
	var b strings.Builder
	b.WriteString("auths: {public_v2: {}}\nmodules:\n  if_mib:\n    walk: [1.3.6.1.2.1.2, 1.3.6.1.2.1.31.1.1]\n    metrics:\n")
	b.WriteString("    - {name: ifNumber, oid: 1.3.6.1.2.1.2.1, type: gauge, help: Number of interfaces}\n")
	metric := func(table string, column int) {
		typ := "counter"
		name := fmt.Sprintf("if%dColumn%d", len(table)%7, column)
		switch {
		case table == "1.3.6.1.2.1.2.2.1" && column == 6:
			typ = "PhysAddress48"
		case table == "1.3.6.1.2.1.2.2.1" && (column == 3 || column == 7 || column == 8):
			typ = "EnumAsInfo"
		}
		fmt.Fprintf(&b, "    - name: %s\n      oid: %s.%d\n      type: %s\n      help: A column of IF-MIB - %s.%d\n", name, table, column, typ, table, column)
		b.WriteString("      indexes: [{labelname: ifIndex, type: gauge}]\n      lookups:\n")
		for label, oid := range map[string]string{"ifAlias": "1.3.6.1.2.1.31.1.1.1.18", "ifDescr": "1.3.6.1.2.1.2.2.1.2", "ifName": "1.3.6.1.2.1.31.1.1.1.1"} {
			fmt.Fprintf(&b, "      - {labels: [ifIndex], labelname: %s, oid: %s, type: DisplayString}\n", label, oid)
		}
	}
	for column := 1; column <= 21; column++ {
		if column != 2 {
			metric("1.3.6.1.2.1.2.2.1", column)
		}
	}
	for column := 2; column <= 19; column++ {
		if column != 18 {
			metric("1.3.6.1.2.1.31.1.1.1", column)
		}
	}
	file := filepath.Join(t.TempDir(), "snmp.yml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A program is one of those that are compared.
type program struct {
	url string
	pid int
}

// role starts this binary as one of the programs, and returns the lines that
// it says.
func role(t testing.TB, what string) (pid int, lines []string) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0]) // it ends with its standard input
	cmd.Env = append(os.Environ(), roleVariable+"="+what)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	for scan := bufio.NewScanner(stdout); scan.Scan() && scan.Text() != ""; {
		lines = append(lines, scan.Text())
	}
	return cmd.Process.Pid, lines
}

// usage is the processor time and the resident memory of a process.
func usage(t testing.TB, pid int) (seconds float64, rss int) {
	t.Helper()
	p, err := procfs.NewProc(pid)
	if err != nil {
		t.Fatal(err)
	}
	stat, err := p.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return stat.CPUTime(), stat.ResidentMemory()
}

// measure has b.N scrapes of targets, some at once, and reports what each took.
func measure(b *testing.B, p program, targets []string, atOnce int) {
	scrapeOne := func(target string) int {
		body, status := fetch(b, p.url+"?module=if_mib&target="+target)
		if status != http.StatusOK {
			b.Fatalf("%d: %.300s", status, body)
		}
		return strings.Count(string(body), "\nif")
	}
	series := 0
	for _, target := range targets { // both programs may warm up
		series = scrapeOne(target)
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	before, _ := usage(b, p.pid)
	b.ResetTimer()
	for range atOnce {
		workers.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				scrapeOne(targets[int(i)%len(targets)])
			}
		})
	}
	workers.Wait()
	b.StopTimer()
	after, rss := usage(b, p.pid)
	b.ReportMetric((after-before)*1000/float64(b.N), "cpu-ms/scrape")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "scrapes/s")
	b.ReportMetric(float64(rss)/(1<<20), "RSS-MiB")
	b.ReportMetric(float64(series), "series")
}

// programs starts both programs; snmp_exporter only where it is installed.
func programs(b *testing.B) map[string]program {
	b.Helper()
	file := switchModules(b)
	pid, lines := role(b, "server "+file)
	all := map[string]program{"minikeeper": {lines[0], pid}}
	if _, err := exec.LookPath("snmp_exporter"); err == nil {
		url, pid := startPeer(b, file)
		all["snmp_exporter"] = program{url, pid}
	}
	return all
}

func BenchmarkSwitch(b *testing.B) {
	both := programs(b)
	for _, c := range []struct {
		name    string
		ports   int
		targets int
		latency time.Duration
		atOnce  int
	}{
		{"48-ports", 48, 8, 0, 1},
		{"48-ports-64-at-once", 48, 64, 0, 64},
		{"48-ports-5ms-away", 48, 8, 5 * time.Millisecond, 1},
		{"1000-ports", 1000, 2, 0, 1},
	} {
		_, targets := role(b, fmt.Sprintf("switches %d %d %v", c.ports, c.targets, c.latency))
		for _, name := range []string{"snmp_exporter", "minikeeper"} {
			if p, ok := both[name]; ok {
				b.Run(c.name+"/"+name, func(b *testing.B) { measure(b, p, targets, c.atOnce) })
			}
		}
	}
}

// BenchmarkSnmpd asks net-snmp's own agent, which is slow itself.
func BenchmarkSnmpd(b *testing.B) {
	testkit.Peers(b, "snmpd")
	both, target := programs(b), startSnmpd(b)
	for _, name := range []string{"snmp_exporter", "minikeeper"} {
		if p, ok := both[name]; ok {
			b.Run("if_mib/"+name, func(b *testing.B) { measure(b, p, []string{target}, 1) })
		}
	}
}
