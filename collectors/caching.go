package collectors

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/minikeeper/minikeeper"
)

// CachingSettings are the settings of the caching collector.
type CachingSettings struct {
	Command map[string]string // paths of AssetCacheManagerUtil and serveradmin
}

// Names of the caching collector's metrics.
const (
	cachingInfo             = "minikeeper_caching_info"
	cachingActivated        = "minikeeper_caching_activated"
	cachingActive           = "minikeeper_caching_active"
	cachingRegistered       = "minikeeper_caching_registered"
	cachingRegistrationFail = "minikeeper_caching_registration_failed"
	cachingStartup          = "minikeeper_caching_startup_status"
	cachingStatus           = "minikeeper_caching_cache_status"
	cachingUsed             = "minikeeper_caching_cache_used_bytes"
	cachingActualUsed       = "minikeeper_caching_cache_actual_used_bytes"
	cachingLimit            = "minikeeper_caching_cache_limit_bytes"
	cachingUnlimited        = "minikeeper_caching_cache_unlimited"
	cachingFree             = "minikeeper_caching_cache_free_bytes"
	cachingPressure         = "minikeeper_caching_cache_pressure_ratio"
	cachingPersonalUsed     = "minikeeper_caching_personal_used_bytes"
	cachingCategory         = "minikeeper_caching_category_bytes"
	cachingServed           = "minikeeper_caching_served_bytes_total"
	cachingStored           = "minikeeper_caching_stored_bytes_total"
	cachingDropped          = "minikeeper_caching_dropped_bytes_total"
	cachingImported         = "minikeeper_caching_imported_bytes_total"
	cachingSince            = "minikeeper_caching_totals_since_timestamp_seconds"
	cachingPeers            = "minikeeper_caching_peers"
	cachingParents          = "minikeeper_caching_parents"
	cachingAlert            = "minikeeper_caching_alert"
	cachingPurged           = "minikeeper_caching_purged_bytes"
	cachingRequests         = "minikeeper_caching_requests"
	cachingRecorded         = "minikeeper_caching_recorded_timestamp_seconds"
)

// statusShare is the part of the remaining time that asking for the status may
// take: a cache that hangs must leave time to read its database.
const statusShare = 3.0 / 4

// caching reads what Apple's content cache says about itself. There are two
// sources (its status, the database of its own measurements), and each that
// fails leaves out its own series only.
type caching struct{ deps Deps }

func newCaching(d Deps) (Collector, error) { return caching{deps: d}, nil }

// Families implements Collector.
func (caching) Families() []minikeeper.Family {
	gauge := func(name, help string, labels ...string) minikeeper.Family {
		return minikeeper.Family{Name: name, Help: help, Type: minikeeper.Gauge, Labels: labels}
	}
	counter := func(name, help string, labels ...string) minikeeper.Family {
		return minikeeper.Family{Name: name, Help: help, Type: minikeeper.Counter, Labels: labels}
	}
	return []minikeeper.Family{
		gauge(cachingInfo, "The content cache's own id; always 1.", "guid"),
		gauge(cachingActivated, "Whether the content cache is switched on (1) or off (0)."),
		gauge(cachingActive, "Whether the content cache serves (1) or not (0)."),
		gauge(cachingRegistered, "Whether the content cache is registered with Apple (1) or not (0)."),
		gauge(cachingRegistrationFail, "Why the content cache could not be registered with Apple; 1 while it is so.", "error"),
		gauge(cachingStartup, "How far the content cache has come in starting; 1 for the current status.", "status"),
		gauge(cachingStatus, "Whether the content cache has the space that it needs; 1 for the current status.", "status"),
		gauge(cachingUsed, "Space that the assets in the cache take when they are whole."),
		gauge(cachingActualUsed, "Space that the cache takes on its disk."),
		gauge(cachingLimit, "Space that the cache may take; absent if it is unlimited."),
		gauge(cachingUnlimited, "Whether the cache may take all of its disk (1) or has a limit (0)."),
		gauge(cachingFree, "Space that the cache can still take; below 0 if its limit is more than its disk has."),
		gauge(cachingPressure, "How much of the last hour the cache needed more space than it had."),
		gauge(cachingPersonalUsed, "Space that personal assets (iCloud) in the cache take."),
		gauge(cachingCategory, "Space that assets of a category take.", "category"),
		counter(cachingServed, "Bytes that the cache returned, by whom to: clients, children, peers; any where it does not tell them apart.", "to"),
		counter(cachingStored, "Bytes that the cache stored, by where from: origin, parents, peers; any where it does not tell them apart.", "from"),
		counter(cachingDropped, "Bytes that the cache fetched and did not keep."),
		counter(cachingImported, "Bytes that were put into the cache without being asked for."),
		gauge(cachingSince, "When the cache's totals began to count; they start again from 0 when it changes."),
		gauge(cachingPeers, "Caches that this one shares its assets with.", "healthy"),
		gauge(cachingParents, "Caches that this one fetches from.", "healthy"),
		gauge(cachingAlert, "1 while the cache raises an alert of the class.", "class"),
		gauge(cachingPurged, "Bytes that the cache purged within the last 24 hours, younger than the given age; any is all of them.", "younger_than"),
		gauge(cachingRequests, "Requests to the cache within the last 24 hours.", "from"),
		gauge(cachingRecorded, "When the cache last wrote down its own measurements."),
	}
}

// Collect implements Collector.
func (c caching) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	status, statusErr := c.status(ctx)
	samples, readErr := status.samples()
	recorded, recordedErr := c.recorded(ctx, time.Now())
	return append(samples, recorded...), errors.Join(statusErr, readErr, recordedErr)
}

// status asks the content cache of macOS 10.13 and later, and where there is
// none the caching service of Server.app.
func (c caching) status(ctx context.Context) (cacheStatus, error) {
	ctx, cancel := partOf(ctx, statusShare)
	defer cancel()
	command := c.deps.Settings.Caching.Command
	res, err := c.deps.tool(ctx, command, "AssetCacheManagerUtil", "status", "-j")
	parse := parseCacheStatus
	if errors.Is(err, fs.ErrNotExist) {
		missing := err
		res, err = c.deps.tool(ctx, command, "serveradmin", "fullstatus", "caching")
		parse = parseServerAdmin
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w; %w", missing, err)
		}
	}
	if err != nil && len(res.Stdout) == 0 {
		return nil, err
	}
	status, parseErr := parse(res.Stdout)
	if err != nil && parseErr != nil {
		return nil, err // what is printed beside a failure need not be a status
	}
	return status, errors.Join(err, parseErr)
}
