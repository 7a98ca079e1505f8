package rules

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/compression"
	"golang.org/x/sync/errgroup"

	"github.com/minikeeper/minikeeper"
)

// A Store keeps samples, fetches them, and evaluates rules on them.
type Store struct {
	opts   Options
	parser parser.Parser
	db     *tsdb.DB
	engine *promql.Engine

	self      *self // scrapes this process
	discovery *discovery.Manager
	scrape    *scrape.Manager
	rules     *promrules.Manager

	cancel  context.CancelFunc // ends discovery and evaluations
	opened  time.Time
	changed chan struct{}
	queries chan struct{} // one token for each query that the API may run at once

	mu      sync.Mutex             // guards what follows, and lets one reload run at a time
	jobs    []*config.ScrapeConfig // that are scraped
	started bool
	closed  bool
	done    chan struct{} // closed when Run has returned
}

// Open opens the samples in o.Dir, makes o.Inputs ready, and returns a store
// that answers queries. [Store.Run] starts scraping and evaluating. Bad inputs
// and a directory that another process uses are errors.
//
// The store uses ctx for its queries for as long as it is open.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	s := &Store{
		opts:    o,
		parser:  newParser(),
		opened:  time.Now(),
		changed: make(chan struct{}, 1),
		queries: make(chan struct{}, maxQueries),
		done:    make(chan struct{}),
		self:    newSelf(),
	}
	in, err := s.prepare(o.Inputs)
	if err != nil {
		return nil, err
	}
	if err := s.openSamples(); err != nil {
		return nil, err
	}
	ctx, s.cancel = context.WithCancel(ctx)
	if err := s.assemble(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.apply(in); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// The smallest that the TSDB takes, or near it: minikeeper has thousands of
// series, where Prometheus prepares for millions.
const (
	stripes           = 512
	walSegmentBytes   = 16 << 20
	chunkWriteBuffer  = 256 << 10
	maxSamplesInQuery = 5_000_000
	maxQueries        = 20
	queryTimeout      = 2 * time.Minute
)

func (s *Store) openSamples() error {
	if err := os.MkdirAll(s.opts.Dir, 0o750); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	o := tsdb.DefaultOptions()
	o.RetentionDuration = s.opts.Retention.Milliseconds()
	o.MaxBytes = s.opts.MaxBytes
	o.StripeSize = stripes
	o.WALSegmentSize = walSegmentBytes
	o.WALCompression = compression.Snappy
	o.HeadChunksWriteBufferSize = chunkWriteBuffer
	db, err := tsdb.Open(s.opts.Dir, s.opts.Log, s.opts.Registry, o, nil)
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("open store %q: another process uses it: %w", s.opts.Dir, err)
	case err != nil:
		return fmt.Errorf("open store %q: %w", s.opts.Dir, err)
	}
	s.db = db
	return nil
}

// assemble puts the parts together around the open samples.
func (s *Store) assemble(ctx context.Context) error {
	s.engine = promql.NewEngine(promql.EngineOpts{
		Logger:               s.opts.Log,
		Reg:                  s.opts.Registry,
		MaxSamples:           maxSamplesInQuery,
		Timeout:              queryTimeout,
		LookbackDelta:        s.opts.Lookback,
		EnableAtModifier:     true,
		EnableNegativeOffset: true,
		NoStepSubqueryIntervalFn: func(int64) int64 {
			return s.opts.EvalInterval.Milliseconds()
		},
		Parser: s.parser,
	})
	if err := s.assembleScraping(ctx); err != nil {
		return err
	}
	return s.assembleRules(ctx)
}

func (s *Store) assembleRules(ctx context.Context) error {
	external, err := url.Parse(s.opts.ExternalURL)
	if err != nil {
		return fmt.Errorf("read external URL: %w", err)
	}
	s.rules = promrules.NewManager(&promrules.ManagerOptions{
		NameValidationScheme: model.UTF8Validation,
		ExternalURL:          external,
		QueryFunc:            promrules.EngineQueryFunc(s.engine, s.db),
		NotifyFunc:           func(context.Context, string, ...*promrules.Alert) {},
		Context:              ctx,
		Appendable:           s.db,
		Queryable:            s.db,
		Logger:               s.opts.Log,
		Registerer:           s.opts.Registry,
		OutageTolerance:      s.opts.OutageTolerance,
		// A `for` shorter than the grace period starts again after a restart,
		// so the period is no longer than it takes to have fresh samples.
		ForGracePeriod:       2 * s.opts.EvalInterval,
		ResendDelay:          time.Minute,
		RestoreNewRuleGroups: true,
		GroupLoader:          loader{parser: s.parser, log: s.opts.Log, maxFor: s.opts.MaxFor},
		Parser:               s.parser,
	})
	return nil
}

// Run scrapes and evaluates until ctx ends, which is no error. A store runs
// once.
func (s *Store) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.started || s.closed {
		s.mu.Unlock()
		return errors.New("run store: it has run before or is closed")
	}
	s.started = true
	s.mu.Unlock()
	defer close(s.done)

	group, ctx := errgroup.WithContext(ctx)
	group.Go(s.discovery.Run)
	group.Go(func() error { return s.scrape.Run(s.discovery.SyncCh()) })
	group.Go(func() error {
		s.rules.Run()
		return nil
	})
	<-ctx.Done()
	s.rules.Stop()
	s.scrape.Stop()
	s.cancel()
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("run store: %w", err)
	}
	return nil
}

// Close closes the samples. The context of a Run must have ended before;
// Close waits until it has returned.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.started {
		<-s.done
	} else if s.rules != nil {
		// Groups wait for the manager to run, and would wait for ever.
		go s.rules.Run()
		s.rules.Stop()
	}
	s.cancel()
	s.self.close()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close store %q: %w", s.opts.Dir, err)
	}
	return nil
}

// Reload replaces what is scraped and which rules are evaluated. If anything
// in in is wrong, nothing changes and the error says what is wrong. Alerts of
// rules that stay keep their state.
func (s *Store) Reload(_ context.Context, in Inputs) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("reload store: it is closed")
	}
	ready, err := s.prepare(in)
	if err != nil {
		return err
	}
	return s.apply(ready)
}

// Append stores samples as measured at t. Those of one series must come in the
// order of their times. If one is refused, none is stored.
func (s *Store) Append(ctx context.Context, samples []minikeeper.Sample, t time.Time) error {
	app := s.db.AppenderV2(ctx)
	for _, sample := range samples {
		if _, err := app.Append(0, seriesOf(sample), 0, t.UnixMilli(), sample.Value, nil, nil, storage.AppendV2Options{}); err != nil {
			return errors.Join(fmt.Errorf("store %s: %w", sample, err), app.Rollback())
		}
	}
	if err := app.Commit(); err != nil {
		return fmt.Errorf("store samples: %w", err)
	}
	return nil
}

func seriesOf(sample minikeeper.Sample) labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, l := range sample.Labels {
		b.Set(l.Name, l.Value)
	}
	return b.Set(model.MetricNameLabel, sample.Name).Labels()
}
