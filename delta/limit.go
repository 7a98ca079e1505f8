package delta

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Limit is how many entries of a replica may be deleted at once: a number or
// a percentage of what it holds. The zero value is DefaultMaxDelete.
type Limit struct {
	set     bool
	percent bool
	n       float64
}

// DefaultMaxDelete returns the limit that holds where none is given: 5 %.
func DefaultMaxDelete() Limit { return Percent(5) }

// Count returns the limit of n entries.
func Count(n int64) Limit { return Limit{set: true, n: float64(n)} }

// Percent returns the limit of p percent. Any percentage above zero allows at
// least one entry.
func Percent(p float64) Limit { return Limit{set: true, percent: true, n: p} }

// ParseLimit reads a limit as people write it: "100" or "2.5%". The empty
// string is the zero Limit.
func ParseLimit(s string) (Limit, error) {
	if s == "" {
		return Limit{}, nil
	}
	if number, ok := strings.CutSuffix(s, "%"); ok {
		p, err := strconv.ParseFloat(number, 64)
		if err != nil || !(p >= 0 && p <= 100) {
			return Limit{}, fmt.Errorf("limit %q is no percentage from 0%% to 100%%", s)
		}
		return Percent(p), nil
	}
	n, err := strconv.ParseUint(s, 10, 53)
	if err != nil {
		return Limit{}, fmt.Errorf("limit %q must be a whole number or a percentage such as 5%%", s)
	}
	return Count(int64(n)), nil
}

// Of returns how many of total entries l allows.
func (l Limit) Of(total int64) int64 {
	if !l.set {
		l = DefaultMaxDelete()
	}
	if l.percent {
		return int64(math.Ceil(float64(total) * l.n / 100))
	}
	return int64(l.n)
}

// String shows l as ParseLimit reads it, the zero Limit as what it stands for.
func (l Limit) String() string {
	if !l.set {
		l = DefaultMaxDelete()
	}
	s := strconv.FormatFloat(l.n, 'f', -1, 64)
	if l.percent {
		s += "%"
	}
	return s
}
