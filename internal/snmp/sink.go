package snmp

import (
	"math"
	"strconv"

	"github.com/minikeeper/minikeeper"
)

// A Sink takes the samples of a scrape.
type Sink interface {
	// Family begins the samples of one name. Each name comes once.
	Family(name, help string, kind minikeeper.MetricType)

	// Sample adds one to the family. labels is valid until Sample returns.
	Sample(labels Labels, value float64)
}

// Labels are the labels of a sample.
type Labels struct {
	Names  []string // sorted
	Values []string

	text []byte // as they are written, if somebody has done so already
}

// Text is a [Sink] that writes Prometheus's text format, version 0.0.4. The
// zero value is ready.
type Text struct {
	buf  []byte
	name string
}

// TextType is the content type of what [Text] writes.
const TextType = "text/plain; version=0.0.4; charset=utf-8"

// Bytes returns what was written. It is valid until the next call.
func (t *Text) Bytes() []byte { return t.buf }

// Reset empties t and keeps its memory.
func (t *Text) Reset() { t.buf = t.buf[:0] }

// Family implements [Sink].
func (t *Text) Family(name, help string, kind minikeeper.MetricType) {
	t.name = name
	t.buf = append(t.buf, "# HELP "...)
	t.buf = append(t.buf, name...)
	t.buf = append(t.buf, ' ')
	t.buf = appendEscaped(t.buf, help, false)
	t.buf = append(t.buf, "\n# TYPE "...)
	t.buf = append(t.buf, name...)
	t.buf = append(t.buf, ' ')
	t.buf = append(t.buf, kind...)
	t.buf = append(t.buf, '\n')
}

// Sample implements [Sink].
func (t *Text) Sample(l Labels, value float64) {
	t.buf = append(t.buf, t.name...)
	if len(l.Names) > 0 {
		t.buf = append(t.buf, '{')
		if l.text != nil {
			t.buf = append(t.buf, l.text...)
		} else {
			t.buf = appendLabels(t.buf, l.Names, l.Values)
		}
		t.buf = append(t.buf, '}')
	}
	t.buf = append(t.buf, ' ')
	t.buf = appendValue(t.buf, value)
	t.buf = append(t.buf, '\n')
}

// appendLabels appends a="b",c="d".
func appendLabels(b []byte, names, values []string) []byte {
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, name...)
		b = append(b, '=', '"')
		b = appendEscaped(b, values[i], true)
		b = append(b, '"')
	}
	return b
}

// appendEscaped appends s with backslashes, line feeds and, in labels, quotes
// escaped.
func appendEscaped(b []byte, s string, quotes bool) []byte {
	from := 0
	for i := range len(s) {
		var escape string
		switch c := s[i]; {
		case c == '\\':
			escape = `\\`
		case c == '\n':
			escape = `\n`
		case c == '"' && quotes:
			escape = `\"`
		default:
			continue
		}
		b = append(b, s[from:i]...)
		b = append(b, escape...)
		from = i + 1
	}
	return append(b, s[from:]...)
}

func appendValue(b []byte, v float64) []byte {
	const exact = 1 << 53
	switch {
	case v == math.Trunc(v) && math.Abs(v) < exact && !(v == 0 && math.Signbit(v)):
		return strconv.AppendInt(b, int64(v), 10)
	case math.IsInf(v, 1):
		return append(b, "+Inf"...)
	default:
		return strconv.AppendFloat(b, v, 'g', -1, 64)
	}
}
