package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Caller is who sent a request.
type Caller struct {
	// Names are the checked user and the names in the verified client
	// certificate: its common name and its DNS, mail, URI and IP names.
	Names []string

	// Local is true if the request came from loopback with the local token.
	Local bool
}

// String returns the name that journals and messages use: the first of Names,
// "local" for the token, or "anonymous".
func (c Caller) String() string {
	switch {
	case len(c.Names) > 0:
		return c.Names[0]
	case c.Local:
		return "local"
	default:
		return "anonymous"
	}
}

type callerKey struct{}

func withCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom returns who sent the request that ctx belongs to. Outside of
// Guard.Middleware it is anonymous.
func CallerFrom(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// identify reads the names and the token that r carries and that were checked.
func (p *Policy) identify(r *http.Request) (Caller, error) {
	c := Caller{Local: p.Token != "" && fromLoopback(r) && p.holdsToken(r)}
	if p.WebConfig == "" {
		return c, nil // nobody checked a user's password
	}
	if user, _, ok := r.BasicAuth(); ok {
		known, err := p.knowsUser(user)
		if err != nil {
			return Caller{}, err
		}
		if known {
			c.Names = append(c.Names, user)
		}
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		c.Names = append(c.Names, certificateNames(r.TLS.VerifiedChains[0][0])...)
	}
	return c, nil
}

// knowsUser tells whether web_config lists user. exporter-toolkit checks
// passwords only where the file lists any user; where it lists none, it passes
// a made-up user on, so a name counts only if it is listed.
func (p *Policy) knowsUser(user string) (bool, error) {
	src, err := os.ReadFile(p.WebConfig)
	if err != nil {
		return false, refusal(http.StatusForbidden, "web_config cannot be read, so no user is known")
	}
	var file struct {
		Users map[string]string `yaml:"basic_auth_users"`
	}
	if err := yaml.Unmarshal(src, &file); err != nil {
		return false, refusal(http.StatusForbidden, "web_config cannot be parsed, so no user is known")
	}
	_, ok := file.Users[user]
	return ok, nil
}

func certificateNames(cert *x509.Certificate) []string {
	names := append([]string{cert.Subject.CommonName}, cert.DNSNames...)
	names = append(names, cert.EmailAddresses...)
	for _, uri := range cert.URIs {
		names = append(names, uri.String())
	}
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return slices.DeleteFunc(names, func(s string) bool { return s == "" })
}

// holdsToken compares digests, so that neither the content nor the length of
// the token shows in the time it takes.
func (p *Policy) holdsToken(r *http.Request) bool {
	scheme, given, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	got, want := sha256.Sum256([]byte(strings.TrimSpace(given))), sha256.Sum256([]byte(p.Token))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

func fromLoopback(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

// GoString keeps the token out of what people print for debugging.
func (p Policy) GoString() string {
	return fmt.Sprintf("access.Policy{WebConfig:%q, Roles:%v, Names:%q}", p.WebConfig, p.Roles, p.Names)
}

// String implements fmt.Stringer; like GoString, it leaves the token out.
func (p Policy) String() string { return p.GoString() }
