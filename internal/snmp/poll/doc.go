// Package poll reads subtrees of an SNMP agent: many columns with each
// request, replies small enough for one packet, several requests under way,
// and everything bounded.
//
// It exists beside gosnmp's own walks because those read one column at a
// time, end without an error when the agent reports one, and never end when
// the agent lies. A subtree is read to its end or has an error; there is no
// half of one.
//
// It knows the protocol and nothing of modules and metrics. What it learns of
// a target (round trips, rows, sizes) lives in a [Memory] that the caller owns.
package poll
