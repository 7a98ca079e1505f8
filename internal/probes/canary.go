package probes

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/minikeeper/minikeeper"
)

// Metrics of distribution points.
const (
	byRange  = "minikeeper_distribution_point_range"
	original = "minikeeper_distribution_point_matches_origin"
)

// What can be wrong with a distribution point.
const (
	Redirected   = "redirect"      // it sends the client somewhere else
	WantsLogin   = "login"         // it wants a password, or shows a page to people instead of the file
	Forbidden    = "forbidden"     // it may not read the file: permissions, or a symlink that the web server does not follow
	NoFile       = "file_missing"  // the share is there, the file is not
	NoShare      = "share_missing" // the share itself is not: an unmounted disk, a symlink that leads nowhere
	WrongLength  = "length"        // HEAD and GET disagree about the size of the file
	Truncated    = "truncated"     // the file ends before its announced end
	Empty        = "empty"         // the file is empty, so nothing can be proven by it
	TooLarge     = "too_large"     // the file is larger than a canary should be
	WrongSum     = "checksum"      // it is not the origin's file
	RangeIgnored = "range_ignored" // it sends the whole file where a part is wanted
	RangeWrong   = "range_wrong"   // it sends another part, or other bytes, than those that are wanted
	OriginGone   = "origin"        // the origin's file cannot be read, so nothing is known about the checksum
)

// A DistributionPoint is a web server that hands out a share. One small file
// of it, the canary, stands for all.
type DistributionPoint struct {
	Client   *http.Client // see [NewClient]
	URL      *url.URL     // of the share
	File     string       // the canary's path in the share
	User     string       // with Password; empty if nobody logs in
	Password func() (string, error)

	SHA256 string  // of the origin's canary, in hex; or
	Origin *Origin // where the origin's canary is; or nothing, then the content is not judged
}

// Probe implements Prober.
func (p DistributionPoint) Probe(ctx context.Context) Result {
	auth, problem := login(p.User, p.Password)
	if problem != nil {
		return failed(problem)
	}
	file := fetcher{p.Client, under(p.URL, p.File), auth}
	seen, problem := file.whole(ctx)
	if problem != nil {
		return failed(p.explain(ctx, auth, problem))
	}
	r := Result{Serves: true}
	if problem := file.part(ctx, seen); problem != nil {
		r.Problems = append(r.Problems, problem)
		r.Facts = append(r.Facts, minikeeper.Sample{Name: byRange, Value: 0})
	} else {
		r.Facts = append(r.Facts, minikeeper.Sample{Name: byRange, Value: 1})
	}
	p.compare(ctx, &r, seen)
	return r
}

// explain tells a missing file from a missing share: it asks for the share
// itself, where anything but the same answer means that it is there.
func (p DistributionPoint) explain(ctx context.Context, auth func(*http.Request), problem *Problem) *Problem {
	if problem.Name != NoFile {
		return problem
	}
	resp, err := fetcher{p.Client, under(p.URL, ""), auth}.do(ctx, http.MethodGet, "")
	if err != nil {
		return problem
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone {
		return problemf(NoShare, "neither the file nor the share is there: %s", resp.Status)
	}
	return problem
}

// compare judges the content of the canary.
func (p DistributionPoint) compare(ctx context.Context, r *Result, seen content) {
	want := strings.ToLower(p.SHA256)
	if p.Origin != nil {
		var problem *Problem
		if want, problem = p.Origin.sum(ctx); problem != nil {
			// It is the origin that fails, and its clients are others.
			r.Problems = append(r.Problems, problemf(OriginGone, "read the origin's file: %w", problem))
			return
		}
	}
	switch want {
	case "":
	case seen.sum:
		r.Facts = append(r.Facts, minikeeper.Sample{Name: original, Value: 1})
	default:
		r.Serves = false
		r.Problems = append(r.Problems, problemf(WrongSum, "its SHA-256 is %s, and the origin's %s", seen.sum, want))
		r.Facts = append(r.Facts, minikeeper.Sample{Name: original, Value: 0})
	}
}

// login returns what puts credentials on requests.
func login(user string, password func() (string, error)) (func(*http.Request), *Problem) {
	if user == "" {
		return func(*http.Request) {}, nil
	}
	secret, err := password()
	if err != nil {
		return nil, problemf(Misconfigured, "log in: %w", err)
	}
	return func(r *http.Request) { r.SetBasicAuth(user, secret) }, nil
}

// under is the address of file below base. The dots of a path stay inside.
func under(base *url.URL, file string) *url.URL {
	u := *base
	u.Path = strings.TrimSuffix(base.Path, "/") + path.Clean("/"+file)
	u.RawPath = ""
	return &u
}

// judge is the problem that the status of an answer to a plain GET or HEAD
// shows.
func judge(resp *http.Response, file *url.URL) *Problem {
	switch status := resp.StatusCode; {
	case status == http.StatusOK:
		if page(resp, file) {
			return problemf(WantsLogin, "it sends a page for people (%s) instead of the file", resp.Header.Get("Content-Type"))
		}
		return nil
	case status >= 300 && status < 400:
		return problemf(Redirected, "%s to %q", resp.Status, shorten(resp.Header.Get("Location")))
	case status == http.StatusUnauthorized, status == http.StatusProxyAuthRequired:
		return problemf(WantsLogin, "it wants a password: %s", resp.Status)
	case status == http.StatusForbidden:
		return problemf(Forbidden, "it may not hand out the file, or a symlink to it leads nowhere: %s", resp.Status)
	case status == http.StatusNotFound, status == http.StatusGone:
		return problemf(NoFile, "the file is not there: %s", resp.Status)
	case status >= 500:
		return problemf(Unavailable, "it cannot serve: %s", resp.Status)
	default:
		return problemf(Protocol, "it answers %s", resp.Status)
	}
}

// page tells whether the answer is a web page although the file is none: a
// login form, or an error page with a friendly status.
func page(resp *http.Response, file *url.URL) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "text/html" && kind != "application/xhtml+xml" {
		return false
	}
	extension := strings.ToLower(path.Ext(file.Path))
	return extension != ".html" && extension != ".htm" && extension != ".xhtml"
}

// broken is the problem of a body that could not be read to its end.
func broken(ctx context.Context, err error) *Problem {
	if ctx.Err() == nil && errors.Is(err, io.ErrUnexpectedEOF) {
		return problemf(Truncated, "the file ends before its announced end")
	}
	return connection(ctx, "read the file", err)
}

func shorten(s string) string {
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
