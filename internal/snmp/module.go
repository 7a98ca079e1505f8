package snmp

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/snmp/snmpyml"
)

// A module is compiled: which objects it needs, and what becomes of each.
type module struct {
	name     string
	source   *snmpyml.Module
	columns  []spec   // the objects that are needed
	tables   []table  // what is whole or absent
	families []family // by name
	layouts  int
	plan     *plan // nil if filters change it with every scrape
}

// A spec is one kind of object that is needed.
type spec struct {
	oid    string
	scalar bool // no metric or lookup has an index for it
}

// A table is a set of metrics that are exported together or not at all.
type table struct {
	name  string
	needs []int // columns, also those of lookups
}

// A family is one name of the output and where it comes from.
type family struct {
	name, help string
	kind       minikeeper.MetricType
	metric     *metric
	extract    *snmpyml.Extract // nil unless the family is a part of a text
}

// A metric is one object that becomes series.
type metric struct {
	*snmpyml.Metric
	column     int
	typeColumn int // the object before it, which says how to read it; -1: none
	table      int
	layout     *layout
	read       reading
	states     []state // of EnumAsStateSet and Bits, in order
	date       *datePattern
}

// A reading is what is made of a value.
type reading int

const (
	asNumber reading = iota
	asText
	asDate
	asPatternDate
	asNTP
	asInfo
	asStates
	asBits
)

// A state is one value of an enumeration.
type state struct {
	number int
	name   string
}

func readingOf(typ string) reading {
	switch typ {
	case "gauge", "counter", "Float", "Double":
		return asNumber
	case "DateAndTime":
		return asDate
	case "ParseDateAndTime":
		return asPatternDate
	case "NTPTimeStamp":
		return asNTP
	case "EnumAsInfo":
		return asInfo
	case "EnumAsStateSet":
		return asStates
	case "Bits":
		return asBits
	default:
		return asText
	}
}

// compiler collects what a module needs.
type compiler struct {
	*module
	byOID   map[string]int // columns
	byTable map[string]int
	layout  map[string]*layout

	tableNames map[string]string
}

// compile prepares source for scraping. The only thing that can be wrong with
// what snmpyml accepts is a pattern of dates.
func compile(name string, source *snmpyml.Module) (*module, error) {
	c := &compiler{
		module: &module{name: name, source: withoutMetrics(source)},
		byOID:  make(map[string]int), byTable: make(map[string]int), layout: make(map[string]*layout),
		tableNames: tableNames(),
	}
	for _, m := range effective(source.Metrics) {
		if err := c.metric(m); err != nil {
			return nil, fmt.Errorf("metric %s: %w", m.Name, err)
		}
	}
	c.layouts = len(c.layout)
	slices.SortStableFunc(c.families, func(a, b family) int { return strings.Compare(a.name, b.name) })
	for i := range c.tables {
		slices.Sort(c.tables[i].needs)
		c.tables[i].needs = slices.Compact(c.tables[i].needs)
	}
	if len(source.Filters) == 0 {
		c.plan = c.newPlan(source.Walk, source.Get)
	}
	return c.module, nil
}

// withoutMetrics is what a module has to remember of its source.
func withoutMetrics(source *snmpyml.Module) *snmpyml.Module {
	kept := *source
	kept.Metrics = nil
	return &kept
}

// effective returns the metrics that can have samples: of several with one OID
// the last, and none below the OID of another, which takes all its objects.
func effective(all []*snmpyml.Metric) []*snmpyml.Metric {
	byOID := make(map[string]*snmpyml.Metric, len(all))
	for _, m := range all {
		byOID[m.OID] = m
	}
	var some []*snmpyml.Metric
	for _, m := range all {
		if byOID[m.OID] == m && !shadowed(m.OID, byOID) {
			some = append(some, m)
		}
	}
	return some
}

func shadowed(oid string, metrics map[string]*snmpyml.Metric) bool {
	for i := range len(oid) {
		if oid[i] == '.' && metrics[oid[:i]] != nil {
			return true
		}
	}
	return false
}

// column returns the number of the column at oid.
func (c *compiler) column(oid string, scalar bool) int {
	i, ok := c.byOID[oid]
	if !ok {
		i = len(c.columns)
		c.byOID[oid] = i
		c.columns = append(c.columns, spec{oid, scalar})
	}
	c.columns[i].scalar = c.columns[i].scalar && scalar
	return i
}

func (c *compiler) metric(source *snmpyml.Metric) error {
	scalar := len(source.Indexes) == 0
	kept := *source // without what the layout holds
	kept.Indexes, kept.Lookups = nil, nil
	m := &metric{
		Metric: &kept, column: c.column(source.OID, scalar), typeColumn: -1,
		table: c.tableOf(source.OID, scalar), read: readingOf(source.Type),
	}
	needs := []int{m.column}
	if m.read == asText && combined(source.Type) != nil {
		m.typeColumn = c.column(before(source.OID), scalar)
		needs = append(needs, m.typeColumn)
	}
	m.layout = c.layoutOf(source)
	for _, l := range m.layout.lookups {
		if !l.removes {
			needs = append(needs, l.column)
		}
		if l.typeColumn >= 0 {
			needs = append(needs, l.typeColumn)
		}
	}
	c.tables[m.table].needs = append(c.tables[m.table].needs, needs...)
	m.states = states(source.Enum)
	if m.read == asPatternDate {
		var err error
		if m.date, err = newDatePattern(source.DateTimePattern); err != nil {
			return err
		}
	}
	c.addFamilies(m)
	return nil
}

// states lists an enumeration by number. Of two numbers with one name the
// first stays: they would be one series.
func states(enum map[int]string) []state {
	var list []state
	seen := make(map[string]bool)
	for _, number := range slices.Sorted(maps.Keys(enum)) {
		if name := enum[number]; !seen[name] {
			seen[name] = true
			list = append(list, state{number, name})
		}
	}
	return list
}

// addFamilies adds the names that m has in the output.
func (c *compiler) addFamilies(m *metric) {
	f := family{name: m.Name, help: m.Help, kind: minikeeper.Gauge, metric: m}
	switch m.read { //nolint:exhaustive // the others have the metric's own name and help
	case asNumber:
		if m.Type == "counter" {
			f.kind = minikeeper.Counter
		}
	case asText:
		if len(m.Extracts) > 0 {
			for i := range m.Extracts {
				f.name, f.help, f.extract = m.Name+m.Extracts[i].Suffix, m.Help+" (regex extracted)", &m.Extracts[i]
				c.families = append(c.families, f)
			}
			return
		}
	case asInfo:
		f.name, f.help = m.Name+"_info", m.Help+" (EnumAsInfo)"
	case asStates:
		f.help = m.Help + " (EnumAsStateSet)"
	case asBits:
		f.help = m.Help + " (Bits)"
	}
	c.families = append(c.families, f)
}

// tableOf returns the number of the table that the object at oid is of.
func (c *compiler) tableOf(oid string, scalar bool) int {
	name := parent(oid)
	if !scalar { // a column stands below the entry, and that is number 1 of the table
		if rest, ok := strings.CutSuffix(name, ".1"); ok {
			name = rest
		}
	}
	if known, ok := c.tableNames[name]; ok {
		name = known
	}
	i, ok := c.byTable[name]
	if !ok {
		i = len(c.tables)
		c.byTable[name] = i
		c.tables = append(c.tables, table{name: name})
	}
	return i
}

// parent returns oid without its last number.
func parent(oid string) string {
	if i := strings.LastIndexByte(oid, '.'); i > 0 {
		return oid[:i]
	}
	return oid
}
