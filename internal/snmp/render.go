package snmp

import (
	"slices"
	"strconv"
	"strings"

	"github.com/minikeeper/minikeeper/internal/snmp/poll"
)

// A Flaw is why a value is left out or changed, as a metric's label has it.
type Flaw string

// The flaws.
const (
	WrongType   Flaw = "wrong_type"   // not of the kind that the module says
	BadValue    Flaw = "bad_value"    // a date or number that cannot be read
	Duplicate   Flaw = "duplicate"    // a series that is there already
	InvalidUTF8 Flaw = "invalid_utf8" // a label's text; its bad bytes are replaced
)

// harmless tells whether the sample was exported nevertheless.
func (f Flaw) harmless() bool { return f == InvalidUTF8 }

// A renderer makes the samples of one module in one scrape.
type renderer struct {
	module  *module
	columns []column
	whole   []bool  // by table
	rows    []*rows // by layout; made when first needed
	flaws   map[Flaw]int

	work          cells
	names, values []string // of a label set that is made for one sample
	title         *title
	written       map[string]bool // label sets of the family, where two might be equal
}

func newRenderer(m *module, columns []column, whole []bool) *renderer {
	return &renderer{module: m, columns: columns, whole: whole, rows: make([]*rows, m.layouts), flaws: make(map[Flaw]int)}
}

// render writes the families of several modules, each name once. Of two series
// that are equal the first is written.
func render(sink Sink, renderers []*renderer) {
	parts := shown(renderers)
	for from := 0; from < len(parts); {
		to := from + 1
		for to < len(parts) && parts[to].name == parts[from].name {
			to++
		}
		title := &title{family: parts[from].family, sink: sink}
		var written map[string]bool
		if to-from > 1 {
			written = make(map[string]bool)
		}
		for _, p := range parts[from:to] {
			p.title, p.written = title, written
			p.write(p.renderer)
		}
		from = to
	}
	for _, r := range renderers {
		for _, rows := range r.rows {
			if rows != nil && rows.unclean > 0 {
				r.flaws[InvalidUTF8] += rows.unclean
			}
		}
	}
}

// A title is the head of a family, which is written before its first sample.
type title struct {
	*family
	sink Sink
	done bool
}

func (t *title) sample(l Labels, value float64) {
	if !t.done {
		t.sink.Family(t.name, t.help, t.kind)
		t.done = true
	}
	t.sink.Sample(l, value)
}

// A part is what one module has of a family.
type part struct {
	*renderer
	*family
}

// shown lists the parts that have something to write, by name, and those of
// one name in the order of the modules.
func shown(renderers []*renderer) []part {
	var parts []part
	for _, r := range renderers {
		for i := range r.module.families {
			if f := &r.module.families[i]; r.shows(f.metric) {
				parts = append(parts, part{r, f})
			}
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int { return strings.Compare(a.name, b.name) })
	return parts
}

// shows tells whether m has something to write.
func (r *renderer) shows(m *metric) bool {
	return r.whole[m.table] && len(r.columns[m.column].objects) > 0
}

// write writes the samples of a family.
func (f *family) write(r *renderer) {
	m := f.metric
	rows := r.rows[m.layout.number]
	if rows == nil {
		rows = newRows(m.layout)
		r.rows[m.layout.number] = rows
	}
	objects := r.columns[m.column].objects
	for i := range objects { // first all, to know whether two rows look alike
		rows.of(objects[i].Index, i, r.columns, &r.work)
	}
	if rows.twins && r.written == nil {
		r.written = make(map[string]bool)
	}
	for i := range objects {
		r.sample(f, &objects[i], i, rows.of(objects[i].Index, i, r.columns, &r.work))
	}
}

// sample writes what becomes of one object.
func (r *renderer) sample(f *family, o *poll.Object, at int, row *row) {
	m := f.metric
	value, flaw := 0.0, Flaw("")
	switch m.read {
	case asNumber:
		value, flaw = check(number(o))
	case asDate:
		value, flaw = parsed(dateAndTime(o))
	case asNTP:
		value, flaw = parsed(ntpTimestamp(o))
	case asPatternDate:
		text, _ := manner{typ: "DisplayString"}.text(o)
		value, flaw = parsed(m.date.parse(text))
	case asText:
		r.text(f, o, at, row)
		return
	case asInfo, asStates:
		r.enum(m, o, row)
		return
	case asBits:
		r.bits(m, o, row)
		return
	}
	if flaw != "" {
		r.flaws[flaw]++
		return
	}
	r.put(row, m.scaled(value))
}

func check(v float64, ok bool) (float64, Flaw) {
	if !ok {
		return 0, WrongType
	}
	return v, ""
}

func parsed(v float64, err error) (float64, Flaw) {
	if err != nil {
		return 0, BadValue
	}
	return v, ""
}

func (m *metric) scaled(v float64) float64 {
	if m.Scale != 0 {
		v *= m.Scale
	}
	return v + m.Offset
}

// text writes a text as a label, or the numbers in it.
func (r *renderer) text(f *family, o *poll.Object, at int, row *row) {
	m := f.metric
	how := manner{typ: m.Type, hint: m.DisplayHint, enum: nil}
	if types := combined(m.Type); types != nil {
		how.typ = "OctetString"
		if before := r.columns[m.typeColumn].find(o.Index, at); before != nil {
			if typ, ok := types[int(integer(before))]; ok {
				how.typ = typ
			}
		}
	}
	text, clean := how.text(o)
	if !clean {
		r.flaws[InvalidUTF8]++
	}
	if f.extract != nil {
		r.extract(f, text, row)
		return
	}
	r.putWith(m, row, text, m.scaled(1))
}

// extract writes the number that the first fitting expression finds.
func (r *renderer) extract(f *family, text string, row *row) {
	for _, try := range f.extract.Tries {
		found := try.Regex.FindStringSubmatchIndex(text)
		if found == nil {
			continue
		}
		value, err := strconv.ParseFloat(string(try.Regex.ExpandString(nil, try.Value, text, found)), 64)
		if err != nil {
			continue
		}
		r.put(row, value)
		return
	}
}

// enum writes the state of an enumeration; a state set also those that it is
// not in.
func (r *renderer) enum(m *metric, o *poll.Object, row *row) {
	value, ok := number(o)
	if !ok {
		r.flaws[WrongType]++
		return
	}
	if r.hasLabel(m) {
		return // the index says it already
	}
	current := int(value)
	name, known := m.Enum[current]
	if !known {
		name = strconv.Itoa(current)
	}
	r.putWith(m, row, name, 1)
	if m.read == asInfo {
		return
	}
	for _, s := range m.states {
		if s.number != current && s.name != name {
			r.putWith(m, row, s.name, 0)
		}
	}
}

// bits writes which of the named bits are set; the first is the highest of the
// first octet.
func (r *renderer) bits(m *metric, o *poll.Object, row *row) {
	octets, ok := o.Value.([]byte)
	if !ok {
		r.flaws[WrongType]++
		return
	}
	if r.hasLabel(m) {
		return
	}
	for _, s := range m.states {
		set := 0.0
		if s.number >= 0 && s.number < len(octets)*8 && octets[s.number/8]&(128>>(s.number%8)) != 0 {
			set = 1
		}
		r.putWith(m, row, s.name, set)
	}
}

func (r *renderer) hasLabel(m *metric) bool { return slices.Contains(m.layout.names, m.Name) }

// put writes a sample with the labels of its row.
func (r *renderer) put(row *row, value float64) {
	if r.written != nil {
		key := string(row.text)
		if r.written[key] {
			r.flaws[Duplicate]++
			return
		}
		r.written[key] = true
	}
	r.title.sample(Labels{row.names, row.values, row.text}, value)
}

// putWith writes a sample with one label more, called as the metric. A row
// that has such a label already keeps it.
func (r *renderer) putWith(m *metric, row *row, text string, value float64) {
	at, found := slices.BinarySearch(row.names, m.Name)
	if found {
		r.put(row, value)
		return
	}
	r.names = append(append(append(r.names[:0], row.names[:at]...), m.Name), row.names[at:]...)
	r.values = append(append(append(r.values[:0], row.values[:at]...), text), row.values[at:]...)
	if r.written != nil {
		key := string(appendLabels(nil, r.names, r.values))
		if r.written[key] {
			r.flaws[Duplicate]++
			return
		}
		r.written[key] = true
	}
	r.title.sample(Labels{Names: r.names, Values: r.values}, value)
}
