package collectors

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/minikeeper/minikeeper"
)

// Where content caches write down their own measurements.
const (
	metricsDB     = "/Library/Application Support/Apple/AssetCache/Metrics/Metrics.db" // from macOS 10.13.4 on
	metricsSQLite = "/Library/Server/Caching/Logs/Metrics.sqlite"                      // Server.app
)

// recordedWindow is the time that measurements are summed up over. Each row is
// about an interval of its own, and old rows are thrown away, so a sum over
// all of them would fall.
const recordedWindow = 24 * time.Hour

// cocoaEpoch is 2001-01-01 in seconds since 1970, from which Core Data counts.
const cocoaEpoch = 978307200

// A cacheRecord is a measurement that is exported.
type cacheRecord struct {
	metric, label, value string
	column               string // in ZMETRIC
	name                 string // in statsData
}

func cacheRecords() []cacheRecord {
	return []cacheRecord{
		{cachingPurged, "younger_than", "1d", "ZBYTESPURGEDYOUNGERTHAN1DAY", "bytes.purged.youngerthan1day"},
		{cachingPurged, "younger_than", "7d", "ZBYTESPURGEDYOUNGERTHAN7DAYS", "bytes.purged.youngerthan7days"},
		{cachingPurged, "younger_than", "30d", "ZBYTESPURGEDYOUNGERTHAN30DAYS", "bytes.purged.youngerthan30days"},
		{cachingPurged, "younger_than", "any", "ZBYTESPURGEDTOTAL", "bytes.purged.total"},
		{cachingRequests, "from", "clients", "ZREQUESTSFROMCLIENT", "requests.fromclients"},
		{cachingRequests, "from", "peers", "ZREQUESTSFROMPEER", "requests.frompeers"},
	}
}

// recorded sums up what the cache measured in the window before now. A machine
// without such a database has no such series.
func (c caching) recorded(ctx context.Context, now time.Time) ([]minikeeper.Sample, error) {
	for _, name := range []string{metricsDB, metricsSQLite} {
		path := c.deps.path(name)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("find measurements of content cache: %w", err)
		}
		samples, err := readRecorded(ctx, path, now)
		if err != nil {
			return samples, fmt.Errorf("read measurements of content cache in %s: %w", path, err)
		}
		return samples, nil
	}
	return nil, nil
}

// readRecorded reads the database at path, in either form.
func readRecorded(ctx context.Context, path string, now time.Time) (samples []minikeeper.Sample, err error) {
	source, err := readOnly(path)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", source)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)

	columns, err := columnsOf(ctx, db, "ZMETRIC")
	if err != nil {
		return nil, err
	}
	if len(columns) > 0 {
		return readZMetric(ctx, db, columns, float64(now.Add(-recordedWindow).Unix()-cocoaEpoch))
	}
	if columns, err = columnsOf(ctx, db, "statsData"); err != nil {
		return nil, err
	}
	if columns["metricName"] && columns["dataValue"] && columns["collectionDate"] {
		return readStatsData(ctx, db, float64(now.Add(-recordedWindow).Unix()))
	}
	return nil, errors.New("it has neither table ZMETRIC nor statsData")
}

// readOnly returns how to open the database at path so that nothing beside it
// is made or changed, not even by SQLite: of a database with a write-ahead log
// it would make the log and its index anew where they are not there, which is
// while nobody has the database open.
func readOnly(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	how := "mode=ro&readonly_shm=1"
	if _, err := os.Stat(abs + "-wal"); errors.Is(err, fs.ErrNotExist) && keepsLog(abs) {
		how = "mode=ro&immutable=1"
	}
	return "file:" + (&url.URL{Path: abs}).EscapedPath() + "?" + how + "&_pragma=busy_timeout(5000)&_pragma=query_only(1)", nil
}

// keepsLog tells whether the database at path has a write-ahead log when it is
// in use: byte 18 of its header is 2 then (sqlite.org/fileformat2.html).
func keepsLog(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false // opening it as a database says why
	}
	defer f.Close()
	header := make([]byte, 19)
	_, err = io.ReadFull(f, header)
	return err == nil && header[18] == 2
}

// columnsOf returns the names of a table's columns; none if there is no table.
func columnsOf(ctx context.Context, db *sql.DB, table string) (map[string]bool, error) {
	rows, err := db.QueryContext(ctx, "SELECT name FROM pragma_table_info(?)", table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns := make(map[string]bool)
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		columns[name] = true
	}
	return columns, rows.Err()
}

// readZMetric reads the form that has a row for each interval and a column for
// each measurement, dated in seconds since 2001.
func readZMetric(ctx context.Context, db *sql.DB, columns map[string]bool, since float64) ([]minikeeper.Sample, error) {
	if !columns["ZCREATIONDATE"] {
		return nil, errors.New("table ZMETRIC has no ZCREATIONDATE")
	}
	selected := []string{"MAX(ZCREATIONDATE)"}
	var records []cacheRecord
	for _, r := range cacheRecords() {
		if columns[r.column] {
			selected = append(selected, "SUM("+r.column+")") // a name from the list above
			records = append(records, r)
		}
	}
	values := make([]sql.NullFloat64, len(selected))
	into := make([]any, len(values))
	for i := range values {
		into[i] = &values[i]
	}
	query := "SELECT " + strings.Join(selected, ", ") + " FROM ZMETRIC WHERE ZCREATIONDATE > ?"
	if err := db.QueryRowContext(ctx, query, since).Scan(into...); err != nil {
		return nil, err
	}
	samples := finite(nil, cachingRecorded, values[0], cocoaEpoch)
	for i, r := range records {
		samples = finite(samples, r.metric, values[i+1], 0, r.label, r.value)
	}
	return samples, nil
}

// readStatsData reads the form that has a row for each measurement of each
// interval, dated in seconds since 1970.
func readStatsData(ctx context.Context, db *sql.DB, since float64) ([]minikeeper.Sample, error) {
	var newest sql.NullFloat64
	if err := db.QueryRowContext(ctx, "SELECT MAX(collectionDate) FROM statsData WHERE collectionDate > ?", since).Scan(&newest); err != nil {
		return nil, err
	}
	samples := finite(nil, cachingRecorded, newest, 0)
	for _, r := range cacheRecords() {
		var sum sql.NullFloat64
		err := db.QueryRowContext(ctx, "SELECT SUM(dataValue) FROM statsData WHERE collectionDate > ? AND metricName = ?", since, r.name).Scan(&sum)
		if err != nil {
			return samples, err
		}
		samples = finite(samples, r.metric, sum, 0, r.label, r.value)
	}
	return samples, nil
}

// finite appends a sample unless there is no number.
func finite(samples []minikeeper.Sample, name string, n sql.NullFloat64, offset float64, pairs ...string) []minikeeper.Sample {
	if !n.Valid || math.IsNaN(n.Float64) || math.IsInf(n.Float64, 0) {
		return samples
	}
	return append(samples, sample(name, n.Float64+offset, pairs...))
}
