package collectors

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/minikeeper/minikeeper"
)

// samples returns what s says. A key that does not hold what it should leaves
// out its own series and is named in the error.
func (s cacheStatus) samples() ([]minikeeper.Sample, error) {
	r := cacheReader{status: s}
	r.word(cachingInfo, "ServerGUID", "guid")
	r.truth(cachingActivated, "Activated")
	r.truth(cachingActive, "Active")
	if n, ok := r.number("RegistrationStatus"); ok { // -1 failed, 0 pending, 1 registered
		r.add(sample(cachingRegistered, bool01(n > 0)))
	}
	r.word(cachingRegistrationFail, "RegistrationError", "error")
	r.word(cachingStartup, "StartupStatus", "status")
	r.word(cachingStatus, "CacheStatus", "status")
	r.bytes(cachingUsed, "CacheUsed")
	r.bytes(cachingActualUsed, "ActualCacheUsed")
	r.limit()
	r.bytes(cachingFree, "CacheFree")
	r.bytes(cachingPressure, "MaxCachePressureLast1Hour")
	r.bytes(cachingPersonalUsed, "PersonalCacheUsed")
	r.categories()
	r.totals()
	r.neighbours(cachingPeers, "Peers")
	r.neighbours(cachingParents, "Parents")
	r.alerts()
	return r.samples, errors.Join(r.errs...)
}

// cacheNames bounds how many categories, and how many classes of alert, are
// told apart. Apple has about ten of each.
const cacheNames = 100

// A cacheReader turns a status into samples.
type cacheReader struct {
	status  cacheStatus
	samples []minikeeper.Sample
	errs    []error
}

func (r *cacheReader) add(s minikeeper.Sample) { r.samples = append(r.samples, s) }

func (r *cacheReader) bad(key string, value any, wanted string) {
	r.errs = append(r.errs, fmt.Errorf("status of content cache: %s is not %s: %s", key, wanted, inWords(value)))
}

// inWords is a value as an error shows it.
func inWords(value any) string { return firstLine(fmt.Appendf(nil, "%v", value)) }

// number returns the number that key holds, if it holds one.
func (r *cacheReader) number(key string) (float64, bool) {
	value, ok := r.status[key]
	if !ok || value == nil {
		return 0, false
	}
	n, ok := asNumber(value)
	if !ok {
		r.bad(key, value, "a number")
	}
	return n, ok
}

func asNumber(value any) (float64, bool) {
	number, ok := value.(json.Number)
	if !ok {
		return 0, false
	}
	n, err := number.Float64()
	return n, err == nil && !math.IsInf(n, 0) && !math.IsNaN(n)
}

func (r *cacheReader) bytes(metric, key string, pairs ...string) {
	if n, ok := r.number(key); ok {
		r.add(sample(metric, n, pairs...))
	}
}

func (r *cacheReader) truth(metric, key string) {
	value, ok := r.status[key]
	if !ok || value == nil {
		return
	}
	switch truth, known := asTruth(value); {
	case known:
		r.add(sample(metric, bool01(truth)))
	default:
		r.bad(key, value, "true or false")
	}
}

func asTruth(value any) (truth, known bool) {
	switch value := value.(type) {
	case bool:
		return value, true
	case json.Number:
		return value == "1", value == "0" || value == "1"
	default:
		return false, false
	}
}

// word makes a sample whose label is what key holds.
func (r *cacheReader) word(metric, key, label string) {
	value, ok := r.status[key]
	if !ok || value == nil || value == "" {
		return
	}
	word, ok := value.(string)
	if !ok {
		r.bad(key, value, "a word")
		return
	}
	r.add(sample(metric, 1, label, firstLine([]byte(word))))
}
