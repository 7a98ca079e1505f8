package keeper

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
)

// How a Client asks for a step.
const (
	askWait      = 20 * time.Second // how long a request may wait for the step
	askSlack     = 20 * time.Second // how much longer its answer may take; then the connection is taken for dead
	usual        = 2 * time.Minute  // Patience where it is not set
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
)

// A Client is a keeper that is reached over HTTP.
//
// An error that is a Refused is the keeper's definite answer that nothing was
// done. Any other error of Do leaves open what happened.
type Client struct {
	// Patience is how long Do goes on asking a keeper that does not answer;
	// 0 is two minutes. What it asks for is done at most once all the same.
	Patience time.Duration

	base  string
	token string
	http  *http.Client
}

var _ minikeeper.Target = (*Client)(nil)

// NewClient returns a Client of the keeper at baseURL, such as
// "https://lon-mini-1:9797". A token that is not empty is sent with each
// request. hc should have no timeout of its own: a plan may have to read
// large files, and ends with its context. Redirects are not followed, since
// they would carry an order somewhere else.
func NewClient(baseURL string, hc *http.Client, token string) *Client {
	own := http.Client{}
	if hc != nil {
		own = *hc
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: strings.TrimSuffix(baseURL, "/"), token: token, http: &own}
}

// Plan implements minikeeper.Target.
func (c *Client) Plan(ctx context.Context, o minikeeper.Order) (minikeeper.Plan, error) {
	var plan minikeeper.Plan
	_, err := c.call(ctx, http.MethodPost, pathPlan, o, &plan)
	return plan, err
}

// Running implements minikeeper.Target.
func (c *Client) Running(ctx context.Context) (string, error) {
	var reply runningReply
	_, err := c.call(ctx, http.MethodGet, pathRunning, nil, &reply)
	return reply.Run, err
}

// Collect implements minikeeper.Target.
func (c *Client) Collect(ctx context.Context, collectors ...string) ([]minikeeper.Measurement, error) {
	var reply collectReply
	_, err := c.call(ctx, http.MethodPost, pathCollect, collectRequest{Collectors: collectors}, &reply)
	return reply.Measurements, err
}

// Do implements minikeeper.Target. It asks again when the connection is lost
// or the step takes long: the keeper answers with what the step left behind.
func (c *Client) Do(ctx context.Context, o minikeeper.Order, i int) (minikeeper.StepResult, error) {
	req := doRequest{Order: o, Step: i, WaitSeconds: int(askWait / time.Second)}
	silentSince, backoff := time.Now(), firstBackoff
	for first := true; ; first = false {
		var result minikeeper.StepResult
		ended, err := c.askForStep(ctx, req, &result)
		switch r, refused := errors.AsType[Refused](err); {
		case refused && r.elsewhere && !first:
			return minikeeper.StepResult{}, fmt.Errorf("ask %s again for a step that may have begun: %s", c.base, r.Reason)
		case err == nil && ended:
			return result, nil
		case err == nil:
			silentSince, backoff = time.Now(), firstBackoff
			continue
		case !transient(err) || ctx.Err() != nil || time.Since(silentSince) >= c.patience():
			return minikeeper.StepResult{}, err
		}
		if err := sleep(ctx, backoff); err != nil {
			return minikeeper.StepResult{}, fmt.Errorf("ask %s: %w", c.base, err)
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

func (c *Client) patience() time.Duration {
	if c.Patience > 0 {
		return c.Patience
	}
	return usual
}

// askForStep makes one request. ended is false while the step runs.
func (c *Client) askForStep(ctx context.Context, req doRequest, result *minikeeper.StepResult) (ended bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askWait+askSlack)
	defer cancel()
	status, err := c.call(ctx, http.MethodPost, pathDo, req, result)
	return status == http.StatusOK, err
}

// A lost error says that no answer came, or none of the keeper's: it may come
// the next time.
type lost struct{ error }

func (l lost) Unwrap() error { return l.error }

func transient(err error) bool {
	_, ok := errors.AsType[lost](err)
	return ok
}

// call makes one request and decodes a 200's body into out.
func (c *Client) call(ctx context.Context, method, path string, in, out any) (status int, err error) {
	res, err := c.send(ctx, method, path, in)
	if err != nil {
		return 0, lost{fmt.Errorf("ask %s: %w", c.base, err)}
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, bodyLimit+1))
	if err != nil {
		return 0, lost{fmt.Errorf("read answer of %s: %w", c.base, err)}
	}
	switch {
	case len(data) > bodyLimit:
		return 0, fmt.Errorf("read answer of %s: it is longer than %d bytes", c.base, bodyLimit)
	case res.StatusCode == http.StatusAccepted && path == pathDo:
		return res.StatusCode, nil
	case res.StatusCode != http.StatusOK:
		return 0, c.failure(res, data)
	}
	if err := json.Unmarshal(data, out); err != nil {
		return 0, fmt.Errorf("read answer of %s: %w", c.base, err)
	}
	return res.StatusCode, nil
}

func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return c.http.Do(req)
}

// failure returns the error that an answer other than success stands for.
func (c *Client) failure(res *http.Response, data []byte) error {
	var reply errorReply
	reason := res.Status
	if err := json.Unmarshal(data, &reply); err == nil && reply.Error != "" {
		reason = reply.Error
	}
	switch code := res.StatusCode; {
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests,
		code == http.StatusBadGateway, code == http.StatusServiceUnavailable, code == http.StatusGatewayTimeout:
		return lost{fmt.Errorf("%s answers: %s", c.base, reason)}
	case code >= 400 && code < 500:
		return Refused{Reason: reason, elsewhere: code != http.StatusConflict}
	default:
		return fmt.Errorf("%s answers: %s", c.base, reason)
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
