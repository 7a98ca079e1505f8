package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/minikeeper/minikeeper"
)

// Paths of the API. docs/keeper-api.md describes it.
const (
	pathPlan    = "/api/v1/actions/plan"
	pathDo      = "/api/v1/actions/do"
	pathRunning = "/api/v1/actions/running"
	pathCollect = "/api/v1/collect"
)

// bodyLimit bounds every body, both ways.
const bodyLimit = 1 << 20

// maxWait bounds how long one request waits for a step, so that no proxy or
// NAT on the way loses patience with a connection on which nothing moves.
const maxWait = time.Minute

// doRequest asks for a step.
type doRequest struct {
	Order       minikeeper.Order `json:"order"`
	Step        int              `json:"step"`
	WaitSeconds int              `json:"wait_seconds,omitempty"` // answer 202 when it still runs after this long
}

// runningReply is the answer about the run at work, and to a step that has not
// ended yet.
type runningReply struct {
	Run string `json:"run"` // "" if there is none
}

// collectRequest names collectors; none means all.
type collectRequest struct {
	Collectors []string `json:"collectors,omitempty"`
}

type collectReply struct {
	Measurements []minikeeper.Measurement `json:"measurements"`
}

// errorReply is the body of every answer that is not a success.
type errorReply struct {
	Error string `json:"error"`
}

// badRequest is an error of the asker's, with the status that says so.
type badRequest struct {
	status int
	reason string
}

func (b badRequest) Error() string { return b.reason }

// readRequest reads the body of r into v, strictly: a field that this keeper
// does not know may be one that the asker relies on.
func readRequest(w http.ResponseWriter, r *http.Request, v any) error {
	// A web page cannot send this type to another site without being asked first.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return badRequest{http.StatusUnsupportedMediaType, "the body must be application/json"}
	}
	err := decodeStrictly(http.MaxBytesReader(w, r.Body, bodyLimit), v)
	if tooLong, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return badRequest{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is longer than %d bytes", tooLong.Limit)}
	}
	if err != nil {
		return badRequest{http.StatusBadRequest, "read request: " + err.Error()}
	}
	return nil
}

// decodeStrictly reads one JSON value that v describes wholly, and nothing after it.
func decodeStrictly(r io.Reader, v any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("there is more than one value")
		}
		return err
	}
	return nil
}
