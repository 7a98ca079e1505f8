package snmpyml

import (
	"log/slog"
	"regexp"
	"time"
)

// Config is what one or several files come to.
type Config struct {
	Auths   map[string]*Auth
	Modules map[string]*Module
}

// A Secret is a text that is not shown by accident.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "<secret>"
}

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Auth is how to be let in by a target.
type Auth struct {
	Version       int // 1, 2 or 3
	Community     Secret
	SecurityLevel string // noAuthNoPriv, authNoPriv or authPriv
	Username      string
	Password      Secret
	AuthProtocol  string // MD5, SHA, SHA224, SHA256, SHA384 or SHA512
	PrivProtocol  string // DES, AES, AES192, AES192C, AES256 or AES256C
	PrivPassword  Secret
	ContextName   string
}

// Module is what to read from a kind of target, and what to make of it.
type Module struct {
	Walk    []string // subtrees; OIDs have no leading dot
	Get     []string // single objects
	Metrics []*Metric
	Filters []Filter

	MaxRepetitions         uint32
	Retries                int
	Timeout                time.Duration // of one request
	UnconnectedUDP         bool          // answers may come from another address than was asked
	AllowNonIncreasingOIDs bool
}

// A Filter narrows the walk of its targets to rows whose object below OID has
// one of the values.
type Filter struct {
	OID     string
	Targets []string
	Values  []*regexp.Regexp
}

// Metric is one object that becomes series.
type Metric struct {
	Name, OID, Type, Help string
	Indexes               []Index
	Lookups               []Lookup
	Extracts              []Extract // by suffix; nil unless the metric is a text that is taken apart
	Enum                  map[int]string
	DateTimePattern       string
	DisplayHint           string
	Offset, Scale         float64
}

// Index is one part of what follows a column's OID.
type Index struct {
	Label, Type string
	FixedSize   int
	Implied     bool
	Enum        map[int]string
}

// Lookup adds a label from another object of the row. Without source labels
// it removes the label.
type Lookup struct {
	Labels      []string // the indexes that lead to the object
	Label       string
	OID, Type   string
	DisplayHint string
	Enum        map[int]string
}

// Extract makes a metric of its own, with Suffix behind the name: the first
// expression that fits the text gives the value.
type Extract struct {
	Suffix string
	Tries  []Try
}

// Try is one expression of an Extract.
type Try struct {
	Regex *regexp.Regexp // anchored at both ends
	Value string         // template of the number, such as $1
}
