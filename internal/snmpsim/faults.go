package snmpsim

import "time"

// Statuses of answers (RFC 3416, section 3).
const (
	TooBig     = 1
	NoSuchName = 2
	GenErr     = 5
)

// Faults are what is wrong with an agent. The zero value is an honest one.
type Faults struct {
	Latency time.Duration // how late every answer is; those of several requests overlap
	Loss    float64       // the share of requests that are lost, from 0 to 1
	Seed    uint64        // of the dice that say which
	Lose    []int         // numbers of requests, from 1, that are lost whatever the dice say

	Silent      bool // answers nothing at all
	SilentAfter int  // answers so many requests and no more; 0: all

	Status      int // the error status of answers after the first StatusAfter
	StatusAfter int
	StatusBelow string // only for requests with an OID below this one; "": for all

	// MaxMessage is the size of the largest answer in bytes. A larger answer
	// to GETBULK is cut short, others are tooBig, as RFC 3416 has it. 0: 65,507.
	MaxMessage int
	TooBigOver int // answers tooBig to whatever needs more bytes, GETBULK too; 0: never

	// StuckAfter is the number of requests after which GETNEXT and GETBULK
	// return the first object of the subtree of StuckBelow again and again.
	StuckBelow string
	StuckAfter int

	// Endless is an OID below which GETNEXT and GETBULK never come to an end:
	// ever new objects with values of EndlessSize bytes.
	Endless     string
	EndlessSize int
}
