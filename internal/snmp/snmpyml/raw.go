package snmpyml

import (
	"fmt"
	"regexp"
	"time"

	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

// The raw types are the file as it stands.
type (
	rawFile struct {
		Auths   map[string]*rawAuth   `yaml:"auths"`
		Modules map[string]*rawModule `yaml:"modules"`
		Version int                   `yaml:"version"` // of the file; nothing depends on it
	}

	rawAuth struct {
		Community     string `yaml:"community"`
		SecurityLevel string `yaml:"security_level"`
		Username      string `yaml:"username"`
		Password      string `yaml:"password"`
		AuthProtocol  string `yaml:"auth_protocol"`
		PrivProtocol  string `yaml:"priv_protocol"`
		PrivPassword  string `yaml:"priv_password"`
		ContextName   string `yaml:"context_name"`
		Version       int    `yaml:"version"`
	}

	rawModule struct {
		Walk           []string    `yaml:"walk"`
		Get            []string    `yaml:"get"`
		Metrics        []rawMetric `yaml:"metrics"`
		Filters        []rawFilter `yaml:"filters"`
		MaxRepetitions uint32      `yaml:"max_repetitions"`
		Retries        int         `yaml:"retries"`
		Timeout        duration    `yaml:"timeout"`
		UnconnectedUDP bool        `yaml:"use_unconnected_udp_socket"`
		NonIncreasing  bool        `yaml:"allow_nonincreasing_oids"`
	}

	rawFilter struct {
		OID     string   `yaml:"oid"`
		Targets []string `yaml:"targets"`
		Values  []regex  `yaml:"values"`
	}

	rawMetric struct {
		Name            string              `yaml:"name"`
		OID             string              `yaml:"oid"`
		Type            string              `yaml:"type"`
		Help            string              `yaml:"help"`
		Indexes         []rawIndex          `yaml:"indexes"`
		Lookups         []rawLookup         `yaml:"lookups"`
		Extracts        map[string][]rawTry `yaml:"regex_extracts"`
		DateTimePattern string              `yaml:"datetime_pattern"`
		Enum            map[string]string   `yaml:"enum_values"`
		Offset          float64             `yaml:"offset"`
		Scale           float64             `yaml:"scale"`
		DisplayHint     string              `yaml:"display_hint"`
	}

	rawIndex struct {
		Label     string            `yaml:"labelname"`
		Type      string            `yaml:"type"`
		FixedSize int               `yaml:"fixed_size"`
		Implied   bool              `yaml:"implied"`
		Enum      map[string]string `yaml:"enum_values"`
	}

	rawLookup struct {
		Labels      []string          `yaml:"labels"`
		Label       string            `yaml:"labelname"`
		OID         string            `yaml:"oid"`
		Type        string            `yaml:"type"`
		DisplayHint string            `yaml:"display_hint"`
		Enum        map[string]string `yaml:"enum_values"`
	}

	rawTry struct {
		Value string   `yaml:"value"`
		Regex anchored `yaml:"regex"`
	}
)

// SetDefaults implements strictyaml.Defaulter.
func (a *rawAuth) SetDefaults() {
	*a = rawAuth{Community: "public", SecurityLevel: "noAuthNoPriv", AuthProtocol: "MD5", PrivProtocol: "DES", Version: 2}
}

// SetDefaults implements strictyaml.Defaulter.
func (m *rawModule) SetDefaults() {
	*m = rawModule{MaxRepetitions: 25, Retries: 3, Timeout: duration(5 * time.Second)}
}

// SetDefaults implements strictyaml.Defaulter.
func (t *rawTry) SetDefaults() { t.Value = "$1" }

// duration is a span of time as Go writes it.
type duration time.Duration

// Wants implements strictyaml.Wanter.
func (duration) Wants() string { return "a duration such as 5s" }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("wants a duration such as 5s, not %q", text)
	}
	*d = duration(parsed)
	return nil
}

// regex is an expression that may fit anywhere.
type regex struct{ *regexp.Regexp }

// Wants implements strictyaml.Wanter.
func (regex) Wants() string { return "a regular expression" }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *regex) UnmarshalText(text []byte) (err error) {
	if r.Regexp, err = regexp.Compile(string(text)); err != nil {
		return fmt.Errorf("wants a regular expression: %w", err)
	}
	return nil
}

// anchored is an expression that has to fit the whole text.
type anchored struct{ *regexp.Regexp }

// Wants implements strictyaml.Wanter.
func (anchored) Wants() string { return "a regular expression" }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *anchored) UnmarshalText(text []byte) (err error) {
	if r.Regexp, err = regexp.Compile("^(?:" + string(text) + ")$"); err != nil {
		return fmt.Errorf("wants a regular expression: %w", err)
	}
	return nil
}

var (
	_ strictyaml.Wanter = duration(0)
	_ strictyaml.Wanter = regex{}
	_ strictyaml.Wanter = anchored{}
)
