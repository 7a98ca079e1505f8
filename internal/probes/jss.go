package probes

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"

	"github.com/minikeeper/minikeeper"
)

// healthCode is the metric of what a Jamf server says of itself.
const healthCode = "minikeeper_jss_health_code"

// What a Jamf server can say of itself.
const (
	NoDatabase   = "database" // it does not reach its database, or does not know where that is
	SettingUp    = "setup"    // nobody has set it up
	NotAvailable = "starting" // it starts, or is otherwise not ready
)

// JSS is a Jamf Pro server, which tells on /healthCheck.html how it does.
type JSS struct {
	Client *http.Client // see [NewClient]
	URL    *url.URL     // of the server
}

// maxHealth is more than a list of troubles takes.
const maxHealth = 64 << 10

// Probe implements Prober.
func (p JSS) Probe(ctx context.Context) Result {
	page := fetcher{p.Client, under(p.URL, "healthCheck.html"), func(*http.Request) {}}
	resp, err := page.do(ctx, http.MethodGet, "")
	if err != nil {
		return failed(connection(ctx, "GET", err))
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxHealth+1))
	if err != nil {
		return failed(broken(ctx, err))
	}
	// A server in trouble may say so in the body, whatever its status is.
	code, problem := parseHealth(body)
	if problem != nil && problem.Name == Protocol && resp.StatusCode != http.StatusOK {
		return failed(judge(resp, page.url))
	}
	r := Result{Serves: problem == nil}
	if problem != nil {
		r.Problems = []*Problem{problem}
	}
	if problem == nil || problem.Name != Protocol {
		r.Facts = []minikeeper.Sample{{Name: healthCode, Value: float64(code)}}
	}
	return r
}

// A health is one trouble of a Jamf server.
type health struct {
	Code        *int   `json:"healthCode"`
	HTTPCode    int    `json:"httpCode"`
	Description string `json:"description"`
}

// parseHealth reads the body of /healthCheck.html: a list of troubles, which is
// empty if there are none. It is pure.
func parseHealth(body []byte) (code int, problem *Problem) {
	if len(body) > maxHealth {
		return 0, problemf(Protocol, "the answer is longer than %d KiB", maxHealth>>10)
	}
	var troubles []health
	body = bytes.TrimSpace(body)
	if !bytes.HasPrefix(body, []byte("[")) || json.Unmarshal(body, &troubles) != nil {
		return 0, problemf(Protocol, "the answer is no list of troubles: %q", shorten(string(body[:min(len(body), 200)])))
	}
	if len(troubles) == 0 {
		return 0, nil
	}
	first := troubles[0]
	if first.Code == nil {
		return 0, problemf(Protocol, "the answer has a trouble without a code")
	}
	name := NotAvailable
	switch first.Description {
	case "DBConnectionError", "DBConnectionConfigError":
		name = NoDatabase
	case "SetupAssistant":
		name = SettingUp
	}
	return *first.Code, problemf(name, "it says %q (code %d)", shorten(first.Description), *first.Code)
}
