package rules

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
)

// Options say where a store keeps its samples and how often it looks.
type Options struct {
	Dir          string        // where the samples lie; made if it does not exist
	Retention    time.Duration // how long samples are kept; 90 days if zero
	MaxBytes     int64         // how much they may take on disk, without the newest hours; no limit if zero
	Interval     time.Duration // between scrapes; 30 s if zero
	EvalInterval time.Duration // between evaluations of a rule group that names none; Interval if zero
	Lookback     time.Duration // how long a sample counts as the present value; 5 min if zero

	// OutageTolerance is how long the process may have been away for the `for`
	// of an alert to go on where it was; 1 h if zero.
	OutageTolerance time.Duration

	// MaxFor shortens every `for` and `keep_firing_for` in rule files to at
	// most this. It is for demonstrations; zero leaves them as written.
	MaxFor time.Duration

	ExternalURL    string            // of this process, for links in alerts; may be empty
	ExternalLabels map[string]string // for templates in rules; may be nil

	// CollectorOf names the collector that a metric comes from. Evidence on
	// such a metric counts only if its collector has read its source anew. A
	// nil function knows no collector.
	CollectorOf func(metric string) (collector string, ok bool)

	Inputs Inputs

	Registry prometheus.Registerer // gets the metrics of TSDB, scraping and rules; may be nil
	Log      *slog.Logger          // may be nil
}

// Inputs are what may change while a store runs.
type Inputs struct {
	Targets       []ScrapeTarget
	ScrapeConfigs []byte   // a list in Prometheus's own format; static and http discovery; may be empty
	RuleFiles     []string // paths as [Files] returns them
}

// A ScrapeTarget is one address whose metrics are fetched, and who it is.
type ScrapeTarget struct {
	Job string // its `job` label
	URL string // such as "https://lon-mini-1:9797/metrics"; the path is /metrics if it has none; not used with Handler

	// Handler serves the metrics of this very process. It is asked without a
	// network in between, so it needs no port, no credentials and no URL.
	Handler http.Handler

	// Labels are put on everything that is scraped, over whatever it says of
	// itself, unless Honor is set. A label that starts with two underscores is not stored: it sets
	// a parameter of the scrape, as in Prometheus.
	Labels map[string]string

	// Honor has a series keep a label of its own where Labels has one of the
	// same name. It is for a target that speaks of others, and can be trusted
	// to: this process, where it probes the services of other servers.
	Honor bool

	// HTTP holds TLS and credentials; nil is Prometheus's default.
	HTTP *config.HTTPClientConfig
}

const (
	defaultRetention = 90 * 24 * time.Hour
	defaultInterval  = 30 * time.Second
	defaultLookback  = 5 * time.Minute
	defaultOutage    = time.Hour
)

// complete fills in what was left out and refuses what makes no sense.
func (o *Options) complete() error {
	if o.Dir == "" {
		return errors.New("open store: no directory given")
	}
	o.Retention = cmp.Or(o.Retention, defaultRetention)
	o.Interval = cmp.Or(o.Interval, defaultInterval)
	o.EvalInterval = cmp.Or(o.EvalInterval, o.Interval)
	o.Lookback = cmp.Or(o.Lookback, defaultLookback)
	o.OutageTolerance = cmp.Or(o.OutageTolerance, defaultOutage)
	for _, d := range []time.Duration{o.Retention, o.Interval, o.EvalInterval, o.Lookback, o.OutageTolerance} {
		if d < time.Millisecond {
			return fmt.Errorf("open store %q: %v is shorter than 1ms", o.Dir, d)
		}
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.CollectorOf == nil {
		o.CollectorOf = func(string) (string, bool) { return "", false }
	}
	return nil
}
