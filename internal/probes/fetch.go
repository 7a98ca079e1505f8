package probes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
)

// NewClient returns a client that looks at a server as a stranger on the LAN
// does: without proxies, without connections that are kept, without following
// redirects. caFile says who signed the server's certificate; empty for the
// system's authorities.
func NewClient(caFile string) (*http.Client, error) {
	transport := &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read ca_file %s: it holds no certificate", caFile)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

const (
	maxCanary = 64 << 20
	window    = 1024 // bytes that a part has, at most
)

// A fetcher reads one file.
type fetcher struct {
	client *http.Client
	url    *url.URL
	auth   func(*http.Request)
}

// content is what a whole file was.
type content struct {
	size int64
	sum  string // SHA-256 in hex
	from int64  // where part begins
	part []byte // some of it, out of the middle
}

func (f fetcher) do(ctx context.Context, method, span string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, f.url.String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "minikeeper")
	r.Header.Set("Cache-Control", "no-cache")
	if span != "" {
		r.Header.Set("Range", span)
	}
	f.auth(r)
	return f.client.Do(r)
}

// whole asks for the file's size, then reads it.
func (f fetcher) whole(ctx context.Context) (content, *Problem) {
	announced, problem := f.size(ctx)
	if problem != nil {
		return content{}, problem
	}
	resp, err := f.do(ctx, http.MethodGet, "")
	if err != nil {
		return content{}, connection(ctx, "GET", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if problem := judge(resp, f.url); problem != nil {
		return content{}, problem
	}
	if max(announced, resp.ContentLength) > maxCanary {
		return content{}, problemf(TooLarge, "%d bytes: choose a file of at most %d MiB", max(announced, resp.ContentLength), maxCanary>>20)
	}
	seen, problem := read(ctx, resp)
	switch {
	case problem != nil:
		return content{}, problem
	case announced >= 0 && seen.size != announced:
		return content{}, problemf(WrongLength, "HEAD announces %d bytes, and GET brings %d", announced, seen.size)
	case seen.size == 0:
		return content{}, problemf(Empty, "the file is empty: choose another one")
	}
	return seen, nil
}

// size asks with HEAD how large the file is; -1 if the server does not say.
func (f fetcher) size(ctx context.Context) (int64, *Problem) {
	resp, err := f.do(ctx, http.MethodHead, "")
	if err != nil {
		return -1, connection(ctx, "HEAD", err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return -1, nil // GET will tell
	}
	return resp.ContentLength, judge(resp, f.url)
}

// read reads a body, and keeps a part of it.
func read(ctx context.Context, resp *http.Response) (content, *Problem) {
	c := content{from: max(resp.ContentLength, 0) / 2}
	hash, kept := sha256.New(), &keeper{from: c.from}
	n, err := io.Copy(io.MultiWriter(hash, kept), io.LimitReader(resp.Body, maxCanary+1))
	switch {
	case err != nil:
		return c, broken(ctx, err)
	case n > maxCanary:
		return c, problemf(TooLarge, "more than %d MiB: choose a smaller file", maxCanary>>20)
	}
	c.size, c.sum, c.part = n, hex.EncodeToString(hash.Sum(nil)), kept.part
	return c, nil
}

// part asks for the part of the file that is known, and says what is wrong
// with the answer.
func (f fetcher) part(ctx context.Context, known content) *Problem {
	to := known.from + int64(len(known.part)) - 1
	resp, err := f.do(ctx, http.MethodGet, fmt.Sprintf("bytes=%d-%d", known.from, to))
	if err != nil {
		return connection(ctx, "GET with Range", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusOK {
		return problemf(RangeIgnored, "it sends the whole file where bytes %d to %d are wanted", known.from, to)
	}
	want := fmt.Sprintf("bytes %d-%d/%d", known.from, to, known.size)
	if got := resp.Header.Get("Content-Range"); resp.StatusCode != http.StatusPartialContent || got != want {
		return problemf(RangeWrong, "it answers %s with Content-Range %q, not %q", resp.Status, shorten(got), want)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, window+1))
	if err != nil {
		return broken(ctx, err)
	}
	if !bytes.Equal(body, known.part) {
		return problemf(RangeWrong, "bytes %d to %d are not those of the whole file", known.from, to)
	}
	return nil
}

// keeper keeps the first bytes from an offset on.
type keeper struct {
	from, at int64
	part     []byte
}

// Write implements io.Writer.
func (k *keeper) Write(b []byte) (int, error) {
	n := len(b)
	if skip := k.from - k.at; skip > 0 {
		b = b[min(skip, int64(n)):]
	}
	k.part = append(k.part, b[:min(len(b), window-len(k.part))]...)
	k.at += int64(n)
	return n, nil
}

// An Origin is where the truth about a canary is. What it holds is read once,
// and again when its size, date or tag changes. It may be shared.
type Origin struct {
	Client *http.Client
	URL    *url.URL // of the file

	mu     sync.Mutex
	stamp  string
	digest string
}

// sum returns the SHA-256 of the origin's file.
func (o *Origin) sum(ctx context.Context) (string, *Problem) {
	o.mu.Lock()
	defer o.mu.Unlock()
	file := fetcher{o.Client, o.URL, func(*http.Request) {}}
	stamp, problem := file.stamp(ctx)
	if problem != nil {
		return "", problem
	}
	if stamp != "" && stamp == o.stamp {
		return o.digest, nil
	}
	seen, problem := file.whole(ctx)
	if problem != nil {
		return "", problem
	}
	o.stamp, o.digest = stamp, seen.sum
	return o.digest, nil
}

// stamp is what changes with the file; "" if the server does not say.
func (f fetcher) stamp(ctx context.Context) (string, *Problem) {
	resp, err := f.do(ctx, http.MethodHead, "")
	if err != nil {
		return "", connection(ctx, "HEAD", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if problem := judge(resp, f.url); problem != nil {
		return "", problem
	}
	tag, date := resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
	if resp.ContentLength < 0 || tag+date == "" {
		return "", nil
	}
	return strconv.FormatInt(resp.ContentLength, 10) + " " + tag + " " + date, nil
}
