package rules

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// queryData is the data of query and query_range.
type queryData struct {
	ResultType parser.ValueType `json:"resultType"`
	Result     parser.Value     `json:"result"`
}

// maxPoints is how many points a range query may have per series; Prometheus
// has the same bound.
const maxPoints = 11_000

func (s *Store) answerQuery(r *http.Request) (any, annotations.Annotations, error) {
	at, err := timeParam(r, "time", time.Now())
	if err != nil {
		return nil, nil, err
	}
	limit, err := limitParam(r)
	if err != nil {
		return nil, nil, err
	}
	return s.execute(r, limit, func(ctx context.Context, opts promql.QueryOpts) (promql.Query, error) {
		return s.engine.NewInstantQuery(ctx, s.db, opts, r.FormValue("query"), at)
	})
}

func (s *Store) answerRange(r *http.Request) (any, annotations.Annotations, error) {
	start, end, step, err := rangeParams(r)
	if err != nil {
		return nil, nil, err
	}
	limit, err := limitParam(r)
	if err != nil {
		return nil, nil, err
	}
	return s.execute(r, limit, func(ctx context.Context, opts promql.QueryOpts) (promql.Query, error) {
		return s.engine.NewRangeQuery(ctx, s.db, opts, r.FormValue("query"), start, end, step)
	})
}

func rangeParams(r *http.Request) (start, end time.Time, step time.Duration, err error) {
	for _, name := range []string{"start", "end", "step"} {
		if r.FormValue(name) == "" {
			return start, end, 0, badData{fmt.Errorf("missing parameter %q", name)}
		}
	}
	if start, end, err = spanParams(r); err != nil {
		return start, end, 0, err
	}
	if end.Before(start) {
		return start, end, 0, badData{errors.New("invalid parameter \"end\": it is before start")}
	}
	if step, err = durationParam(r, "step", 0); err != nil {
		return start, end, 0, err
	}
	if step < time.Millisecond {
		return start, end, 0, badData{errors.New("invalid parameter \"step\": it is shorter than 1ms")}
	}
	if points := (float64(end.UnixMilli()) - float64(start.UnixMilli())) / float64(step.Milliseconds()); points > maxPoints {
		return start, end, 0, badData{fmt.Errorf("a range of %.0f points per series is more than %d: use a longer step", math.Ceil(points), maxPoints)}
	}
	return start, end, step, nil
}

// execute runs the query that prepare makes, within the timeout that was asked.
func (s *Store) execute(r *http.Request, limit int, prepare func(context.Context, promql.QueryOpts) (promql.Query, error)) (any, annotations.Annotations, error) {
	timeout, err := durationParam(r, "timeout", queryTimeout)
	if err != nil {
		return nil, nil, err
	}
	lookback, err := durationParam(r, "lookback_delta", 0)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), min(timeout, queryTimeout))
	defer cancel()
	query, err := prepare(ctx, promql.NewPrometheusQueryOpts(false, lookback))
	if err != nil {
		return nil, nil, badData{fmt.Errorf("invalid parameter %q: %w", "query", err)}
	}
	defer query.Close()
	result := query.Exec(ctx)
	if result.Err != nil {
		return nil, nil, result.Err
	}
	value, cut := shorten(result.Value, limit)
	if cut {
		result.Warnings.Add(errors.New("results truncated due to limit"))
	}
	// The query takes its memory back when it is closed, before this is sent.
	data, err := marshalled(queryData{ResultType: value.Type(), Result: value})
	return data, result.Warnings, err
}

// shorten keeps the first limit series of a result; zero keeps all. An empty
// result becomes an empty list, which a nil one is not in JSON.
func shorten(v parser.Value, limit int) (parser.Value, bool) {
	if limit == 0 {
		limit = math.MaxInt
	}
	switch v := v.(type) {
	case promql.Vector:
		return append(promql.Vector{}, v[:min(len(v), limit)]...), len(v) > limit
	case promql.Matrix:
		return append(promql.Matrix{}, v[:min(len(v), limit)]...), len(v) > limit
	default:
		return v, false
	}
}

func (s *Store) answerSeries(r *http.Request) (any, annotations.Annotations, error) {
	sets, err := matchParam(r, s.parser)
	if err != nil {
		return nil, nil, err
	}
	if len(sets) == 0 {
		return nil, nil, badData{errors.New("no match[] parameter provided")}
	}
	q, span, err := s.querier(r)
	if err != nil {
		return nil, nil, err
	}
	defer q.Close()
	limit := span.Limit
	hints := &storage.SelectHints{Start: span.Start, End: span.End, Func: "series"} // labels only, no samples
	var found []storage.SeriesSet
	for _, set := range sets {
		found = append(found, q.Select(r.Context(), true, hints, set...))
	}
	merged := storage.NewMergeSeriesSet(found, 0, storage.ChainedSeriesMerge)
	series := []labels.Labels{}
	warnings := merged.Warnings()
	for merged.Next() {
		if limit > 0 && len(series) == limit {
			warnings.Add(errors.New("results truncated due to limit"))
			break
		}
		series = append(series, merged.At().Labels())
	}
	return series, warnings, merged.Err()
}

// querier opens the span of time that r asks about, which it returns with the
// limit of the answer.
func (s *Store) querier(r *http.Request) (storage.Querier, storage.SelectHints, error) {
	start, end, err := spanParams(r)
	if err != nil {
		return nil, storage.SelectHints{}, err
	}
	limit, err := limitParam(r)
	if err != nil {
		return nil, storage.SelectHints{}, err
	}
	span := storage.SelectHints{Start: start.UnixMilli(), End: end.UnixMilli(), Limit: limit}
	q, err := s.db.Querier(span.Start, span.End)
	return q, span, err
}

func (s *Store) answerLabels(r *http.Request) (any, annotations.Annotations, error) {
	return s.answerNames(r, func(ctx context.Context, q storage.Querier, m []*labels.Matcher) ([]string, annotations.Annotations, error) {
		return q.LabelNames(ctx, nil, m...)
	})
}

func (s *Store) answerLabelValues(r *http.Request) (any, annotations.Annotations, error) {
	name := r.PathValue("name")
	if strings.HasPrefix(name, "U__") {
		name = model.UnescapeName(name, model.ValueEncodingEscaping)
	}
	if !model.UTF8Validation.IsValidLabelName(name) {
		return nil, nil, badData{fmt.Errorf("invalid label name %q", name)}
	}
	return s.answerNames(r, func(ctx context.Context, q storage.Querier, m []*labels.Matcher) ([]string, annotations.Annotations, error) {
		return q.LabelValues(ctx, name, nil, m...)
	})
}

// answerNames collects what list finds for each set of matchers, sorted.
func (s *Store) answerNames(r *http.Request, list func(context.Context, storage.Querier, []*labels.Matcher) ([]string, annotations.Annotations, error)) (any, annotations.Annotations, error) {
	sets, err := matchParam(r, s.parser)
	if err != nil {
		return nil, nil, err
	}
	if len(sets) == 0 {
		sets = [][]*labels.Matcher{nil}
	}
	q, span, err := s.querier(r)
	if err != nil {
		return nil, nil, err
	}
	defer q.Close()
	names := []string{}
	var warnings annotations.Annotations
	for _, set := range sets {
		found, warned, err := list(r.Context(), q, set)
		if err != nil {
			return nil, nil, err
		}
		names = append(names, found...)
		warnings.Merge(warned)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if span.Limit > 0 && len(names) > span.Limit {
		names = names[:span.Limit]
		warnings.Add(errors.New("results truncated due to limit"))
	}
	return names, warnings, nil
}
