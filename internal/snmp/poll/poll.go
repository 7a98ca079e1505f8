package poll

import (
	"time"

	"github.com/gosnmp/gosnmp"
)

// An Object is one value of an agent.
type Object struct {
	Index string         // what follows the root of its subtree, without a leading dot; "" for the root itself
	Type  gosnmp.Asn1BER // as it came over the wire
	Value any            // as gosnmp decodes it; shared, not to be changed
}

// A Subtree is what is read below one OID.
type Subtree struct {
	Root   string // without a leading dot
	Scalar bool   // has one object, at .0
	Leaf   bool   // if there is nothing below Root, Root itself is the object
}

// A Query is what one module wants of a target.
type Query struct {
	Groups [][]Subtree // subtrees of one group are read together: the columns of a table
	Gets   []string    // single objects

	MaxRepetitions uint32 // rows of one column in a reply
	Retries        int
	Timeout        time.Duration // of one request
	NonIncreasing  bool          // the agent may go back; one that repeats itself is still refused
}

// A Column is what was read of a subtree: all of it, in the order of the
// agent, or an error.
type Column struct {
	Objects []Object
	Err     error // an *Error
}

// A Reading is the answer to a Query.
type Reading struct {
	Groups [][]Column // as in the query
	Gets   []Column   // as in the query; no object if the agent does not have it
}

// Limits bound what a scrape may take. The zero value of each means its
// default.
type Limits struct {
	Window int // requests under way at once; default and most: 4
	Reply  int // bytes of a reply that is hoped for; default 1,400
	PDUs   int // objects; default 500,000
	Bytes  int // of objects; default 64 MiB
}

func (l Limits) withDefaults() Limits {
	const window, reply, pdus, bytes = 4, 1400, 500_000, 64 << 20
	if l.Window <= 0 || l.Window > window {
		l.Window = window
	}
	if l.Reply <= 0 {
		l.Reply = reply
	}
	if l.PDUs <= 0 {
		l.PDUs = pdus
	}
	if l.Bytes <= 0 {
		l.Bytes = bytes
	}
	return l
}

// size is about how many bytes o took in the reply, with its name; never less
// than it did for any OID in use.
func size(name string, o *Object) int {
	const headers, number = 6, 9
	n := headers + len(name)/2
	switch v := o.Value.(type) {
	case []byte:
		return n + len(v) + 2
	case string:
		return n + len(v)
	default:
		return n + number
	}
}
