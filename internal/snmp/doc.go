// Package snmp turns what SNMP agents say into Prometheus metrics, by the
// modules of snmp_exporter's own snmp.yml and with the same names, labels,
// types and values, so that an installation moves by changing a port.
//
// Modules are compiled once, when their files are loaded. A scrape reads the
// columns that a module needs and nothing else, renders the labels of a row
// once, and writes text. A table is whole or absent: its success is a metric,
// and so is the reason of what is missing.
//
// The package serves HTTP and sends SNMP; it schedules nothing and stores
// nothing but what it learns of targets to ask them better.
package snmp
