package rules

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// farPast and farFuture are the times that clients of Prometheus write to mean
// all that there is.
func farPast() time.Time { return time.Unix(math.MinInt64/1000+62135596801, 0).UTC() }

func farFuture() time.Time { return time.Unix(math.MaxInt64/1000-62135596801, 999999999).UTC() }

// timeParam reads a time as Unix seconds or RFC 3339; absent is otherwise.
func timeParam(r *http.Request, name string, otherwise time.Time) (time.Time, error) {
	text := r.FormValue(name)
	if text == "" {
		return otherwise, nil
	}
	t, err := parseTime(text)
	if err != nil {
		return time.Time{}, badData{fmt.Errorf("invalid parameter %q: %w", name, err)}
	}
	return t, nil
}

func parseTime(text string) (time.Time, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if !(math.Abs(seconds) <= float64(math.MaxInt64/1000-62135596801)) {
			return time.Time{}, fmt.Errorf("%q is out of range", text)
		}
		whole, part := math.Modf(seconds)
		return time.Unix(int64(whole), int64(math.Round(part*1000))*int64(time.Millisecond)).UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	// What Prometheus shows for its extreme times does not parse as RFC 3339.
	switch text {
	case farPast().Format(time.RFC3339Nano):
		return farPast(), nil
	case farFuture().Format(time.RFC3339Nano):
		return farFuture(), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither Unix seconds nor RFC 3339", text)
}

// durationParam reads a duration as seconds or as Prometheus writes it.
func durationParam(r *http.Request, name string, otherwise time.Duration) (time.Duration, error) {
	text := r.FormValue(name)
	if text == "" {
		return otherwise, nil
	}
	d, err := parseDuration(text)
	if err != nil {
		return 0, badData{fmt.Errorf("invalid parameter %q: %w", name, err)}
	}
	return d, nil
}

func parseDuration(text string) (time.Duration, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		nanoseconds := seconds * float64(time.Second)
		if !(math.Abs(nanoseconds) < math.MaxInt64) {
			return 0, fmt.Errorf("%q is out of range", text)
		}
		return time.Duration(nanoseconds), nil
	}
	d, err := model.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is neither seconds nor a duration", text)
	}
	return time.Duration(d), nil
}

// limitParam reads how much is wanted at most; zero is everything.
func limitParam(r *http.Request) (int, error) {
	text := r.FormValue("limit")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, badData{fmt.Errorf("invalid parameter %q: %q is not a number from 0", "limit", text)}
	}
	return n, nil
}

// matchParam reads the selectors of series.
func matchParam(r *http.Request, p parser.Parser) ([][]*labels.Matcher, error) {
	sets, err := p.ParseMetricSelectors(r.Form["match[]"])
	if err != nil {
		return nil, badData{fmt.Errorf("invalid parameter %q: %w", "match[]", err)}
	}
	for _, set := range sets {
		if !narrows(set) {
			return nil, badData{errors.New("match[] must contain at least one non-empty matcher")}
		}
	}
	return sets, nil
}

func narrows(set []*labels.Matcher) bool {
	for _, m := range set {
		if !m.Matches("") {
			return true
		}
	}
	return false
}

// spanParams reads start and end, which are all time if absent.
func spanParams(r *http.Request) (start, end time.Time, err error) {
	if start, err = timeParam(r, "start", farPast()); err != nil {
		return start, end, err
	}
	end, err = timeParam(r, "end", farFuture())
	return start, end, err
}
