package collectors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/postfix"
)

// PostfixSettings are the settings of the postfix collector.
type PostfixSettings struct {
	ConfigDir string            // of a second instance, for -c; empty for the main one
	Command   map[string]string // paths of postqueue, postconf, postfix and launchctl
}

// Names of the postfix collector's metrics.
const (
	postfixUp        = "minikeeper_postfix_up"
	postfixMessages  = "minikeeper_postfix_queue_messages"
	postfixBytes     = "minikeeper_postfix_queue_bytes"
	postfixOldestAge = "minikeeper_postfix_queue_oldest_age_seconds"
	postfixDelayed   = "minikeeper_postfix_queue_delayed_messages"
	postfixRelayhost = "minikeeper_postfix_relayhost_info"
)

// mainConfigDir is where the main postfix has its configuration. Any other
// folder is that of a second instance, which no service manager knows.
const mainConfigDir = "/etc/postfix"

// postfixMail reads the mail system through postfix's own programs. There are
// three sources (the queue, the relay host, whether mail is taken), and each
// that fails leaves out its own series only.
type postfixMail struct {
	deps     Deps
	settings PostfixSettings
}

func newPostfix(d Deps) (Collector, error) {
	if dir := d.Settings.Postfix.ConfigDir; dir != "" && !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("postfix: config_dir %q must be an absolute path", dir)
	}
	return postfixMail{deps: d, settings: d.Settings.Postfix}, nil
}

// Families implements Collector.
func (postfixMail) Families() []minikeeper.Family {
	gauge := func(name, help string, labels ...string) minikeeper.Family {
		return minikeeper.Family{Name: name, Help: help, Type: minikeeper.Gauge, Labels: labels}
	}
	return []minikeeper.Family{
		gauge(postfixUp, "Whether the mail system takes mail (1) or is down (0). Where launchd starts it on demand, a loaded job counts as up."),
		gauge(postfixMessages, "Messages in the queue.", "queue"),
		gauge(postfixBytes, "Size of the messages in the queue.", "queue"),
		gauge(postfixOldestAge, "Age of the oldest message in the queue, 0 if it is empty.", "queue"),
		gauge(postfixDelayed, "Messages in the queue that are delayed for this reason. One with several recipients may count for several reasons.", "reason"),
		gauge(postfixRelayhost, "The host that mail is relayed to, empty if it goes straight to its destination. Always 1.", "relayhost"),
	}
}

// Collect implements Collector. The relay host comes first: it is a look at a
// file, whereas a mail system that hangs costs the rest of the time.
func (p postfixMail) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	relayhost, relayErr := p.relayhost(ctx)
	queue := p.readQueue(ctx)
	up, known, upErr := p.up(ctx, queue.state)

	samples := relayhost
	if known {
		samples = append(samples, sample(postfixUp, bool01(up)))
	}
	samples = append(samples, queueSamples(queue, time.Now())...)
	samples = append(samples, delaySamples(queue)...)
	if queue.state == mailDown && !queue.answered && known && !up {
		queue.err = nil // that it is down is why the queue cannot be read, and is reported
	}
	return samples, errors.Join(relayErr, queue.err, upErr)
}

// arguments puts the configuration folder before args.
func (p postfixMail) arguments(args ...string) []string {
	if p.settings.ConfigDir == "" {
		return args
	}
	return append([]string{"-c", p.settings.ConfigDir}, args...)
}

// run runs one of the programs, by its usual name.
func (p postfixMail) run(ctx context.Context, name string, args ...string) (minikeeper.Result, error) {
	return p.deps.Run.Run(ctx, minikeeper.Command{Path: cmp.Or(p.settings.Command[name], name), Args: args})
}

func (p postfixMail) relayhost(ctx context.Context) ([]minikeeper.Sample, error) {
	printed, err := p.deps.output(ctx, p.settings.Command, "postconf", p.arguments("-h", "relayhost")...)
	if err != nil {
		return nil, err
	}
	return []minikeeper.Sample{sample(postfixRelayhost, 1, "relayhost", postfix.Relayhost(string(printed)))}, nil
}

// queueSamples sums the queue up. A whole listing makes 0 of the queues that
// it does not name; of a part, only what it names is known.
func queueSamples(q queueReading, now time.Time) []minikeeper.Sample {
	totals := postfix.Totals(q.messages)
	if q.whole() {
		for _, name := range q.listed {
			if _, ok := totals[name]; !ok {
				totals[name] = postfix.Total{}
			}
		}
	}
	var samples []minikeeper.Sample
	for _, name := range slices.Sorted(maps.Keys(totals)) {
		total, age := totals[name], time.Duration(0)
		if !total.Oldest.IsZero() {
			age = max(0, now.Sub(total.Oldest))
		}
		samples = append(samples,
			sample(postfixMessages, float64(total.Messages), "queue", name),
			sample(postfixBytes, float64(total.Bytes), "queue", name),
			sample(postfixOldestAge, age.Seconds(), "queue", name),
		)
	}
	return samples
}

// delaySamples counts messages by what delays them. As with the queues, a
// class that nothing names is 0 only if the whole queue was read.
func delaySamples(q queueReading) []minikeeper.Sample {
	counts := postfix.Delayed(q.messages)
	var samples []minikeeper.Sample
	for _, reason := range postfix.Reasons() {
		if n := counts[reason]; n > 0 || q.whole() {
			samples = append(samples, sample(postfixDelayed, float64(n), "reason", string(reason)))
		}
	}
	return samples
}
