// Package snmpsim simulates SNMP agents on loopback UDP ports, from recordings
// in snmpsim's .snmprec format, for tests, benchmarks and demonstrations.
//
// Agents speak SNMPv1 and v2c. Any number may show the same [Device], which
// they share, so thousands fit into one process. [Faults] make an agent late,
// lossy, silent, wrong or lying.
//
// It imports nothing of this module, and it never listens on anything but a
// loopback address.
package snmpsim
