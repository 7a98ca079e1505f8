package snmp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/minikeeper/minikeeper/internal/access"
)

const (
	// timeoutHeader is how Prometheus tells how long it waits, in seconds.
	timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

	// timeoutOffset is left for rendering and the way back.
	timeoutOffset = 500 * time.Millisecond

	// patience is how long a scrape may take if nobody says so.
	patience = 100 * time.Second
)

// Handler serves /snmp with the parameters of snmp_exporter: target, module,
// auth, snmp_context and snmp_engineid; and strict=true, which turns anything
// that is missing into status 500.
//
// Without it the answer holds the tables that are whole. A target that answers
// nothing at all is status 500 in any case, so that `up` is 0.
func Handler(s *Scraper, log *slog.Logger) http.Handler {
	return &handler{scraper: s, log: log, desks: make(chan *desk, runtime.GOMAXPROCS(0))}
}

type handler struct {
	scraper *Scraper
	log     *slog.Logger

	// Writing an answer is work for a processor, so no more are written at
	// once than there are processors: the memory for it stays bounded however
	// many targets are waited for.
	desks chan *desk
	begun sync.Once
}

// A desk is what an answer is written with.
type desk struct {
	text   Text
	zip    *gzip.Writer
	packed bytes.Buffer
}

// take waits for a desk.
func (h *handler) take() *desk {
	h.begun.Do(func() {
		for range cap(h.desks) {
			h.desks <- new(desk)
		}
	})
	return <-h.desks
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		access.Error(w, r, http.StatusMethodNotAllowed, "use GET or HEAD")
		return
	}
	request, strict, err := parseRequest(r)
	if err != nil {
		access.Error(w, r, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeLeft(r.Header))
	defer cancel()
	result, err := h.scraper.Scrape(ctx, request)
	if wrong, ok := errors.AsType[*RequestError](err); ok {
		access.Error(w, r, http.StatusBadRequest, wrong.Error())
		return
	}
	if err != nil {
		h.log.DebugContext(ctx, "SNMP session not closed cleanly", "target", request.Target, "err", err)
	}
	h.respond(w, r, result, strict)
}

// respond writes the samples, or says why there are none.
func (h *handler) respond(w http.ResponseWriter, r *http.Request, result *Result, strict bool) {
	missing := result.Err()
	if missing != nil {
		h.log.InfoContext(r.Context(), "SNMP scrape is not whole", "target", result.target, "read", result.Summary(), "err", result.Cause())
	}
	if missing != nil && !result.Answered() {
		access.Error(w, r, http.StatusInternalServerError, result.Cause().Error())
		return
	}
	body, zipped, err := h.write(result, missing, strict, acceptsGzip(r.Header.Get("Accept-Encoding")))
	if err != nil {
		access.Error(w, r, http.StatusInternalServerError, err.Error())
		return
	}
	header := w.Header()
	header.Set("Content-Type", TextType)
	header.Set("Cache-Control", "no-store")
	header.Add("Vary", "Accept-Encoding")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if zipped {
		header.Set("Content-Encoding", "gzip")
	}
	_, _ = w.Write(body) // a client that went away is no error of ours
}

// write writes the samples of result, compressed if zip says so. The error
// is what is missing, if that is one.
func (h *handler) write(result *Result, missing error, strict, zip bool) (body []byte, zipped bool, err error) {
	d := h.take()
	defer func() { h.desks <- d }()
	d.text.Reset()
	result.Write(&d.text)
	if strict {
		if err := errors.Join(missing, result.Flaws()); err != nil {
			return nil, false, err
		}
	}
	if zip {
		if err := d.pack(); err == nil {
			return bytes.Clone(d.packed.Bytes()), true, nil
		}
	}
	return bytes.Clone(d.text.Bytes()), false, nil
}

// pack compresses the text.
func (d *desk) pack() (err error) {
	d.packed.Reset()
	if d.zip == nil {
		if d.zip, err = gzip.NewWriterLevel(&d.packed, gzip.BestSpeed); err != nil {
			return err
		}
	}
	d.zip.Reset(&d.packed)
	if _, err := d.zip.Write(d.text.Bytes()); err != nil {
		return err
	}
	return d.zip.Close()
}

// acceptsGzip tells whether the header Accept-Encoding allows gzip.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(coding) == "gzip" {
			weight = strings.ReplaceAll(weight, " ", "")
			return weight != "q=0" && !strings.HasPrefix(weight, "q=0.0")
		}
	}
	return false
}

// parseRequest reads the parameters. Those that may be given once only are
// refused twice, as by snmp_exporter.
func parseRequest(r *http.Request) (request Request, strict bool, err error) {
	query := r.URL.Query()
	once := func(name string) string {
		if len(query[name]) > 1 && err == nil {
			err = fmt.Errorf("parameter %s is given more than once", name)
		}
		return query.Get(name)
	}
	request = Request{
		Target: once("target"), Auth: once("auth"), Modules: query["module"],
		Context: once("snmp_context"), EngineID: once("snmp_engineid"),
	}
	switch given := once("strict"); given {
	case "", "false", "0":
	case "true", "1":
		strict = true
	default:
		err = errors.Join(err, fmt.Errorf("parameter strict wants true or false, not %q", given))
	}
	if request.Target == "" && err == nil {
		err = errors.New("parameter target is missing")
	}
	return request, strict, err
}

// timeLeft is how long a scrape may take: what the header says less what the
// way back needs.
func timeLeft(h http.Header) time.Duration {
	seconds, err := strconv.ParseFloat(h.Get(timeoutHeader), 64)
	if err != nil || !(seconds > 0 && seconds < 3600) {
		return patience
	}
	told := time.Duration(seconds * float64(time.Second))
	return max(told-timeoutOffset, told/2)
}
