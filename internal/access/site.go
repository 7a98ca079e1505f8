package access

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// checkSite refuses what a web page could have a browser send: a request for
// a foreign host name that was made to resolve to this server (DNS rebinding),
// and a changing call from another site.
func (p *Policy) checkSite(role Role, r *http.Request, c Caller) error {
	if p.hostMatters(role, r, c) && !p.ownHost(r.Host) {
		return refusal(http.StatusMisdirectedRequest, "host %q is not a name of this server (have %s, or its address)",
			r.Host, strings.Join(append([]string{"localhost"}, p.Names...), ", "))
	}
	if !role.changes() && safe(r.Method) {
		return nil
	}
	asPost := r.WithContext(r.Context()) // the check below passes every GET
	asPost.Method = http.MethodPost
	if err := http.NewCrossOriginProtection().Check(asPost); err != nil {
		return refusal(http.StatusForbidden, "a page of another site may not call this")
	}
	return nil
}

// hostMatters tells whether a wrong Host header could come from a rebound
// name. Over TLS the certificate would not fit, and a browser has no password
// for the foreign name. Scrapers in the network use whatever alias they know,
// so they are asked on loopback only.
func (p *Policy) hostMatters(role Role, r *http.Request, c Caller) bool {
	if r.TLS != nil || len(c.Names) > 0 {
		return false
	}
	return role != Open && (role != Scrape || fromLoopback(r))
}

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// ownHost tells whether host, as in the Host header, names this server.
func (p *Policy) ownHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return true // a rebound name is a name, never an address
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	return slices.ContainsFunc(p.Names, func(own string) bool {
		return strings.EqualFold(strings.TrimSuffix(own, "."), name)
	})
}

// OwnNames returns the host names by which this machine knows itself, and
// extra: its host name, that name's first label (also with ".local"), and what
// the resolver makes of it. ctx bounds the resolver.
func OwnNames(ctx context.Context, extra ...string) []string {
	names := slices.Clone(extra)
	if host, err := os.Hostname(); err == nil {
		short, _, _ := strings.Cut(host, ".")
		names = append(names, host, short, short+".local")
		if full, err := net.DefaultResolver.LookupCNAME(ctx, host); err == nil {
			names = append(names, strings.TrimSuffix(full, "."))
		}
	}
	names = slices.DeleteFunc(names, func(s string) bool { return s == "" })
	slices.Sort(names)
	return slices.Compact(names)
}

// Error answers r with reason: as {"status":"error","error":REASON} below /api/
// and to clients that ask for JSON, else as a line of text.
func Error(w http.ResponseWriter, r *http.Request, status int, reason string) {
	asJSON := strings.HasPrefix(r.URL.Path, "/api/") || strings.Contains(r.Header.Get("Accept"), "application/json")
	if !asJSON {
		http.Error(w, reason, status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The status line is out, so a failing write has nobody to tell.
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "error": reason})
}
