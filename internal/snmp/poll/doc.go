// Package poll reads subtrees of an SNMP agent: many columns with each
// request, replies small enough for one packet, several requests under way,
// and everything bounded.
//
// It exists beside gosnmp's own walks because those read one column at a
// time, end without an error when the agent reports one, and never end when
// the agent lies. A subtree is read to its end or has an error; there is no
// half of one.
//
// Messages of version 3, TCP and unconnected sockets are gosnmp's. For versions
// 1 and 2c over UDP, which is nearly all traffic, a small codec stands beside
// it, because there decoding is most of what a scrape costs; values are the
// same, and tests hold each against the other.
//
// It knows the protocol and nothing of modules and metrics. What it learns of
// a target (round trips, rows, sizes) lives in a [Memory] that the caller owns.
package poll
