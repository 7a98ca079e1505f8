package collectors

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

func TestCaching(t *testing.T) {
	scenarios(t, "caching", func(*Settings, map[string]string) {})
}

// Every recorded file is read to what its golden file says or refused with the
// error that stands there, by whichever source it is an answer of.
func TestCachingRecorded(t *testing.T) {
	entries, err := os.ReadDir(testkit.Samples(t, "caching"))
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			data, err := os.ReadFile(testkit.Samples(t, "caching/"+e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			program := "AssetCacheManagerUtil status -j"
			if strings.HasPrefix(e.Name(), "serveradmin") {
				program = "serveradmin fullstatus caching"
			}
			c, err := newCaching(Deps{Run: tools{program: {Stdout: data}}, GOOS: "darwin", Root: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			testkit.Golden(t, filepath.Join("testdata", "caching", "recorded", e.Name()+".golden"), collected(t, c, ""))
		})
	}
}

// The tool in another place is found there, and what an upper bound refuses
// is refused.
func TestCachingCommand(t *testing.T) {
	deps := Deps{Run: tools{"/opt/acmu status -j": {Stdout: []byte(`{"result":{"Active":true}}`)}}, Root: t.TempDir()}
	deps.Settings.Caching.Command = map[string]string{"AssetCacheManagerUtil": "/opt/acmu"}
	c, err := newCaching(deps)
	if err != nil {
		t.Fatal(err)
	}
	if got := collected(t, c, ""); got != cachingActive+" 1\n" {
		t.Errorf("got %q", got)
	}
	if _, err := parseCacheStatus(bytes.Repeat([]byte(" "), listLimit+1)); err == nil {
		t.Error("an endless status is read")
	}
	var many []string
	for i := range cacheNames + 1 {
		many = append(many, fmt.Sprintf(`"c%d":1`, i))
	}
	status, err := parseCacheStatus([]byte(`{"result":{"CacheDetails":{` + strings.Join(many, ",") + `}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if samples, err := status.samples(); len(samples) != 0 || err == nil {
		t.Errorf("got %d categories and error %v", len(samples), err)
	}
}

// writeMetrics makes a database of one of the two forms with statements.
func writeMetrics(t *testing.T, root, name string, statements ...string) *sql.DB {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatal(s, err)
		}
	}
	return db
}

// recordedAt reads a machine's database at noon of 2026-11-20.
func recordedAt(t *testing.T, root string) string {
	t.Helper()
	c := caching{deps: Deps{Run: noTools{}, Root: root}}
	samples, err := c.recorded(t.Context(), time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
	checkSamples(t, c, samples)
	var b strings.Builder
	for _, s := range samples {
		b.WriteString(s.String() + "\n")
	}
	if err != nil {
		b.WriteString("error: " + err.Error() + "\n")
	}
	return strings.ReplaceAll(b.String(), root, "")
}

const newForm = `CREATE TABLE ZMETRIC (Z_PK INTEGER PRIMARY KEY, ZCREATIONDATE TIMESTAMP, ZPERIOD INTEGER,
	ZBYTESPURGEDTOTAL INTEGER, ZBYTESPURGEDYOUNGERTHAN1DAY INTEGER, ZBYTESPURGEDYOUNGERTHAN7DAYS INTEGER,
	ZBYTESPURGEDYOUNGERTHAN30DAYS INTEGER, ZREQUESTSFROMCLIENT INTEGER)`

func TestCachingRecordedMeasurements(t *testing.T) {
	const (
		noon      = 816868800 // 2026-11-20 12:00 UTC, in seconds since 2001
		yesterday = noon - 86400
	)
	type rows []string
	row := func(values string) string {
		return "INSERT INTO ZMETRIC (ZCREATIONDATE, ZPERIOD, ZBYTESPURGEDTOTAL, ZBYTESPURGEDYOUNGERTHAN1DAY, ZBYTESPURGEDYOUNGERTHAN7DAYS, ZBYTESPURGEDYOUNGERTHAN30DAYS, ZREQUESTSFROMCLIENT) VALUES " + values
	}
	old := func(values string) string {
		return "INSERT INTO statsData (collectionDate, expirationDate, metricName, dataValue) VALUES " + values
	}
	oldForm := "CREATE TABLE statsData (entryIndex INTEGER PRIMARY KEY, collectionDate INTEGER, expirationDate INTEGER, metricName TEXT, dataValue INTEGER)"
	for _, tt := range []struct {
		name, path string
		rows       rows
	}{
		{"zmetric", metricsDB, rows{newForm, row("(816782399, 60, 999, 9, 9, 9, 9), (816782401.5, 60, 100, 1, 10, 50, 7), (816868700, 60, 200, 0, 0, NULL, 8)")}},
		{"zmetric-older-than-a-day", metricsDB, rows{newForm, row("(816700000, 60, 999, 9, 9, 9, 9)")}},
		{"zmetric-without-some-columns", metricsDB, rows{"CREATE TABLE ZMETRIC (ZCREATIONDATE, ZBYTESPURGEDTOTAL)", "INSERT INTO ZMETRIC VALUES (816868700, 5)"}},
		{"zmetric-without-dates", metricsDB, rows{"CREATE TABLE ZMETRIC (ZBYTESPURGEDTOTAL)"}},
		{"statsdata", metricsSQLite, rows{oldForm, old("(1795089600, 0, 'bytes.purged.total', 999), (1795175900, 0, 'bytes.purged.total', 40), (1795175960, 0, 'bytes.purged.total', 2), (1795175960, 0, 'requests.fromclients', 15), (1795175960, 0, 'bytes.dropped', 77)")}},
		{"other-tables", metricsSQLite, rows{"CREATE TABLE other (a)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			writeMetrics(t, root, tt.path, tt.rows...)
			testkit.Golden(t, filepath.Join("testdata", "caching", "measurements", tt.name+".golden"), recordedAt(t, root))
		})
	}
	if since := time.Unix(yesterday+cocoaEpoch, 0).UTC().Format(time.DateTime); since != "2026-11-19 12:00:00" {
		t.Errorf("the dates of this test are wrong: %s", since)
	}
}

// The cache itself writes while we read, in a journal of its own; nothing
// beside the database is made or changed by reading.
func TestCachingRecordedWhileWritten(t *testing.T) {
	root := t.TempDir()
	db := writeMetrics(t, root, metricsDB, "PRAGMA journal_mode=WAL", newForm, "INSERT INTO ZMETRIC (ZCREATIONDATE, ZBYTESPURGEDTOTAL) VALUES (816868700, 5)")
	want := cachingRecorded + " 1.7951759e+09\n" + cachingPurged + "{younger_than=\"any\"} 5\n"

	before := folder(t, filepath.Dir(filepath.Join(root, metricsDB)))
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "INSERT INTO ZMETRIC (ZCREATIONDATE, ZBYTESPURGEDTOTAL) VALUES (816868700, 600)"); err != nil {
		t.Fatal(err)
	}
	if got := recordedAt(t, root); got != want {
		t.Errorf("beside a writer: got %q, want %q", got, want)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if after := folder(t, filepath.Dir(filepath.Join(root, metricsDB))); after != before {
		t.Errorf("reading made or took files: %s, before %s", after, before)
	}

	if err := db.Close(); err != nil { // which folds the journal in and takes it away
		t.Fatal(err)
	}
	before = folder(t, filepath.Dir(filepath.Join(root, metricsDB)))
	if got := recordedAt(t, root); got != want {
		t.Errorf("at rest: got %q, want %q", got, want)
	}
	if after := folder(t, filepath.Dir(filepath.Join(root, metricsDB))); after != before {
		t.Errorf("reading made or took files: %s, before %s", after, before)
	}
}

func folder(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// What is no database is an error, and the status is read all the same.
func TestCachingRecordedBroken(t *testing.T) {
	root := t.TempDir()
	writeScenario(t, root, metricsDB, []byte(strings.Repeat("no database\n", 100)))
	c, err := newCaching(Deps{Run: tools{"AssetCacheManagerUtil status -j": minikeeper.Result{Stdout: []byte(`{"result":{"Active":true}}`)}}, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	got := collected(t, c, root)
	if !strings.HasPrefix(got, cachingActive+" 1\nerror: read measurements of content cache in "+metricsDB+": ") {
		t.Errorf("got %q", got)
	}
}

// A cache that hangs leaves its database to be read.
func TestCachingHangs(t *testing.T) {
	root := t.TempDir()
	now := time.Now().Unix() - cocoaEpoch
	writeMetrics(t, root, metricsDB, newForm, fmt.Sprintf("INSERT INTO ZMETRIC (ZCREATIONDATE, ZBYTESPURGEDTOTAL) VALUES (%d, 5)", now-60))
	c, err := newCaching(Deps{Run: hangs{at: "AssetCacheManagerUtil status -j"}, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	samples, err := c.Collect(ctx)
	if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) || len(samples) != 2 || samples[1].Value != 5 {
		t.Errorf("got %v and %v", samples, err)
	}
}

// The most that a program may print, and the most that is read of a log, is
// read or refused in bounded time and memory.
func TestServiceParsersAreBounded(t *testing.T) {
	syncs := newSyncParser(time.UTC)
	for _, tt := range []struct {
		name  string
		parse func([]byte)
		units []string
	}{
		{"status", func(b []byte) { s, _ := parseCacheStatus(b); _, _ = s.samples() }, []string{"\x00", "\n", "log\n", "[", `{"result":{"Peers":[`, `{"a":`}},
		{"serveradmin", func(b []byte) { s, _ := parseServerAdmin(b); _, _ = s.samples() }, []string{"\x00", "\n", "caching:a:b:c = 1\n", "caching:", ":"}},
		{"smart", func(b []byte) { _, _ = parseSmart(b, 0) }, []string{"\x00", "[", `{"device":`, `{"smartctl":{"messages":[`}},
		{"scan", func(b []byte) { _, _ = parseSmartScan(b) }, []string{"\x00", "[", `{"devices":[`}},
		{"sync log", func(b []byte) { _ = syncs.runs(string(b), true) }, []string{"\x00", "\n", "rsync: ", "22:00:00 11-07-26\n", "sent 1 bytes  received 2 bytes  3.00 bytes/sec\n", "total size is 5 ", "exit 1\n", "2026/01/01 22:00:00 [1] x\n"}},
	} {
		for _, unit := range tt.units {
			measure(t, tt.name, tt.parse, unit, listLimit-7)
		}
	}
	for _, parse := range []func([]byte){
		func(b []byte) { _, _ = parseCacheStatus(b) },
		func(b []byte) { _, _ = parseServerAdmin(b) },
		func(b []byte) { _, _ = parseSmart(b, 0) },
		func(b []byte) { _, _ = parseSmartScan(b) },
	} {
		measure(t, "too long", parse, "word ", 64<<20)
	}
}

func FuzzCacheStatus(f *testing.F) {
	f.Add([]byte(`{"name":"status","result":{"Active":true,"CacheDetails":{"iCloud":1},"Peers":[{"healthy":true,"alert":{"className":"a"}}],"Alerts":[{"className":"b"}]}}`))
	f.Add([]byte("log\n[{\"result\":{\"CacheLimit\":0,\"TotalBytesAreSince\":\"2026-11-01 06:00:00 +0000\",\"RegistrationStatus\":-1}}]"))
	f.Add([]byte(`{"result":{"CacheDetails":[{"MediaType":"a","BytesUsed":1},{"MediaType":"a","BytesUsed":1e308}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		status, err := parseCacheStatus(data)
		samples, _ := status.samples()
		checkSamples(t, caching{}, samples)
		if err != nil && len(samples) > 0 {
			t.Errorf("%v, and yet %v", err, samples)
		}
	})
}

func FuzzServerAdmin(f *testing.F) {
	f.Add([]byte("caching:state = \"RUNNING\"\ncaching:Peers:_array_index:0:healthy = yes\ncaching:Peers:_array_index:1:x = 1\n"))
	f.Add([]byte("caching:state = \"STOPPED\"\ncaching:a:_array_index = 5\ncaching:a:_array_index:x:_array_index:0 = _empty_array\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		status, _ := parseServerAdmin(data)
		samples, _ := status.samples()
		checkSamples(t, caching{}, samples)
	})
}
