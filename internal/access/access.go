// Package access decides who may call what over HTTP. A Guard knows the roles
// of the configuration and lets a request through, or says what it lacks.
//
// It authenticates nobody by password and terminates no TLS: users and client
// certificates are checked by exporter-toolkit before a request gets here.
// What it adds are the roles, the local token, and the checks that keep a web
// page in somebody's browser from driving the daemon.
package access

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// A Role is a kind of call. A route asks for one.
type Role string

// The roles. Operate includes view and scrape: a hub that orders repairs also
// reads what it repairs. Approve includes view.
const (
	Open    Role = ""        // anybody who gets past web_config: health checks
	View    Role = "view"    // the status page, runs, alerts, queries
	Scrape  Role = "scrape"  // metrics
	Share   Role = "share"   // manifests and files of a share
	Operate Role = "operate" // reload, actions, running and stopping remedies
	Approve Role = "approve" // letting a run go ahead
)

// Roles returns the roles that a configuration can give, in the order in
// which they are documented.
func Roles() []Role { return []Role{View, Scrape, Share, Operate, Approve} }

// changes tells whether calls of r change something.
func (r Role) changes() bool { return r == Operate || r == Approve }

// includedIn lists the roles that may do what r may.
func (r Role) includedIn() []Role {
	switch r {
	case View:
		return []Role{View, Operate, Approve}
	case Scrape:
		return []Role{Scrape, Operate}
	default:
		return []Role{r}
	}
}

// A Policy is who may do what.
type Policy struct {
	// WebConfig is exporter-toolkit's file, or "" if the server has none. It
	// is read again for each request that carries a user's name.
	WebConfig string

	// Roles maps a role to users and names in client certificates. Without
	// WebConfig nobody has a name, so it has no effect.
	Roles map[Role][]string

	// Token is what LoadOrCreateToken returned. Whoever presents it from a
	// loopback address has every role. Empty: there is none.
	Token string

	// Names are the host names of this server, as clients type them.
	// Loopback names and IP literals need not be listed.
	Names []string
}

// A Guard applies a Policy. It is safe for concurrent use.
type Guard struct {
	policy atomic.Pointer[Policy]
}

// New returns a Guard for p. It fails if p names a role that does not exist.
func New(p Policy) (*Guard, error) {
	g := new(Guard)
	if err := g.Set(p); err != nil {
		return nil, err
	}
	return g, nil
}

// Set replaces the policy, for requests that begin later. A policy with an
// error changes nothing.
func (g *Guard) Set(p Policy) error {
	for role := range p.Roles {
		if !slices.Contains(Roles(), role) {
			return fmt.Errorf("unknown role %q (have %s)", role, list(Roles()))
		}
	}
	g.policy.Store(&p)
	return nil
}

// Middleware passes requests on to next if they may have role, and answers the
// others with 401, 403 or 421 and a sentence that says what is needed.
func (g *Guard) Middleware(role Role, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := g.Check(role, r)
		if err != nil {
			refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(withCaller(r.Context(), caller)))
	})
}

// Check tells who calls, or why r may not have role. The error is a *Refusal.
func (g *Guard) Check(role Role, r *http.Request) (Caller, error) {
	p := g.policy.Load()
	caller, err := p.identify(r)
	if err != nil {
		return Caller{}, err
	}
	if err := p.checkSite(role, r, caller); err != nil {
		return Caller{}, err
	}
	if role == Open || caller.Local {
		return caller, nil
	}
	if p.WebConfig == "" {
		return caller, withoutWebConfig(role, r)
	}
	return caller, p.withWebConfig(role, caller)
}

// withoutWebConfig decides about a request without the token where clients
// cannot prove who they are.
func withoutWebConfig(role Role, r *http.Request) error {
	if role == View || role == Scrape {
		return nil
	}
	if !fromLoopback(r) {
		return refusal(http.StatusForbidden, "role %q needs web_config: without it, this answers on loopback only", role)
	}
	if role.changes() {
		return needToken(role)
	}
	return nil
}

// withWebConfig decides about a request without the token where users and
// client certificates are checked.
func (p *Policy) withWebConfig(role Role, c Caller) error {
	listed := p.Roles[role]
	if len(listed) == 0 && (role == View || role == Scrape) {
		return nil // whoever web_config lets in
	}
	for _, r := range role.includedIn() {
		for _, name := range c.Names {
			if slices.Contains(p.Roles[r], name) {
				return nil
			}
		}
	}
	if len(c.Names) == 0 {
		return refusal(http.StatusUnauthorized,
			"role %q needs a user of web_config, a verified client certificate, or the local token", role)
	}
	return refusal(http.StatusForbidden, "%s does not have role %q: add the name to access.%s", c, role, role)
}

// A Refusal says why a request may not pass.
type Refusal struct {
	Status int // 401, 403 or 421
	Reason string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Reason }

func refusal(status int, format string, args ...any) error {
	return &Refusal{Status: status, Reason: fmt.Sprintf(format, args...)}
}

// needToken is one answer for a token that is absent and one that is wrong.
func needToken(role Role) error {
	return refusal(http.StatusUnauthorized,
		"role %q needs the token in the data folder of this server, as Authorization: Bearer TOKEN, or web_config", role)
}

// refuse answers in JSON below /api/ and to those who ask for it, else in text.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, reason := http.StatusForbidden, err.Error()
	if ref, ok := errors.AsType[*Refusal](err); ok {
		status = ref.Status
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="minikeeper"`)
	}
	w.Header().Set("Cache-Control", "no-store")
	Error(w, r, status, reason)
}

func list(roles []Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}
