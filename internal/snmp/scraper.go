package snmp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minikeeper/minikeeper/internal/snmp/poll"
	"github.com/minikeeper/minikeeper/internal/snmp/snmpyml"
)

// Modules are what files of modules come to, compiled.
type Modules struct {
	auths   map[string]*snmpyml.Auth
	modules map[string]*module
}

// Options change how modules are loaded.
type Options struct {
	// Env, if not nil, fills variables into the secrets of auths; see
	// [snmpyml.Options].
	Env func(name string) (string, bool)
}

// Load reads and compiles the files that patterns stand for.
func Load(patterns []string, o Options) (*Modules, error) {
	cfg, err := snmpyml.Load(patterns, snmpyml.Options{Env: o.Env})
	if err != nil {
		return nil, err
	}
	return New(cfg)
}

// New compiles modules.
func New(cfg *snmpyml.Config) (*Modules, error) {
	m := &Modules{auths: cfg.Auths, modules: make(map[string]*module, len(cfg.Modules))}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(cfg.Modules)) {
		compiled, err := compile(name, cfg.Modules[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("module %s, %w", name, err))
		}
		m.modules[name] = compiled
	}
	return m, errors.Join(errs...)
}

// Names returns the names of all modules, sorted.
func (m *Modules) Names() []string { return slices.Sorted(maps.Keys(m.modules)) }

// Auths returns the names of all auths, sorted.
func (m *Modules) Auths() []string { return slices.Sorted(maps.Keys(m.auths)) }

// A Request is one scrape.
type Request struct {
	Target   string   // [NETWORK://]HOST[:PORT]
	Auth     string   // "": public_v2
	Modules  []string // empty: if_mib; each may be several with commas between
	Context  string   // version 3: instead of the auth's
	EngineID string   // version 3: of the context, in hexadecimal
}

// What snmp_exporter uses where a request names nothing.
const (
	defaultAuth   = "public_v2"
	defaultModule = "if_mib"
)

// A RequestError says that a request can never be answered.
type RequestError struct{ message string }

func (e *RequestError) Error() string { return e.message }

// A Scraper scrapes targets with the modules that it was last given. It is
// safe for concurrent use.
type Scraper struct {
	modules atomic.Pointer[Modules]
	client  *poll.Client
	totals  totals
}

// NewScraper returns a Scraper. Close it.
func NewScraper(m *Modules, limits poll.Limits) *Scraper {
	s := &Scraper{client: poll.NewClient(poll.NewMemory(0), limits)}
	s.modules.Store(m)
	return s
}

// Set replaces the modules. Scrapes under way end with the old ones.
func (s *Scraper) Set(m *Modules) { s.modules.Store(m) }

// Close closes idle sockets.
func (s *Scraper) Close() error { return s.client.Close() }

// Scrape reads a target. The error is a [*RequestError]; what the target does
// not answer is in the result. The context should have a deadline.
func (s *Scraper) Scrape(ctx context.Context, r Request) (*Result, error) {
	all := s.modules.Load()
	modules, err := all.pick(r.Modules)
	if err != nil {
		return nil, err
	}
	target, err := all.target(r)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(modules, func(m *module) bool { return m.source.UnconnectedUDP }) {
		target.Unconnected = true
	}
	session, err := s.client.Session(target)
	if err != nil {
		return nil, &RequestError{err.Error()}
	}
	result := &Result{target: r.Target, totals: &s.totals}
	for _, m := range modules {
		result.modules = append(result.modules, scrapeModule(ctx, session, m))
	}
	result.answered = session.Answered()
	s.totals.note(result, session.Stats())
	return result, session.Close()
}

// pick returns the modules that names stand for, each once.
func (m *Modules) pick(names []string) ([]*module, error) {
	var picked []*module
	for _, list := range names {
		for name := range strings.SplitSeq(list, ",") {
			if name == "" {
				continue
			}
			found := m.modules[name]
			if found == nil {
				return nil, &RequestError{fmt.Sprintf("unknown module %q (have %s)", name, strings.Join(m.Names(), ", "))}
			}
			if !slices.Contains(picked, found) {
				picked = append(picked, found)
			}
		}
	}
	if len(names) == 0 {
		return m.pick([]string{defaultModule})
	}
	return picked, nil
}

// target is how to reach and enter the target of r.
func (m *Modules) target(r Request) (poll.Target, error) {
	name := r.Auth
	if name == "" {
		name = defaultAuth
	}
	auth := m.auths[name]
	if auth == nil {
		return poll.Target{}, &RequestError{fmt.Sprintf("unknown auth %q (have %s)", name, strings.Join(m.Auths(), ", "))}
	}
	t := poll.Target{
		Address: r.Target, Version: auth.Version, Community: string(auth.Community),
		Context: r.Context, EngineID: r.EngineID, User: poll.User{Name: auth.Username},
	}
	if t.Context == "" {
		t.Context = auth.ContextName
	}
	if auth.SecurityLevel != "noAuthNoPriv" {
		t.User.Auth, t.User.AuthSecret = auth.AuthProtocol, string(auth.Password)
	}
	if auth.SecurityLevel == "authPriv" {
		t.User.Priv, t.User.Secret = auth.PrivProtocol, string(auth.PrivPassword)
	}
	if auth.Version != 3 {
		t.Context, t.EngineID, t.User = "", "", poll.User{}
	}
	return t, nil
}

// scrapeModule reads what one module needs.
func scrapeModule(ctx context.Context, s *poll.Session, m *module) *moduleResult {
	begin, before := time.Now(), s.Stats()
	plan := m.filtered(ctx, s)
	columns := plan.columns(s.Read(ctx, plan.query))
	after := s.Stats()
	r := &moduleResult{module: m, begin: begin, walked: time.Since(begin), columns: columns}
	r.stats = poll.Stats{
		Packets: after.Packets - before.Packets, Repeated: after.Repeated - before.Repeated,
		PDUs: after.PDUs - before.PDUs, Bytes: after.Bytes - before.Bytes,
	}
	r.whole, r.reasons, r.errs = make([]bool, len(m.tables)), make([]poll.Reason, len(m.tables)), make([]error, len(m.tables))
	for i, t := range m.tables {
		r.whole[i] = true
		for _, need := range t.needs {
			if err := columns[need].err; err != nil {
				r.whole[i], r.reasons[i], r.errs[i] = false, poll.ReasonOf(err), err
				break
			}
		}
	}
	return r
}
