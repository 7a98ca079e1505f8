// Package probes looks at services over the network as their clients do: does
// the file server answer in its own protocol, does the relay greet, does the
// distribution point hand out the file, whole and unchanged?
//
// A probe changes nothing on the other side: it logs in nowhere, sends no mail
// and writes no file. It judges only what it saw: a service that does not
// serve is a sample of 0, not an error. What could not be looked at is left
// out.
package probes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minikeeper/minikeeper"
)

// A Prober looks at one service once.
type Prober interface {
	// Probe returns what it saw before ctx ended.
	Probe(ctx context.Context) Result
}

// A Result is what a client saw.
type Result struct {
	Serves   bool
	Problems []*Problem          // what is wrong, whether or not it keeps the service from serving
	Facts    []minikeeper.Sample // more that was seen; the labels of the target are put on them
}

// failed is the result of a service that does not serve.
func failed(problems ...*Problem) Result { return Result{Problems: problems} }

// A Target is one service to look at, and whose it is.
type Target struct {
	Probe        string // what kind of service it is; the label `probe`
	Name         string // which one; the label `target`
	Server, Site string // whose it is; empty where it belongs to no server
	Prober       Prober
}

func (t Target) key() string { return t.Probe + "\xff" + t.Name + "\xff" + t.Server }

func (t Target) labels() []minikeeper.Label {
	return []minikeeper.Label{
		{Name: "probe", Value: t.Probe},
		{Name: "target", Value: t.Name},
		{Name: "server", Value: t.Server},
		{Name: "site", Value: t.Site},
	}
}

// Names of the metrics. The series of every one carry the labels of the target.
const (
	success  = "minikeeper_probe_success"
	duration = "minikeeper_probe_duration_seconds"
	problem  = "minikeeper_probe_problem"
)

// atOnce bounds how many services are looked at at the same time.
const atOnce = 32

// Options are what all targets share.
type Options struct {
	Timeout time.Duration // of one probe; 10 s if zero
	Log     *slog.Logger  // is told when a service begins or ceases to serve; may be nil
}

const defaultTimeout = 10 * time.Second

// A Source looks at targets. It is a source of metrics for the exporter.
type Source struct {
	timeout time.Duration
	log     *slog.Logger
	targets []Target

	mu   sync.Mutex
	told map[string]string // by target, the problem that was logged last
}

// New returns a Source of targets, whose probe, name and server must differ.
func New(o Options, targets []Target) *Source {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Source{timeout: o.Timeout, log: o.Log, targets: slices.Clone(targets), told: make(map[string]string)}
}

// Timeout is how long one reading of all targets may take.
func (s *Source) Timeout() time.Duration {
	rounds := (len(s.targets) + atOnce - 1) / atOnce
	return time.Duration(max(rounds, 1))*s.timeout + 5*time.Second
}

// Families lists every metric that Collect can return.
func (*Source) Families() []minikeeper.Family { return Families() }

// Families lists every metric that probes can return.
func Families() []minikeeper.Family {
	labels := []string{"probe", "target", "server", "site"}
	gauge := func(name, help string, more ...string) minikeeper.Family {
		return minikeeper.Family{Name: name, Help: help, Type: minikeeper.Gauge, Labels: append(slices.Clone(labels), more...)}
	}
	return []minikeeper.Family{
		gauge(success, "Whether the service serves its clients (1) or not (0)."),
		gauge(duration, "How long it took to look at the service."),
		gauge(problem, "Always 1; the label says what is wrong with the service.", "problem"),
		gauge(startTLS, "Whether the mail server offers STARTTLS (1) or not (0)."),
		gauge(byRange, "Whether the distribution point sends the right bytes of a part that is asked for (1) or not (0)."),
		gauge(original, "Whether the file on the distribution point is the origin's (1) or not (0); absent if the origin's is not known."),
		gauge(bsdpImage, "A NetBoot image that is offered to clients, and the address of who offers it. Always 1.", "responder", "image_id", "index", "name"),
		gauge(healthCode, "The health code that the Jamf server gives: 0 is well; absent if it gives none."),
	}
}

// Collect looks at all targets once. A target whose probe had not ended when
// ctx did is left out; that is the only error.
func (s *Source) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	found := make([][]minikeeper.Sample, len(s.targets))
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, t := range s.targets {
		wg.Go(func() {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
			case <-ctx.Done():
				return
			}
			found[i] = s.look(ctx, t)
		})
	}
	wg.Wait()
	missed := 0
	for _, samples := range found {
		if samples == nil {
			missed++
		}
	}
	if missed > 0 {
		return slices.Concat(found...), fmt.Errorf("look at services: no time for %d of %d: %w", missed, len(found), context.Cause(ctx))
	}
	return slices.Concat(found...), nil
}

// look probes t. It returns nil if ctx ended first.
func (s *Source) look(ctx context.Context, t Target) []minikeeper.Sample {
	if ctx.Err() != nil {
		return nil
	}
	begun := time.Now()
	own, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	r := t.Prober.Probe(own)
	took := time.Since(begun)
	if ctx.Err() != nil {
		return nil // it is not the service's fault
	}
	s.tell(ctx, t, r)
	return samples(t, r, took)
}

// samples is what is exported about t. It is pure.
func samples(t Target, r Result, took time.Duration) []minikeeper.Sample {
	labels, serves := t.labels(), 0.0
	if r.Serves {
		serves = 1
	}
	all := []minikeeper.Sample{
		{Name: success, Labels: labels, Value: serves},
		{Name: duration, Labels: labels, Value: took.Seconds()},
	}
	var named []string
	for _, p := range r.Problems {
		if slices.Contains(named, p.Name) {
			continue
		}
		named = append(named, p.Name)
		with := append(slices.Clone(labels), minikeeper.Label{Name: "problem", Value: p.Name})
		all = append(all, minikeeper.Sample{Name: problem, Labels: with, Value: 1})
	}
	for _, f := range r.Facts {
		all = append(all, minikeeper.Sample{Name: f.Name, Labels: append(slices.Clone(labels), f.Labels...), Value: f.Value})
	}
	return all
}

// tell logs when something else is wrong with t than before.
func (s *Source) tell(ctx context.Context, t Target, r Result) {
	errs := make([]error, 0, len(r.Problems))
	var all []string
	for _, p := range r.Problems {
		errs = append(errs, p)
		all = append(all, p.Name)
	}
	names := strings.Join(all, " ")
	s.mu.Lock()
	before := s.told[t.key()]
	s.told[t.key()] = names
	s.mu.Unlock()
	if names == before {
		return
	}
	log := s.log.With("probe", t.Probe, "target", t.Name, "server", t.Server)
	switch {
	case names == "":
		log.InfoContext(ctx, "nothing is wrong with the service any more")
	case r.Serves:
		log.WarnContext(ctx, "the service serves, with a problem", "err", errors.Join(errs...))
	default:
		log.WarnContext(ctx, "the service does not serve", "err", errors.Join(errs...))
	}
}
