package collectors

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

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
