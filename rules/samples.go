package rules

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// A reading is the newest sample of a series in a span of time.
type reading struct {
	series labels.Labels
	at     time.Time
	value  float64 // of a plain sample; zero for a histogram
	ended  bool    // the series was given up after the sample
}

// newest returns the newest sample in (from, to] of every series that matches,
// in the order of their labels. Series that were given up count only if they
// have a sample in the span at all.
func (s *Store) newest(ctx context.Context, from, to time.Time, matchers ...*labels.Matcher) ([]reading, error) {
	q, err := s.db.Querier(from.UnixMilli()+1, to.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("read samples: %w", err)
	}
	defer q.Close()

	var found []reading
	set := q.Select(ctx, true, nil, matchers...)
	var it chunkenc.Iterator
	for set.Next() {
		it = set.At().Iterator(it)
		if r, ok := last(it); ok {
			r.series = set.At().Labels()
			found = append(found, r)
		}
		if err := it.Err(); err != nil {
			return nil, fmt.Errorf("read samples: %w", err)
		}
	}
	if err := set.Err(); err != nil {
		return nil, fmt.Errorf("read samples: %w", err)
	}
	return found, nil
}

// last runs through it and returns the last sample that is no staleness mark.
func last(it chunkenc.Iterator) (reading, bool) {
	var r reading
	var ok bool
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		var at int64
		var v, mark float64
		if kind == chunkenc.ValFloat {
			at, v = it.At()
			mark = v
		} else {
			h := (*histogram.FloatHistogram)(nil)
			at, h = it.AtFloatHistogram(nil)
			mark = h.Sum
		}
		if value.IsStaleNaN(mark) {
			r.ended = true
			continue
		}
		r, ok = reading{at: time.UnixMilli(at), value: v}, true
	}
	return r, ok
}
