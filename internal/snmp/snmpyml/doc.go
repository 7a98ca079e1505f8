// Package snmpyml reads snmp.yml, the file format of Prometheus's
// snmp_exporter, as its generator writes it and as people edit it.
//
// The format is that of snmp_exporter 0.30; the keys that came after it
// (display_hint, enum_values of lookups) are read too. It is strict: an
// unknown key or type, a bad OID or expression is a problem with its line and
// column, and all problems of all files come at once.
//
// The package knows the file and nothing of the protocol: it sends nothing. Of
// the environment it reads only what auths refer to, through a function that
// the caller gives.
package snmpyml
