package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/minikeeper/minikeeper/remediate"
)

// maxAnswer bounds what the client reads of an answer.
const maxAnswer = 16 << 20

// A Client asks a running daemon.
type Client struct {
	Base  string // such as "http://127.0.0.1:9797"
	Token string
	HTTP  *http.Client
}

// ErrRefused is what the daemon's own no is wrapped in: a guard, a plan that
// changed, a run that is in another state.
var ErrRefused = errors.New("refused")

// ErrUnreachable is what an error is wrapped in when no daemon answered.
var ErrUnreachable = errors.New("no daemon answers")

// A Wrong request is one that the daemon would not take: it cannot be right, or
// the caller may not ask for it.
type Wrong struct {
	Status int // of HTTP, 4xx
	Reason string
}

// Error implements error.
func (w *Wrong) Error() string { return w.Reason }

// Preview returns what a remedy would do now.
func (c Client) Preview(ctx context.Context, a Ask) (remediate.Preview, error) {
	var p remediate.Preview
	return p, c.call(ctx, http.MethodPost, PathPreview, a, &p)
}

// Start tries a remedy now.
func (c Client) Start(ctx context.Context, a Ask) (remediate.Record, error) {
	var r remediate.Record
	return r, c.call(ctx, http.MethodPost, PathRuns, a, &r)
}

// Run returns the run called id.
func (c Client) Run(ctx context.Context, id string) (remediate.Record, error) {
	var r remediate.Record
	return r, c.call(ctx, http.MethodGet, PathRuns+"/"+url.PathEscape(id), nil, &r)
}

// Approve lets a run go ahead with the plan of the given hash.
func (c Client) Approve(ctx context.Context, run, planHash string) error {
	return c.call(ctx, http.MethodPost, PathRuns+"/"+url.PathEscape(run)+"/approve", Approval{planHash}, nil)
}

// Deny cancels a run that waits for approval.
func (c Client) Deny(ctx context.Context, run string) error {
	return c.call(ctx, http.MethodPost, PathRuns+"/"+url.PathEscape(run)+"/deny", nil, nil)
}

// Close ends a run of which nobody knows what it did.
func (c Client) Close(ctx context.Context, run string) error {
	return c.call(ctx, http.MethodPost, PathRuns+"/"+url.PathEscape(run)+"/close", nil, nil)
}

// Pause keeps new runs within p from starting.
func (c Client) Pause(ctx context.Context, p Pause) error {
	return c.call(ctx, http.MethodPost, PathPauses, p, nil)
}

// Resume lifts a pause.
func (c Client) Resume(ctx context.Context, p Pause) error {
	return c.call(ctx, http.MethodDelete, PathPauses, p, nil)
}

// call sends in, if it is not nil, and decodes the answer into out, if that is
// not nil.
func (c Client) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("ask daemon: %w", err)
	}
	if in == nil {
		body = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask daemon: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.Token)
	res, err := c.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read answer of %s: %w", c.Base, err)
	}
	if res.StatusCode/100 != 2 {
		return refused(res.StatusCode, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("read answer of %s: %w", c.Base, err)
	}
	return nil
}

// refused is the error of an answer other than 2xx.
func refused(status int, answer []byte) error {
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(answer, &said) != nil || said.Error == "" {
		said.Error = http.StatusText(status)
	}
	switch {
	case status == http.StatusConflict:
		return fmt.Errorf("%w: %s", ErrRefused, said.Error)
	case status/100 == 4:
		return &Wrong{status, said.Error}
	default:
		return fmt.Errorf("the daemon failed: %s", said.Error)
	}
}
