package collectors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
)

// A cacheStatus is what a content cache says about itself, by Apple's names
// (schema: apple/device-management, information.contentcaching.yaml). Values
// are of the types of encoding/json, with json.Number for numbers. Any key may
// be absent: which there are depends on the system's version.
type cacheStatus map[string]any

// parseCacheStatus reads the output of "AssetCacheManagerUtil status -j":
// {"name": "status", "result": {…}} on one line or many, or an array of such
// (-a). Log lines before it are passed over.
func parseCacheStatus(out []byte) (cacheStatus, error) {
	if len(out) > listLimit {
		return nil, fmt.Errorf("status of content cache: %d MiB are too much to be true", len(out)>>20)
	}
	text := skipLog(out)
	if len(text) == 0 {
		return nil, fmt.Errorf("status of content cache: not JSON: %q", firstLine(out))
	}
	type answer struct {
		Name   string      `json:"name"`
		Result cacheStatus `json:"result"`
	}
	var answers []answer
	var err error
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if text[0] == '[' {
		err = decoder.Decode(&answers)
	} else {
		answers = make([]answer, 1)
		err = decoder.Decode(&answers[0])
	}
	if err != nil {
		return nil, fmt.Errorf("status of content cache: %w", err)
	}
	for _, a := range answers {
		if (a.Name == "status" || a.Name == "") && len(a.Result) > 0 {
			return a.Result, nil
		}
	}
	return nil, fmt.Errorf("status of content cache: no result in %q", firstLine(text))
}

// skipLog returns out from its first line on that begins as JSON does. The
// tool logs to stderr, which wrappers like to merge.
func skipLog(out []byte) []byte {
	for rest := out; len(rest) > 0; {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		if line = bytes.TrimSpace(line); len(line) > 0 && (line[0] == '{' || line[0] == '[') {
			return bytes.TrimLeft(rest, " \t\r")
		}
		rest = after
	}
	return nil
}

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

// limit reads the limit, which is 0 where there is none.
func (r *cacheReader) limit() {
	n, ok := r.number("CacheLimit")
	if !ok {
		return
	}
	r.add(sample(cachingUnlimited, bool01(n == 0)))
	if n != 0 {
		r.add(sample(cachingLimit, n))
	}
}

// categories reads CacheDetails: an object of bytes by category, or in old
// systems an array in which MediaType is the name that is not translated.
func (r *cacheReader) categories() {
	found := make(map[string]float64)
	take := func(name string, value any) {
		n, ok := asNumber(value)
		if !ok || name == "" {
			r.bad("CacheDetails of "+inWords(name), value, "a number")
			return
		}
		found[firstLine([]byte(name))] += n
	}
	switch details := r.status["CacheDetails"].(type) {
	case nil:
	case map[string]any:
		for name, value := range sorted(details) {
			take(name, value)
		}
	case []any:
		for _, entry := range details {
			fields, _ := entry.(map[string]any)
			name, _ := fields["MediaType"].(string)
			take(name, fields["BytesUsed"])
		}
	default:
		r.bad("CacheDetails", details, "a list of categories")
	}
	if len(found) > cacheNames {
		r.errs = append(r.errs, fmt.Errorf("status of content cache: %d categories are too many to be true", len(found)))
		return
	}
	for name, n := range sorted(found) {
		r.add(sample(cachingCategory, n, "category", name))
	}
}

// totals reads what was counted since TotalBytesAreSince.
func (r *cacheReader) totals() {
	r.split(cachingServed, "to", "TotalBytesReturned", map[string]string{"clients": "ToClients", "children": "ToChildren", "peers": "ToPeers"})
	r.split(cachingStored, "from", "TotalBytesStored", map[string]string{"origin": "FromOrigin", "parents": "FromParents", "peers": "FromPeers"})
	r.bytes(cachingDropped, "TotalBytesDropped")
	r.bytes(cachingImported, "TotalBytesImported")

	since, ok := r.status["TotalBytesAreSince"]
	if !ok || since == nil {
		return
	}
	word, _ := since.(string)
	at, err := time.Parse("2006-01-02 15:04:05 -0700", word)
	if err != nil {
		r.bad("TotalBytesAreSince", since, "a time")
		return
	}
	r.add(sample(cachingSince, float64(at.Unix())))
}

// split reads the parts of a total; the whole where there are no parts.
func (r *cacheReader) split(metric, label, key string, parts map[string]string) {
	split := false
	for name, suffix := range sorted(parts) {
		if _, ok := r.status[key+suffix]; ok {
			split = true
			r.bytes(metric, key+suffix, label, name)
		}
	}
	if !split {
		r.bytes(metric, key, label, "any")
	}
}

// neighbours counts peers or parents.
func (r *cacheReader) neighbours(metric, key string) {
	value, ok := r.status[key]
	if !ok || value == nil {
		return
	}
	list, ok := value.([]any)
	if !ok {
		r.bad(key, value, "a list")
		return
	}
	counts := map[string]int{"true": 0, "false": 0}
	for _, entry := range list {
		fields, _ := entry.(map[string]any)
		healthy, known := asTruth(fields["healthy"])
		switch {
		case !known:
			counts["unknown"]++
		case healthy:
			counts["true"]++
		default:
			counts["false"]++
		}
	}
	for healthy, n := range sorted(counts) {
		r.add(sample(metric, float64(n), "healthy", healthy))
	}
}

// alerts reads the classes of all alerts: the cache's own, and those about
// filter ranges, peers and parents.
func (r *cacheReader) alerts() {
	classes := make(map[string]bool)
	take := func(alert any) {
		fields, _ := alert.(map[string]any)
		if class, _ := fields["className"].(string); class != "" {
			classes[firstLine([]byte(class))] = true
		} else {
			r.bad("className of an alert", fields["className"], "a word")
		}
	}
	for _, alert := range elements(r.status["Alerts"]) {
		take(alert)
	}
	for _, alert := range elements(r.status["AlertsForPeerFilterRanges"]) {
		take(alert)
	}
	for _, neighbour := range slices.Concat(elements(r.status["Peers"]), elements(r.status["Parents"])) {
		if fields, _ := neighbour.(map[string]any); fields["alert"] != nil {
			take(fields["alert"])
		}
	}
	if len(classes) > cacheNames {
		r.errs = append(r.errs, fmt.Errorf("status of content cache: %d classes of alert are too many to be true", len(classes)))
		return
	}
	for _, class := range slices.Sorted(maps.Keys(classes)) {
		r.add(sample(cachingAlert, 1, "class", class))
	}
}

// elements are those of an array, or of an object by its keys.
func elements(value any) []any {
	switch value := value.(type) {
	case []any:
		return value
	case map[string]any:
		all := make([]any, 0, len(value))
		for _, element := range sorted(value) {
			all = append(all, element)
		}
		return all
	default:
		return nil
	}
}

// unquoted takes the quotes from a word as serveradmin prints it.
func unquoted(word string) (string, bool) {
	inner, ok := strings.CutPrefix(word, `"`)
	if !ok || !strings.HasSuffix(inner, `"`) {
		return word, false
	}
	return strings.TrimSuffix(inner, `"`), true
}
