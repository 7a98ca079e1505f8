package jamf

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// A Client asks one Jamf Pro server.
type Client struct {
	HTTP     *http.Client
	URL      *url.URL // of the server
	User     string
	Password func() (string, error)
}

// Bounds of what a server may answer.
const (
	maxBody  = 8 << 20
	maxItems = 5000
	pageSize = 200
	atOnce   = 4
)

// A statusError is an answer with another status than 200.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

// answered tells whether err is an answer with one of statuses.
func answered(err error, statuses ...int) bool {
	e, ok := errors.AsType[*statusError](err)
	return ok && slices.Contains(statuses, e.status)
}

// A session is a client that has logged in.
type session struct {
	c     *Client
	auth  func(*http.Request)
	token bool // it has one, which ends with it
}

// Inventory reads what the server holds. What could be read is returned beside
// the error.
func (c *Client) Inventory(ctx context.Context) (Inventory, error) {
	s, err := c.login(ctx)
	if err != nil {
		return Inventory{}, fmt.Errorf("log in to %s: %w", c.URL.Redacted(), err)
	}
	defer s.logout(ctx)
	var v Inventory
	points, pointsErr := s.points(ctx)
	v.DistributionPoints = points
	parts, partsErr := s.segments(ctx)
	v.Segments = parts
	v.sort()
	return v, errors.Join(pointsErr, partsErr)
}

// login gets a token. A server that is too old for tokens takes the password
// with each request.
func (c *Client) login(ctx context.Context) (*session, error) {
	password, err := c.Password()
	if err != nil {
		return nil, err
	}
	basic := func(r *http.Request) { r.SetBasicAuth(c.User, password) }
	body, err := (&session{c: c, auth: basic}).do(ctx, http.MethodPost, "api/v1/auth/token")
	if answered(err, http.StatusNotFound, http.StatusMethodNotAllowed) {
		return &session{c: c, auth: basic}, nil
	}
	if err != nil {
		return nil, err
	}
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Token == "" {
		return nil, errors.New("the answer has no token")
	}
	bearer := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+answer.Token) }
	return &session{c: c, auth: bearer, token: true}, nil
}

// logout ends the token, so that none is left lying about. It expires anyway.
func (s *session) logout(ctx context.Context) {
	if s.token {
		_, _ = s.do(ctx, http.MethodPost, "api/v1/auth/invalidate-token")
	}
}

// do asks for a path below the server's address.
func (s *session) do(ctx context.Context, method, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(s.c.URL.String(), "/")+"/"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json, application/xml;q=0.9")
	r.Header.Set("User-Agent", "minikeeper")
	s.auth(r)
	resp, err := s.c.HTTP.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, &statusError{resp.StatusCode, fmt.Sprintf("%s %s: %s", method, path, resp.Status)}
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	case len(body) > maxBody:
		return nil, fmt.Errorf("%s %s: the answer is longer than %d MiB", method, path, maxBody>>20)
	case bytes.HasPrefix(bytes.TrimSpace(bytes.ToLower(body[:min(len(body), 200)])), []byte("<!doctype html")):
		return nil, fmt.Errorf("%s %s: the answer is a page for people", method, path)
	}
	return body, nil
}

// points reads the distribution points, from the present API where there is
// one: since Jamf Pro 11.16 the classic one fails for records that were edited.
func (s *session) points(ctx context.Context) ([]DistributionPoint, error) {
	found, err := s.pages(ctx)
	if answered(err, http.StatusNotFound, http.StatusUnauthorized, http.StatusForbidden) {
		return s.classicPoints(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("read distribution points: %w", err)
	}
	return named(found), nil
}

func (s *session) pages(ctx context.Context) ([]apiPoint, error) {
	var all []apiPoint
	for page := 0; ; page++ {
		body, err := s.do(ctx, http.MethodGet, fmt.Sprintf("api/v1/distribution-points?page=%d&page-size=%d&sort=id:asc", page, pageSize))
		if err != nil {
			return nil, err
		}
		found, total, err := parsePage(body)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
		switch {
		case len(all) >= total:
			return all, nil
		case len(found) == 0:
			return nil, fmt.Errorf("the server says that there are %d, and shows %d", total, len(all))
		case len(all) > maxItems:
			return nil, fmt.Errorf("more than %d are too many to be true", maxItems)
		}
	}
}

func (s *session) classicPoints(ctx context.Context) ([]DistributionPoint, error) {
	return records(ctx, s, "distributionpoints", "distribution_points", parsePoint, func(i item) (DistributionPoint, bool) {
		return DistributionPoint{ID: strconv.Itoa(i.ID), Name: i.Name, Incomplete: true}, true
	})
}

func (s *session) segments(ctx context.Context) ([]Segment, error) {
	return records(ctx, s, "networksegments", "network_segments", parseSegment, func(item) (Segment, bool) {
		return Segment{}, false
	})
}

// records reads a classic list and each record of it, a few at once. Of a
// record that cannot be read, instead may know something nevertheless.
func records[T any](ctx context.Context, s *session, resource, what string, parse func([]byte) (T, error), instead func(item) (T, bool)) ([]T, error) {
	words := strings.ReplaceAll(what, "_", " ")
	body, err := s.do(ctx, http.MethodGet, "JSSResource/"+resource)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", words, err)
	}
	items, err := parseList(body, what)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", words, err)
	}
	if len(items) > maxItems {
		return nil, fmt.Errorf("read %s: %d are too many to be true", words, len(items))
	}
	var mu sync.Mutex
	var found []T
	var failed []error
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, i := range items {
		group.Go(func() error {
			record, err := one(ctx, s, fmt.Sprintf("JSSResource/%s/id/%d", resource, i.ID), parse)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				found = append(found, record)
				return nil
			}
			failed = append(failed, fmt.Errorf("read %s: %q: %w", words, i.Name, err))
			if other, ok := instead(i); ok {
				found = append(found, other)
			}
			return nil
		})
	}
	_ = group.Wait() // no function fails
	return found, shorten(failed)
}

func one[T any](ctx context.Context, s *session, path string, parse func([]byte) (T, error)) (T, error) {
	body, err := s.do(ctx, http.MethodGet, path)
	if err != nil {
		var none T
		return none, err
	}
	return parse(body)
}

// shorten joins the first few of errs and counts the rest.
func shorten(errs []error) error {
	const most = 5
	if n := len(errs); n > most {
		errs = append(errs[:most:most], fmt.Errorf("and %d more that cannot be read", n-most))
	}
	return errors.Join(errs...)
}
