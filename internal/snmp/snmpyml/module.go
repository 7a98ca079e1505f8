package snmpyml

import (
	"maps"
	"slices"
	"time"
)

// indexTypes are the ways to read an index.
func indexTypes() []string {
	return []string{
		"counter", "DisplayString", "EnumAsInfo", "gauge", "InetAddress", "InetAddressIPv4", "InetAddressIPv6",
		"InetAddressMissingSize", "Integer", "Integer32", "LldpPortId", "OctetString", "PhysAddress48",
	}
}

// metricTypes are the ways to read a value.
func metricTypes() []string {
	return append(indexTypes(), "Bits", "DateAndTime", "Double", "EnumAsStateSet", "Float", "NTPTimeStamp", "ParseDateAndTime")
}

func (c *checker) module(raw *rawModule) *Module {
	m := &Module{
		MaxRepetitions: raw.MaxRepetitions, Retries: raw.Retries, Timeout: time.Duration(raw.Timeout),
		UnconnectedUDP: raw.UnconnectedUDP, AllowNonIncreasingOIDs: raw.NonIncreasing,
	}
	if m.Retries < 0 {
		c.bad(key("retries"), "retries wants 0 or more, not %d", m.Retries)
	}
	if m.Timeout <= 0 {
		c.bad(key("timeout"), "timeout wants more than 0, not %v", m.Timeout)
	}
	for i, oid := range raw.Walk {
		m.Walk = append(m.Walk, c.oid(key("walk", i), oid))
	}
	for i, oid := range raw.Get {
		m.Get = append(m.Get, c.oid(key("get", i), oid))
	}
	for i := range raw.Filters {
		c.in(func() { m.Filters = append(m.Filters, c.filter(&raw.Filters[i])) }, "filters", i)
	}
	for i := range raw.Metrics {
		c.in(func() { m.Metrics = append(m.Metrics, c.metric(&raw.Metrics[i])) }, "metrics", i)
	}
	return m
}

func (c *checker) filter(raw *rawFilter) Filter {
	f := Filter{OID: c.oid(key("oid"), raw.OID)}
	for i, target := range raw.Targets {
		f.Targets = append(f.Targets, c.oid(key("targets", i), target))
	}
	for _, value := range raw.Values {
		if value.Regexp != nil {
			f.Values = append(f.Values, value.Regexp)
		}
	}
	return f
}

func (c *checker) metric(raw *rawMetric) *Metric {
	m := &Metric{
		Name: raw.Name, OID: c.oid(key("oid"), raw.OID), Type: raw.Type, Help: raw.Help,
		Enum: c.enum(raw.Enum), DateTimePattern: raw.DateTimePattern, DisplayHint: raw.DisplayHint,
		Offset: raw.Offset, Scale: raw.Scale,
	}
	c.name(key("name"), m.Name, true)
	c.oneOf("type", m.Type, metricTypes()...)
	for i := range raw.Indexes {
		c.in(func() { m.Indexes = append(m.Indexes, c.index(&raw.Indexes[i])) }, "indexes", i)
	}
	known := make(map[string]bool) // labels that later lookups may lead from
	for _, index := range m.Indexes {
		known[index.Label] = true
	}
	for i := range raw.Lookups {
		c.in(func() { m.Lookups = append(m.Lookups, c.lookup(&raw.Lookups[i], known)) }, "lookups", i)
	}
	for _, suffix := range slices.Sorted(maps.Keys(raw.Extracts)) {
		c.name(key("regex_extracts", suffix), m.Name+suffix, true)
		m.Extracts = append(m.Extracts, c.extract(suffix, raw.Extracts[suffix]))
	}
	return m
}

func (c *checker) index(raw *rawIndex) Index {
	index := Index{Label: raw.Label, Type: raw.Type, FixedSize: raw.FixedSize, Implied: raw.Implied, Enum: c.enum(raw.Enum)}
	c.name(key("labelname"), index.Label, false)
	c.oneOf("type", index.Type, indexTypes()...)
	if index.FixedSize < 0 {
		c.bad(key("fixed_size"), "fixed_size wants 0 or more, not %d", index.FixedSize)
	}
	return index
}

func (c *checker) lookup(raw *rawLookup, known map[string]bool) Lookup {
	l := Lookup{Labels: raw.Labels, Label: raw.Label, Type: raw.Type, DisplayHint: raw.DisplayHint, Enum: c.enum(raw.Enum)}
	c.name(key("labelname"), l.Label, false)
	if len(l.Labels) == 0 {
		return l
	}
	l.OID = c.oid(key("oid"), raw.OID)
	if l.Type != "" {
		c.oneOf("type", l.Type, metricTypes()...)
	}
	for i, source := range l.Labels {
		if !known[source] {
			c.bad(key("labels", i), "labels[%d]: there is no index or earlier lookup %q", i, source)
		}
	}
	known[l.Label] = true
	return l
}

func (c *checker) extract(suffix string, raw []rawTry) Extract {
	e := Extract{Suffix: suffix}
	for i, t := range raw {
		if t.Regex.Regexp == nil {
			if !c.doc.Has(slices.Concat(c.path, key("regex_extracts", suffix, i, "regex"))...) {
				c.bad(key("regex_extracts", suffix, i), "regex is missing")
			}
			continue
		}
		e.Tries = append(e.Tries, Try{Regex: t.Regex.Regexp, Value: t.Value})
	}
	return e
}
