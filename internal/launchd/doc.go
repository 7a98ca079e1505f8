// Package launchd knows macOS's launchd as far as it shows: what `launchctl
// print` says of a job, what a job's property list holds, when a calendar says
// that a job is due, and which files launchd trusts.
//
// It is pure: it runs no program, reads no file and imports no other package
// of this module. All that it parses may be damaged or hostile.
package launchd
