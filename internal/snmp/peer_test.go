package snmp_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/minikeeper/minikeeper/internal/snmp"
	"github.com/minikeeper/minikeeper/internal/snmp/poll"
	"github.com/minikeeper/minikeeper/internal/snmpsim"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// These tests hold every series against snmp_exporter, the program itself. It
// is found on PATH; make test builds it into bin/peers, at the version that
// tools/peers/go.mod has.
//
// MINIKEEPER_SNMP_YML may name another snmp.yml, such as the one that comes
// with snmp_exporter: then all of its modules are compared, too.
const peerFile = "MINIKEEPER_SNMP_YML"

// exporter starts snmp_exporter with files and returns the URL of its /snmp.
func exporter(t testing.TB, files ...string) string {
	t.Helper()
	url, _ := startPeer(t, files...)
	return url
}

// startPeer starts snmp_exporter and returns the URL of its /snmp and its
// process.
func startPeer(t testing.TB, files ...string) (url string, pid int) {
	t.Helper()
	testkit.Peers(t, "snmp_exporter")
	address := freePort(t, "tcp")
	args := []string{"--web.listen-address=" + address, "--log.level=error"}
	for _, file := range files {
		args = append(args, "--config.file="+file)
	}
	cmd := exec.CommandContext(t.Context(), "snmp_exporter", args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	base := "http://" + address
	for range 200 {
		if _, status := fetch(t, base+"/-/healthy"); status == http.StatusOK {
			return base + "/snmp", cmd.Process.Pid
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("snmp_exporter does not start")
	return "", 0
}

func freePort(t testing.TB, network string) string {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		return c.LocalAddr().String()
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// fetch returns the body and the status of url; 0 if nobody answers.
func fetch(t testing.TB, url string) (body []byte, status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, 0
	}
	defer func() { _ = response.Body.Close() }()
	if body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return body, response.StatusCode
}

// ours starts our own handler with files.
func ours(t testing.TB, files ...string) string {
	t.Helper()
	modules, err := snmp.Load(files, snmp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := snmp.NewScraper(modules, poll.Limits{})
	server := httptest.NewServer(snmp.Handler(s, slog.New(slog.DiscardHandler)))
	t.Cleanup(func() {
		server.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL
}

func scrapeURL(base, target, module, auth string) string {
	return base + "?" + url.Values{"target": {target}, "module": {module}, "auth": {auth}}.Encode()
}

// agent starts a simulated agent that shows the recording in file.
func agent(t testing.TB, file string, f snmpsim.Faults) string {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	device, err := snmpsim.ReadRecord(bytes.NewReader(src))
	if err != nil {
		t.Fatal(err)
	}
	a, err := snmpsim.Start(t.Context(), device, snmpsim.Options{Faults: f})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a.Addr()
}

// An exposition is what a scrape says: a line of type and help for each
// family, and the value of each series.
type exposition struct {
	families map[string]string
	series   map[string]float64
}

// read parses text. What the two programs say of the scrape itself is left out.
func read(t testing.TB, text []byte) exposition {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%.2000s", err, text)
	}
	e := exposition{make(map[string]string), make(map[string]float64)}
	for name, f := range families {
		if strings.HasPrefix(name, "snmp_scrape_") || strings.HasPrefix(name, "minikeeper_snmp_") {
			continue
		}
		e.families[name] = f.GetType().String() + " " + f.GetHelp()
		for _, m := range f.GetMetric() {
			key := name + labelText(m)
			if _, twice := e.series[key]; twice {
				t.Errorf("%s is there twice", key)
			}
			e.series[key] = value(m)
		}
	}
	return e
}

func labelText(m *dto.Metric) string {
	var b strings.Builder
	for _, l := range m.GetLabel() {
		fmt.Fprintf(&b, " %s=%q", l.GetName(), l.GetValue())
	}
	return b.String()
}

func value(m *dto.Metric) float64 {
	if m.GetCounter() != nil {
		return m.GetCounter().GetValue()
	}
	return m.GetGauge().GetValue()
}

// compare holds our scrape of a target against theirs, twice: before and after
// the target is known. moving says that values change between two scrapes.
func compare(t *testing.T, theirs, ours, target, module, auth string, moving bool) {
	t.Helper()
	for range 2 {
		first, status := fetch(t, scrapeURL(theirs, target, module, auth))
		if status != http.StatusOK {
			t.Fatalf("snmp_exporter answers %d: %s", status, first)
		}
		got, status := fetch(t, scrapeURL(ours, target, module, auth)+"&strict=true")
		if status != http.StatusOK {
			t.Fatalf("minikeeper answers %d: %s", status, got)
		}
		second, _ := fetch(t, scrapeURL(theirs, target, module, auth))
		same(t, read(t, first), read(t, got), read(t, second), moving)
	}
}

// same demands that is equals was, and that values lie between was and then.
func same(t *testing.T, was, is, then exposition, moving bool) {
	t.Helper()
	if diff := cmp.Diff(was.families, is.families); diff != "" && !moving {
		t.Errorf("families (-snmp_exporter +minikeeper):\n%s", diff)
	}
	strange := 0
	for _, key := range slices.Sorted(maps.Keys(was.series)) {
		before := was.series[key]
		after, stays := then.series[key]
		now, there := is.series[key]
		switch {
		case !there && (stays || !moving):
			t.Errorf("missing: %s %v", key, before)
			strange++
		case there && stays && (now < min(before, after) || now > max(before, after)):
			if before == after || !moving {
				t.Errorf("%s is %v, for snmp_exporter %v and then %v", key, now, before, after)
				strange++
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(is.series)) {
		_, there := was.series[key]
		_, later := then.series[key]
		if !there && !later {
			t.Errorf("too much: %s %v", key, is.series[key])
			strange++
		}
	}
	if strange == 0 {
		t.Logf("%d families, %d series are equal", len(is.families), len(is.series))
	}
}

// peerFiles are the files whose modules are compared.
func peerFiles() []string {
	files := []string{filepath.Join("testdata", "compat.yml")}
	if more := os.Getenv(peerFile); more != "" {
		files = append(files, more)
	}
	return files
}

// peers starts both programs with file, and returns its modules.
func peers(t testing.TB, file string) (theirs, own string, modules []string) {
	t.Helper()
	all, err := snmp.Load([]string{file}, snmp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return exporter(t, file), ours(t, file), all.Names()
}

// TestSimulatedPeers compares every module on simulated devices.
func TestSimulatedPeers(t *testing.T) {
	recordings, err := filepath.Glob(filepath.Join("testdata", "*.snmprec"))
	if err != nil || len(recordings) == 0 {
		t.Fatal("no recordings", err)
	}
	for _, file := range peerFiles() {
		theirs, own, modules := peers(t, file)
		for _, recording := range recordings {
			target := agent(t, recording, snmpsim.Faults{})
			for _, module := range modules {
				for _, auth := range []string{"public_v1", "public_v2"} {
					t.Run(filepath.Base(recording)+"/"+module+"/"+auth, func(t *testing.T) {
						compare(t, theirs, own, target, module, auth, false)
					})
				}
			}
		}
	}
}

// TestRealPeers compares every module on net-snmp's own agent, and some over
// all versions of the protocol.
func TestRealPeers(t *testing.T) {
	target := startSnmpd(t)
	for _, file := range peerFiles() {
		theirs, own, modules := peers(t, file)
		for _, module := range modules {
			t.Run(module, func(t *testing.T) { compare(t, theirs, own, target, module, "public_v2", true) })
		}
	}
	theirs, own, _ := peers(t, peerFiles()[0])
	for _, auth := range []string{"public_v1", "none_v3", "md5_des_v3", "sha_aes_v3", "sha256_aes_v3", "sha512_auth_v3"} {
		for _, module := range []string{"if_mib", "system", "hr_storage"} {
			t.Run(module+"/"+auth, func(t *testing.T) { compare(t, theirs, own, target, module, auth, true) })
		}
	}
}

// startSnmpd starts net-snmp's agent and returns its address.
func startSnmpd(t testing.TB) string {
	t.Helper()
	testkit.Peers(t, "snmpd")
	dir, address := t.TempDir(), freePort(t, "udp")
	config := filepath.Join(dir, "snmpd.conf")
	lines := []string{
		"agentaddress udp:" + address,
		"rocommunity public 127.0.0.1",
		"createUser none", "rouser none noauth",
		`createUser md5 MD5 "password-one" DES "password-two"`, "rouser md5 priv",
		`createUser sha SHA "password-one" AES "password-two"`, "rouser sha priv",
		`createUser sha256 SHA-256 "password-one" AES "password-two"`, "rouser sha256 priv",
		`createUser sha512 SHA-512 "password-one"`, "rouser sha512 auth",
		"sysLocation test", "sysContact nobody", "includeAllDisks 10%",
	}
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "snmpd", "-C", "-c", config, "-f", "-Lo", "-p", filepath.Join(dir, "pid"))
	cmd.Env = append(os.Environ(), "MIBS=", "SNMP_PERSISTENT_DIR="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	c := poll.NewClient(poll.NewMemory(0), poll.Limits{})
	t.Cleanup(func() { _ = c.Close() })
	for range 50 {
		s, err := c.Session(poll.Target{Address: address, Version: 2, Community: "public"})
		if err != nil {
			t.Fatal(err)
		}
		s.Read(t.Context(), poll.Query{Gets: []string{"1.3.6.1.2.1.1.3.0"}, MaxRepetitions: 1, Timeout: 100 * time.Millisecond})
		if s.Answered() {
			return address
		}
		_ = s.Close()
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("snmpd does not answer")
	return ""
}
