package strictyaml

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Problem is one thing that is wrong in a file, and where.
type Problem struct {
	File      string
	Line, Col int // from 1; the column counts characters; 0 if it concerns the whole file
	Message   string
}

// Error shows p as FILE:LINE:COL: message, the form that editors jump to.
func (p Problem) Error() string {
	if p.Line == 0 {
		return p.File + ": " + p.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Col, p.Message)
}

// Problems are all that is wrong in a file.
type Problems []Problem

// Error shows one problem a line, in the order of their positions.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps.Sorted() {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns ps as an error, or nil if there are none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps.Sorted()
}

// Unwrap lets [errors.As] find each problem.
func (ps Problems) Unwrap() []error {
	all := make([]error, len(ps))
	for i, p := range ps {
		all[i] = p
	}
	return all
}

// Sorted returns ps ordered by file, position and message.
func (ps Problems) Sorted() Problems {
	return slices.SortedStableFunc(slices.Values(ps), func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Col, b.Col),
			cmp.Compare(a.Message, b.Message),
		)
	})
}

// At tells whether ps has a problem at the position of p. A check of meaning
// asks it, so that a value that could not be read is not complained of twice.
func (ps Problems) At(p Problem) bool {
	return slices.ContainsFunc(ps, func(q Problem) bool {
		return q.File == p.File && q.Line == p.Line && q.Col == p.Col
	})
}

// AsProblems returns the problems that err consists of, and whether it does.
func AsProblems(err error) (Problems, bool) {
	return errors.AsType[Problems](err)
}
