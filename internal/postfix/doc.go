// Package postfix knows the postfix mail system: what its programs print
// about the queue and themselves, which setting relays mail, and what starts
// and stops it on each kind of system.
//
// It is a leaf: it reads bytes and looks for files. It runs no program,
// changes nothing, and imports no other package of this module.
package postfix
