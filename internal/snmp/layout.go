package snmp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/minikeeper/minikeeper/internal/snmp/snmpyml"
)

// A layout makes labels of indexes. Metrics with the same indexes and lookups
// share it, so that the labels of a row are made once.
type layout struct {
	number  int
	indexes []indexStep
	lookups []lookupStep
	slots   int      // labels that exist at some time on the way
	names   []string // of the labels that come out, sorted
	from    []int    // the slot of each
}

type indexStep struct {
	slot int
	spec indexSpec
}

type lookupStep struct {
	slot       int
	removes    bool // the label, instead of adding it
	sources    []int
	column     int
	typeColumn int // says how to read the object; -1: none
	manner     manner
}

// layoutOf returns the layout of a metric.
func (c *compiler) layoutOf(source *snmpyml.Metric) *layout {
	key := fmt.Sprintf("%q", []any{source.Indexes, source.Lookups})
	if l, ok := c.layout[key]; ok {
		return l
	}
	l := &layout{number: len(c.layout)}
	c.layout[key] = l
	slots, alive := make(map[string]int), make(map[string]bool)
	slot := func(label string) int {
		if _, ok := slots[label]; !ok {
			slots[label] = len(slots)
		}
		return slots[label]
	}
	for _, index := range source.Indexes {
		alive[index.Label] = true
		l.indexes = append(l.indexes, indexStep{slot(index.Label), indexSpec{index.Type, index.FixedSize, index.Implied, index.Enum}})
	}
	for _, lookup := range source.Lookups {
		alive[lookup.Label] = len(lookup.Labels) > 0
		step := lookupStep{slot: slot(lookup.Label), removes: len(lookup.Labels) == 0, column: -1, typeColumn: -1}
		if !step.removes {
			step.column = c.column(lookup.OID, false)
			step.manner = manner{lookup.Type, lookup.DisplayHint, lookup.Enum}
			if combined(lookup.Type) != nil {
				step.typeColumn = c.column(before(lookup.OID), false)
			}
			for _, label := range lookup.Labels {
				step.sources = append(step.sources, slot(label))
			}
		}
		l.lookups = append(l.lookups, step)
	}
	l.slots = len(slots)
	for label, is := range alive {
		if is {
			l.names = append(l.names, label)
		}
	}
	slices.Sort(l.names)
	for _, name := range l.names {
		l.from = append(l.from, slots[name])
	}
	return l
}

// A row is an index with its labels.
type row struct {
	index  string
	names  []string // the layout's
	values []string // in the order of names
	text   []byte   // the labels as they are written, without braces
}

// cells is what the labels of one row are made in. It is used again and again.
type cells struct {
	values []string
	oids   []string // what lookups go by; "" if there is nothing
}

// make makes the row of index. at is where its lookups likely stand. unclean
// counts texts that were not UTF-8.
func (l *layout) make(index string, at int, columns []column, w *cells) (r row, unclean int) {
	w.values = append(w.values[:0], make([]string, l.slots)...)
	w.oids = append(w.oids[:0], make([]string, l.slots)...)
	unclean = l.read(index, w)
	for i := range l.lookups {
		unclean += l.lookups[i].do(columns, at, w)
	}
	r = row{index: index, names: l.names, values: make([]string, len(l.from))}
	for i, slot := range l.from {
		r.values[i] = w.values[slot]
	}
	r.text = appendLabels(nil, l.names, r.values)
	return r, unclean
}

// read takes the index apart.
func (l *layout) read(index string, w *cells) (unclean int) {
	if len(l.indexes) == 1 && l.indexes[0].spec.plain() && isNumber(index) {
		slot := l.indexes[0].slot
		w.values[slot], w.oids[slot] = index, index
		return 0
	}
	numbers := parseIndex(index)
	for _, step := range l.indexes {
		text, used, rest := indexText(numbers, step.spec)
		text, clean := valid(text)
		if !clean {
			unclean++
		}
		w.values[step.slot], w.oids[step.slot] = text, join(used, ".", "%d")
		numbers = rest
	}
	return unclean
}

// plain tells whether the index is one number that is shown as it is.
func (s indexSpec) plain() bool {
	return s.typ == "gauge" || s.typ == "Integer" || s.typ == "Integer32" || s.typ == "counter"
}

func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// do adds the label of a lookup, or removes one.
func (s *lookupStep) do(columns []column, at int, w *cells) (unclean int) {
	if s.removes {
		w.values[s.slot] = ""
		return 0
	}
	w.values[s.slot] = ""
	index, ok := s.index(w)
	if !ok {
		return 0
	}
	o := columns[s.column].find(index, at)
	if o == nil {
		return 0
	}
	text, clean := s.mannerFor(columns, index, at).text(o)
	w.values[s.slot], w.oids[s.slot] = text, strconv.FormatInt(integer(o), 10)
	if !clean {
		unclean++
	}
	return unclean
}

// index joins what the sources go by.
func (s *lookupStep) index(w *cells) (string, bool) {
	if len(s.sources) == 1 {
		oid := w.oids[s.sources[0]]
		return oid, oid != ""
	}
	parts := make([]string, len(s.sources))
	for i, slot := range s.sources {
		if parts[i] = w.oids[slot]; parts[i] == "" {
			return "", false
		}
	}
	return strings.Join(parts, "."), true
}

// mannerFor looks at the object before, where that says how to read this one.
func (s *lookupStep) mannerFor(columns []column, index string, at int) manner {
	m := s.manner
	if s.typeColumn < 0 {
		return m
	}
	if o := columns[s.typeColumn].find(index, at); o != nil {
		if typ, ok := combined(m.typ)[int(integer(o))]; ok {
			m.typ = typ
		}
	}
	return m
}

// rows are the rows of one layout in one scrape.
type rows struct {
	layout  *layout
	list    []row
	byIndex map[string]int // made when it is first needed
	texts   map[string]int // labels that several rows have would be one series
	twins   bool           // there are such rows
	unclean int
}

// of returns the row of index. at is where it likely stands.
func (r *rows) of(index string, at int, columns []column, w *cells) *row {
	if at < len(r.list) && r.list[at].index == index {
		return &r.list[at]
	}
	if i, ok := r.byIndex[index]; ok {
		return &r.list[i]
	}
	made, unclean := r.layout.make(index, at, columns, w)
	r.unclean += unclean
	r.byIndex[index] = len(r.list)
	r.texts[string(made.text)]++
	r.twins = r.twins || r.texts[string(made.text)] > 1
	r.list = append(r.list, made)
	return &r.list[len(r.list)-1]
}

func newRows(l *layout) *rows {
	return &rows{layout: l, byIndex: make(map[string]int), texts: make(map[string]int)}
}
