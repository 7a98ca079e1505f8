package rules

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	_ "github.com/prometheus/prometheus/discovery/file" // file_sd_configs in scrape_configs
	_ "github.com/prometheus/prometheus/discovery/http" // http_sd_configs
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/scrape"
	"go.yaml.in/yaml/v3"
)

const (
	// discoveryDelay is how soon a new target is noticed.
	discoveryDelay = 200 * time.Millisecond
	// maxScrapeTimeout is how long a target may take, at most.
	maxScrapeTimeout = 10 * time.Second
	// A target that sends more than this fails to be scraped.
	maxScrapeBytes   = 64 << 20
	maxScrapeSamples = 200_000
)

// inputs are Inputs after all of it was checked.
type inputs struct {
	scraping  *config.Config
	ruleFiles []string
	self      http.Handler // nil if this process is not scraped
}

func (s *Store) assembleScraping(ctx context.Context) error {
	metrics, err := discovery.CreateAndRegisterSDMetrics(s.opts.Registry)
	if err != nil {
		return fmt.Errorf("register discovery metrics: %w", err)
	}
	s.discovery = discovery.NewManager(ctx, s.opts.Log, s.opts.Registry, metrics,
		discovery.Name("scrape"), discovery.Updatert(discoveryDelay))
	if s.discovery == nil {
		return fmt.Errorf("register discovery metrics: registry of store %q has them already", s.opts.Dir)
	}
	s.scrape, err = scrape.NewManager(&scrape.Options{
		DiscoveryReloadInterval:  model.Duration(discoveryDelay),
		DiscoveryReloadOnStartup: true,
		HTTPClientOptions:        []promconfig.HTTPClientOption{promconfig.WithDialContextFunc(s.self.dial)},
	}, s.opts.Log, nil, nil, s.db, s.opts.Registry)
	if err != nil {
		return fmt.Errorf("prepare scraping: %w", err)
	}
	return nil
}

// prepare checks in and changes nothing.
func (s *Store) prepare(in Inputs) (inputs, error) {
	scraping, err := s.scrapeConfig(in)
	if err != nil {
		return inputs{}, err
	}
	if err := checkFiles(in.RuleFiles); err != nil {
		return inputs{}, err
	}
	ready := inputs{scraping: scraping, ruleFiles: in.RuleFiles}
	for _, t := range in.Targets {
		if t.Handler != nil {
			ready.self = t.Handler
		}
	}
	return ready, nil
}

// apply puts prepared inputs into effect.
func (s *Store) apply(in inputs) error {
	if err := s.rules.Update(s.opts.EvalInterval, in.ruleFiles, in.scraping.GlobalConfig.ExternalLabels, s.opts.ExternalURL, s.evaluate); err != nil {
		return fmt.Errorf("load rules: %w", err)
	}
	found := make(map[string]discovery.Configs)
	for _, job := range in.scraping.ScrapeConfigs {
		found[job.JobName] = job.ServiceDiscoveryConfigs
	}
	jobs := in.scraping.ScrapeConfigs
	in.scraping.ScrapeConfigs = append(slices.Clone(jobs), s.retired(found)...)
	s.self.use(in.self)
	if err := s.scrape.ApplyConfig(in.scraping); err != nil {
		return fmt.Errorf("apply scrape configs: %w", err)
	}
	if err := s.discovery.ApplyConfig(found); err != nil {
		return fmt.Errorf("apply scrape configs: %w", err)
	}
	s.jobs = jobs
	return nil
}

// retired returns the jobs that are scraped now and not in found, and puts them
// there without targets. A job that loses its targets ends its series; one
// that is taken away leaves them as they were for as long as a lookback, and
// alerts about servers that are gone with them.
func (s *Store) retired(found map[string]discovery.Configs) []*config.ScrapeConfig {
	var retired []*config.ScrapeConfig
	for _, job := range s.jobs {
		if _, stays := found[job.JobName]; !stays {
			found[job.JobName] = discovery.Configs{}
			retired = append(retired, job)
		}
	}
	return retired
}

// scrapeConfig is a Prometheus configuration that scrapes what in names.
func (s *Store) scrapeConfig(in Inputs) (*config.Config, error) {
	text, err := configText(s.opts, in.ScrapeConfigs)
	if err != nil {
		return nil, err
	}
	c, err := config.Load(text, s.opts.Log)
	if err != nil {
		return nil, fmt.Errorf("read scrape_configs: %w", err)
	}
	names := make(map[string]int)
	for _, t := range in.Targets {
		job, err := targetConfig(t)
		if err != nil {
			return nil, err
		}
		// A name that does not depend on other targets: a job whose name
		// changes is scraped anew.
		if names[job.JobName]++; names[job.JobName] > 1 {
			job.JobName = fmt.Sprintf("%s (%d)", job.JobName, names[job.JobName])
		}
		if err := job.Validate(c.GlobalConfig); err != nil {
			return nil, fmt.Errorf("scrape target %q: %w", t.URL, err)
		}
		c.ScrapeConfigs = append(c.ScrapeConfigs, job)
	}
	return c, nil
}

// configText is the part of a Prometheus configuration that people write. It
// goes through a YAML node, so that nothing but a list of jobs can come in.
func configText(o Options, scrapeConfigs []byte) (string, error) {
	var jobs yaml.Node
	if err := yaml.Unmarshal(scrapeConfigs, &jobs); err != nil {
		return "", fmt.Errorf("read scrape_configs: %w", err)
	}
	timeout := min(o.Interval, maxScrapeTimeout)
	top := map[string]any{"global": map[string]any{
		"scrape_interval":     model.Duration(o.Interval).String(),
		"scrape_timeout":      model.Duration(timeout).String(),
		"evaluation_interval": model.Duration(o.EvalInterval).String(),
		"external_labels":     o.ExternalLabels,
	}}
	if len(jobs.Content) > 0 {
		if jobs.Content[0].Kind != yaml.SequenceNode {
			return "", fmt.Errorf("read scrape_configs: line %d: want a list of jobs", jobs.Content[0].Line)
		}
		top["scrape_configs"] = jobs.Content[0]
	}
	text, err := yaml.Marshal(top)
	if err != nil {
		return "", fmt.Errorf("read scrape_configs: %w", err)
	}
	return string(text), nil
}

// targetConfig is a job of its own for t, because credentials belong to jobs.
func targetConfig(t ScrapeTarget) (*config.ScrapeConfig, error) {
	if t.Handler != nil {
		t.URL = selfURL
	}
	u, err := url.Parse(t.URL)
	if err != nil {
		return nil, fmt.Errorf("read scrape target: %w", err)
	}
	if u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("scrape target %q: want http://HOST or https://HOST", t.URL)
	}
	if u.User != nil {
		return nil, fmt.Errorf("scrape target %q: credentials do not belong into a URL", u.Redacted())
	}
	job := config.DefaultScrapeConfig
	job.JobName = "minikeeper/" + t.Job + "/" + t.URL
	job.Scheme = u.Scheme
	if u.Path != "" {
		job.MetricsPath = u.Path
	}
	job.Params = u.Query()
	// When a sample was measured is for this process to say: by its clock, and
	// at the moment when it asked.
	job.HonorTimestamps = false
	job.HonorLabels = t.Honor
	job.BodySizeLimit = maxScrapeBytes
	job.SampleLimit = maxScrapeSamples
	job.HTTPClientConfig = promconfig.DefaultHTTPClientConfig
	if t.HTTP != nil {
		job.HTTPClientConfig = *t.HTTP
	}
	group := &targetgroup.Group{
		Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(u.Host)}},
		Labels:  model.LabelSet{model.JobLabel: model.LabelValue(t.Job)},
	}
	if t.Handler != nil {
		group.Labels[model.InstanceLabel] = "self" // its address means nothing to people
	}
	for name, value := range t.Labels {
		group.Labels[model.LabelName(name)] = model.LabelValue(value)
	}
	if err := group.Labels.Validate(); err != nil {
		return nil, fmt.Errorf("scrape target %q: %w", t.URL, err)
	}
	job.ServiceDiscoveryConfigs = discovery.Configs{discovery.StaticConfig{group}}
	job.MetricRelabelConfigs = ownWords(t.Labels)
	if _, forced := t.Labels["server"]; forced && !t.Honor {
		job.MetricRelabelConfigs = append(aboutOthers(), job.MetricRelabelConfigs...)
	}
	return &job, nil
}

// aboutOthers drops what a target says about other servers: the services that
// it probes there, and who takes over for whom. Under the target's own name it
// would be wrong, and a target is not believed about anybody else.
func aboutOthers() []*relabel.Config {
	const said = "__tmp_said_of"
	rule := func(change func(*relabel.Config)) *relabel.Config {
		c := relabel.DefaultRelabelConfig
		change(&c)
		return &c
	}
	return []*relabel.Config{
		rule(func(c *relabel.Config) {
			c.SourceLabels, c.TargetLabel = model.LabelNames{"server"}, said
		}),
		rule(func(c *relabel.Config) {
			c.SourceLabels = model.LabelNames{model.MetricNameLabel, model.ExportedLabelPrefix + "server"}
			c.Regex = relabel.MustNewRegexp("minikeeper_(?:probe_.+|distribution_point_.+|jss_.+|server_pair_info);(.+)")
			c.TargetLabel = said
		}),
		rule(func(c *relabel.Config) {
			c.Action, c.SourceLabels, c.TargetLabel = relabel.KeepEqual, model.LabelNames{said}, "server"
		}),
		rule(func(c *relabel.Config) {
			c.Action, c.Regex = relabel.LabelDrop, relabel.MustNewRegexp(said)
		}),
	}
}

// ownWords drops what a target must not say: what this process calls it, and
// metrics that this process writes about it.
func ownWords(forced map[string]string) []*relabel.Config {
	reserved := relabel.DefaultRelabelConfig
	reserved.Action = relabel.Drop
	reserved.SourceLabels = model.LabelNames{model.MetricNameLabel}
	reserved.Regex = relabel.MustNewRegexp("up|ALERTS|ALERTS_FOR_STATE|" +
		"scrape_(duration_seconds|samples_scraped|samples_post_metric_relabeling|series_added)")

	var names []string
	for name := range forced {
		if !strings.HasPrefix(name, model.ReservedLabelPrefix) {
			names = append(names, regexp.QuoteMeta(name))
		}
	}
	if len(names) == 0 {
		return []*relabel.Config{&reserved}
	}
	slices.Sort(names)
	// Prometheus keeps a label that it overrides under this prefix.
	overridden := relabel.DefaultRelabelConfig
	overridden.Action = relabel.LabelDrop
	overridden.Regex = relabel.MustNewRegexp("(exported_)+(" + strings.Join(names, "|") + ")")
	return []*relabel.Config{&reserved, &overridden}
}
