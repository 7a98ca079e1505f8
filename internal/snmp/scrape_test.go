package snmp_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper/internal/snmp"
	"github.com/minikeeper/minikeeper/internal/snmp/poll"
	"github.com/minikeeper/minikeeper/internal/snmp/snmpyml"
	"github.com/minikeeper/minikeeper/internal/snmpsim"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// steady replaces what is never the same twice.
func steady(text string) string {
	return regexp.MustCompile(`(?m)^(snmp_scrape_\w*(?:duration_seconds|packets_sent)\{.*\}) .*$`).ReplaceAllString(text, "$1 N")
}

// TestGolden shows what becomes of the recorded devices.
func TestGolden(t *testing.T) {
	s := scraper(t, poll.Limits{}, "testdata/compat.yml")
	for recording, modules := range map[string]string{"kinds": "system,kinds", "switch": "system_get,if_mib,ip_addresses"} {
		result := scrape(t, s, snmp.Request{Target: agent(t, "testdata/"+recording+".snmprec", snmpsim.Faults{}), Modules: []string{modules}})
		if err := result.Err(); err != nil {
			t.Error(err)
		}
		var text snmp.Text
		result.Write(&text)
		testkit.Golden(t, filepath.Join("testdata", recording+".golden"), steady(string(text.Bytes())))
	}
}

func TestRecorded(t *testing.T) {
	target := agent(t, testkit.Samples(t, "snmp/linux-netsnmp-5.9.3-debian12.snmprec"), snmpsim.Faults{})
	s := scraper(t, poll.Limits{}, "testdata/compat.yml")
	result := scrape(t, s, snmp.Request{Target: target, Modules: []string{"system,if_mib,hr_storage,hr_device,ucd"}})
	var text snmp.Text
	result.Write(&text)
	if e := read(t, text.Bytes()); result.Err() != nil || len(e.series) < 50 {
		t.Errorf("%d series, error %v", len(e.series), result.Err())
	}
}

// handlerOf serves compat.yml, and two requests more of its kind.
func handlerOf(t testing.TB, limits poll.Limits) http.Handler {
	t.Helper()
	return snmp.Handler(scraper(t, limits, "testdata/compat.yml"), slog.New(slog.DiscardHandler))
}

func ask(t testing.TB, h http.Handler, query string, header http.Header) (status int, body string) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/snmp?"+query, nil)
	if header != nil {
		request.Header = header
	}
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, request)
	return recorder.Code, recorder.Body.String()
}

func TestHandlerRefuses(t *testing.T) {
	h := handlerOf(t, poll.Limits{})
	tests := map[string]string{
		"":                                        "parameter target is missing",
		"target=a&target=b":                       "parameter target is given more than once",
		"target=a&auth=x&auth=y":                  "parameter auth is given more than once",
		"target=127.0.0.1&module=if_mob":          `unknown module "if_mob" (have hr_device, hr_storage, if_filtered`,
		"target=127.0.0.1&auth=none":              `unknown auth "none" (have md5_des_v3, none_v3, public_v1`,
		"target=127.0.0.1:x":                      "bad port",
		"target=ftp://a":                          `unknown network "ftp"`,
		"target=127.0.0.1&strict=perhaps":         "strict wants true or false",
		"target=a&auth=none_v3&snmp_engineid=xyz": "not hexadecimal",
	}
	for query, want := range tests {
		if status, body := ask(t, h, query, nil); status != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want 400 %s", query, status, body, want)
		}
	}
}

// TestHonest has a device fail in one table. The others are there, and the
// metrics say what is not.
func TestHonest(t *testing.T) {
	h := handlerOf(t, poll.Limits{})
	target := agent(t, "testdata/switch.snmprec", snmpsim.Faults{Status: snmpsim.GenErr, StatusBelow: "1.3.6.1.2.1.31.1.1.1.6"})
	query := "module=if_mib,system&target=" + target
	status, body := ask(t, h, query, nil)
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, body)
	}
	for _, want := range []string{
		`ifInOctets{ifAlias="back\\slash",ifDescr="ethernet 0/2",ifIndex="2",ifName="e2"} 1400000000`,
		`minikeeper_snmp_table_success{module="if_mib",table="ifTable"} 1`,
		`minikeeper_snmp_table_success{module="if_mib",table="ifXTable"} 0`,
		`minikeeper_snmp_table_error{module="if_mib",reason="gen_err",table="ifXTable"} 1`,
		`minikeeper_snmp_table_success{module="system",table="system"} 1`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(body, "ifHighSpeed") {
		t.Error("a part of a table that is not whole is there")
	}
	if status, body = ask(t, h, query+"&strict=true", nil); status != http.StatusInternalServerError || !strings.Contains(body, "ifXTable") {
		t.Errorf("strictly: %d %s", status, body)
	}
}

// TestLabelsDependOnOtherTables leaves a table out whose labels could not be
// read: without them its series would be others.
func TestLabelsDependOnOtherTables(t *testing.T) {
	h := handlerOf(t, poll.Limits{})
	target := agent(t, "testdata/switch.snmprec", snmpsim.Faults{Status: snmpsim.GenErr, StatusBelow: "1.3.6.1.2.1.31.1.1.1.1"})
	_, body := ask(t, h, "module=if_mib&target="+target, nil)
	if strings.Contains(body, "ifInOctets") || !strings.Contains(body, `minikeeper_snmp_table_success{module="if_mib",table="ifTable"} 0`) {
		t.Errorf("got %s", body)
	}
}

func TestSilentTarget(t *testing.T) {
	h := handlerOf(t, poll.Limits{})
	begin := time.Now()
	status, body := ask(t, h, "module=if_mib&target="+agent(t, "testdata/switch.snmprec", snmpsim.Faults{Silent: true}),
		http.Header{"X-Prometheus-Scrape-Timeout-Seconds": {"1.2"}})
	if took := time.Since(begin); status != http.StatusInternalServerError || took > 1200*time.Millisecond {
		t.Errorf("%d after %v: %s", status, took, body)
	}
}

// TestDeadlineKeepsWhatIsWhole ends a scrape of a slow device in time.
func TestDeadlineKeepsWhatIsWhole(t *testing.T) {
	h := handlerOf(t, poll.Limits{Window: 1})
	target := agent(t, "testdata/switch.snmprec", snmpsim.Faults{Latency: 150 * time.Millisecond})
	begin := time.Now()
	status, body := ask(t, h, "module=system,if_mib&target="+target, http.Header{"X-Prometheus-Scrape-Timeout-Seconds": {"0.9"}})
	if took := time.Since(begin); status != http.StatusOK || took > 800*time.Millisecond {
		t.Fatalf("%d after %v: %s", status, took, body)
	}
	for _, want := range []string{
		"sysUpTime 4.294967295e+07",
		`minikeeper_snmp_table_success{module="system",table="system"} 1`,
		`minikeeper_snmp_table_error{module="if_mib",reason="deadline",table="ifTable"} 1`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("missing %s in %s", want, body)
		}
	}
	if strings.Contains(body, "ifInOctets") {
		t.Error("a part of a table is there")
	}
}

func TestCompressed(t *testing.T) {
	h := handlerOf(t, poll.Limits{})
	query := "module=system&target=" + agent(t, "testdata/kinds.snmprec", snmpsim.Faults{})
	_, plain := ask(t, h, query, nil)
	_, packed := ask(t, h, query, http.Header{"Accept-Encoding": {"br, gzip;q=0.8"}})
	r, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(r)
	if err != nil || steady(string(unpacked)) != steady(plain) {
		t.Errorf("differs, %v", err)
	}
	if _, refused := ask(t, h, query, http.Header{"Accept-Encoding": {"gzip;q=0"}}); steady(refused) != steady(plain) {
		t.Error("compressed for a client that refuses it")
	}
}

// TestFlaws counts what is left out and what is mended.
func TestFlaws(t *testing.T) {
	cfg, err := snmpyml.Parse("flaws.yml", []byte(`
auths: {public_v2: {}}
modules:
  m:
    walk: [1.3.6.1.4.1.99999.1, 1.3.6.1.4.1.99999.3.5]
    metrics:
    - {name: text_as_number, oid: 1.3.6.1.4.1.99999.1.8, type: gauge, help: h}
    - {name: bad_date, oid: 1.3.6.1.4.1.99999.1.7, type: DateAndTime, help: h}
    - {name: no_bits, oid: 1.3.6.1.4.1.99999.1.2, type: Bits, help: h}
    - {name: latin, oid: 1.3.6.1.4.1.99999.1.18, type: DisplayString, help: h}
    - name: twins
      oid: 1.3.6.1.4.1.99999.3.5
      type: gauge
      help: h
      indexes: [{labelname: first, type: gauge}]
  again:
    get: [1.3.6.1.4.1.99999.1.2.0]
    metrics: [{name: no_bits, oid: 1.3.6.1.4.1.99999.1.2, type: gauge, help: other}, {name: latin, oid: 1.3.6.1.4.1.99999.1.3, type: gauge, help: h}]
`), snmpyml.Options{})
	if err != nil {
		t.Fatal(err)
	}
	modules, err := snmp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := snmp.NewScraper(modules, poll.Limits{})
	t.Cleanup(func() { _ = s.Close() })
	target := agent(t, "testdata/kinds.snmprec", snmpsim.Faults{})
	result := scrape(t, s, snmp.Request{Target: target, Modules: []string{"m", "again"}})
	var text snmp.Text
	result.Write(&text)
	read(t, text.Bytes()) // fails if a series is there twice
	testkit.Golden(t, filepath.Join("testdata", "flaws.golden"), steady(string(text.Bytes())))
	if err := result.Flaws(); err == nil || strings.Contains(err.Error(), string(snmp.InvalidUTF8)) {
		t.Errorf("flaws: %v", err)
	}
}

// TestWrongPassword tells the errors of version 3 apart.
func TestWrongPassword(t *testing.T) {
	target := startSnmpd(t)
	s := scraper(t, poll.Limits{}, "testdata/compat.yml")
	for auth, want := range map[string]poll.Reason{"wrong_v3": poll.WrongDigest, "stranger_v3": poll.UnknownUser} {
		result := scrape(t, s, snmp.Request{Target: target, Auth: auth, Modules: []string{"system"}})
		if got := poll.ReasonOf(result.Err()); got != want {
			t.Errorf("%s: %v, want %v: %v", auth, got, want, result.Err())
		}
	}
}

func TestUnknownDatePattern(t *testing.T) {
	cfg, err := snmpyml.Parse("a.yml", []byte("auths: {a: {}}\nmodules: {m: {metrics: [{name: a, oid: 1.3, type: ParseDateAndTime, help: h, datetime_pattern: '%Q'}]}}\n"), snmpyml.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := snmp.New(cfg); err == nil || !strings.Contains(err.Error(), "module m, metric a: datetime_pattern: unknown directive %Q") {
		t.Errorf("error %v", err)
	}
}

// FuzzScrape has a device show anything at all.
func FuzzScrape(f *testing.F) {
	for _, name := range []string{"kinds", "switch"} {
		src, err := os.ReadFile(filepath.Join("testdata", name+".snmprec"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
	modules, err := snmp.Load([]string{"testdata/compat.yml"}, snmp.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, record string) {
		device, err := snmpsim.ReadRecord(strings.NewReader(record))
		if err != nil {
			t.Skip()
		}
		a, err := snmpsim.Start(t.Context(), device, snmpsim.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = a.Close() }()
		s := snmp.NewScraper(modules, poll.Limits{})
		defer func() { _ = s.Close() }()
		var all []string
		all = append(all, modules.Names()...)
		var text snmp.Text
		scrape(t, s, snmp.Request{Target: a.Addr(), Modules: all}).Write(&text)
		read(t, bytes.Clone(text.Bytes()))
	})
}
