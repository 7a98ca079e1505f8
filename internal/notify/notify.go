// Package notify tells people what happened. A Notifier drains the outbox in
// the journal: for each event it picks a route, and offers the message to the
// route's channels in order until one takes it.
//
// It decides only how people are told, never whether: what is in the outbox
// goes out. Delivery is at least once; a message that goes out twice has the
// same Message-ID.
package notify

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
	"github.com/minikeeper/minikeeper/internal/matcher"
)

const (
	pollEvery   = 5 * time.Second  // how often the outbox is looked at without Wake
	batch       = 100              // events at once
	sendTimeout = time.Minute      // of one message on one channel
	stopGrace   = 5 * time.Second  // what a message that is being sent gets at shutdown
	holdFor     = 30 * time.Second // after the journal refused to write
)

// An Outbox holds the events that people have to hear of. internal/journal
// implements it.
type Outbox interface {
	// Undelivered returns events whose next attempt is due, oldest first.
	Undelivered(ctx context.Context, now time.Time, limit int) ([]minikeeper.Pending, error)

	// Record adds an attempt. After one with Next, the event is due then.
	Record(ctx context.Context, event int64, a minikeeper.Attempt) error

	// Settle says that there is nothing more to do for the event.
	Settle(ctx context.Context, event int64) error
}

// A Channel is a way to reach people. Its methods are not called at once.
type Channel interface {
	// Recipients are those whom a message on this channel is for, each of
	// whom may take or refuse it.
	Recipients() []string

	// Send offers m to the recipients to, and says what became of each: nil
	// if it was taken for them. A *Failure tells more than other errors do.
	Send(ctx context.Context, m Message, to []string) map[string]error
}

// A Failure says what a channel's error means for what comes next. Any other
// error is one that may pass.
type Failure struct {
	Err       error
	Permanent bool          // this message will never be taken for this recipient
	Channel   bool          // it is not about this message: others would fail too
	After     time.Duration // do not try again before; 0 if the channel does not say
}

// Error implements error.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap returns what went wrong.
func (f *Failure) Unwrap() error { return f.Err }

// An Entry is a channel as the configuration has it.
type Entry struct {
	Name      string
	Channel   Channel
	DependsOn matcher.Matchers // skipped while an alert fires that they fit; none: never skipped
}

// A Route says which channels are tried for which alerts, and in which order.
type Route struct {
	Match    matcher.Matchers // none fit everything
	Channels []string
}

// Options are what a Notifier works with.
type Options struct {
	Outbox   Outbox
	Channels []Entry
	Routes   []Route // the first that fits decides; without one all channels, in their order

	// Firing returns the alerts that fire now; nil if nobody knows.
	Firing func(ctx context.Context) ([]minikeeper.Alert, error)

	Log *slog.Logger
}

// A Notifier delivers events.
type Notifier struct {
	outbox   Outbox
	channels []*channel
	routes   []Route
	firing   func(ctx context.Context) ([]minikeeper.Alert, error)
	log      *slog.Logger
	wake     chan struct{}

	mu         sync.Mutex
	busy       map[int64]bool                 // events that are being delivered
	hold       map[int64]time.Time            // events to leave alone until then
	unrecorded map[int64][]minikeeper.Attempt // that the journal refused
	counts     map[count]int                  // attempts by what became of them
}

// New returns a Notifier. Two channels of one name, and a route that names a
// channel which does not exist, are errors, all at once.
func New(o Options) (*Notifier, error) {
	n := &Notifier{
		outbox: o.Outbox, routes: o.Routes, firing: o.Firing, log: o.Log,
		wake: make(chan struct{}, 1), busy: make(map[int64]bool), hold: make(map[int64]time.Time),
		unrecorded: make(map[int64][]minikeeper.Attempt), counts: make(map[count]int),
	}
	var bad []error
	for _, e := range o.Channels {
		if n.find(e.Name) != nil || e.Name == "" || strings.ContainsAny(e.Name, " \n") {
			bad = append(bad, fmt.Errorf("channel %q: its name is taken, empty or has a blank", e.Name))
			continue
		}
		n.channels = append(n.channels, &channel{Entry: e, slot: make(chan struct{}, 1)})
	}
	for i, r := range o.Routes {
		for _, name := range r.Channels {
			if n.find(name) == nil {
				bad = append(bad, fmt.Errorf("route %d: unknown channel %q (have %s)", i+1, name, strings.Join(n.names(), ", ")))
			}
		}
	}
	return n, errors.Join(bad...)
}

func (n *Notifier) find(name string) *channel {
	i := slices.IndexFunc(n.channels, func(c *channel) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return n.channels[i]
}

func (n *Notifier) names() []string {
	names := make([]string, len(n.channels))
	for i, c := range n.channels {
		names[i] = c.Name
	}
	return names
}

// Wake has Run look at the outbox at once.
func (n *Notifier) Wake() {
	select {
	case n.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Run delivers what is in the outbox until ctx ends. A message that is being
// sent then gets a moment to arrive, and its outcome is recorded.
func (n *Notifier) Run(ctx context.Context) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, cancel) })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	failed := ""
	for {
		err := n.dispatch(ctx, sending, &wg)
		switch {
		case err == nil:
			failed = ""
		case ctx.Err() == nil && err.Error() != failed:
			failed = err.Error()
			n.log.Error("cannot read the outbox", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-n.wake:
		}
	}
}

// dispatch starts the delivery of all events that are due. Those of one
// incident go one after the other, so that nobody reads the end first.
func (n *Notifier) dispatch(ctx, sending context.Context, wg *sync.WaitGroup) error {
	due, err := n.outbox.Undelivered(ctx, time.Now(), batch)
	if err != nil {
		return err
	}
	var order []string
	incidents := make(map[string][]minikeeper.Pending)
	for _, p := range due {
		if !n.claim(p.Event.ID) {
			continue
		}
		if incidents[p.Event.Key] == nil {
			order = append(order, p.Event.Key)
		}
		incidents[p.Event.Key] = append(incidents[p.Event.Key], p)
	}
	for _, key := range order {
		wg.Go(func() {
			for _, p := range incidents[key] {
				n.deliver(sending, p)
				n.release(p.Event.ID)
			}
		})
	}
	return nil
}

// claim tells whether the caller shall deliver event now.
func (n *Notifier) claim(event int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.busy[event] || time.Now().Before(n.hold[event]) {
		return false
	}
	delete(n.hold, event)
	n.busy[event] = true
	return true
}

func (n *Notifier) release(event int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.busy, event)
}

// A TestResult is what became of a test message.
type TestResult struct {
	Channel, Recipient string
	Err                error // nil if it was taken
}

// Test sends a test message over the named channel, or over each if name is
// empty, and waits for the outcome. It asks neither routes nor dependencies.
// The error is about the name.
func (n *Notifier) Test(ctx context.Context, name string) ([]TestResult, error) {
	channels := n.channels
	if name != "" {
		c := n.find(name)
		if c == nil {
			return nil, fmt.Errorf("unknown channel %q (have %s)", name, strings.Join(n.names(), ", "))
		}
		channels = []*channel{c}
	}
	if len(channels) == 0 {
		return nil, errors.New("no channel is configured")
	}
	now := time.Now()
	event := minikeeper.Event{Kind: minikeeper.EventTest, At: now, Key: "test", Summary: "This is a test. If you can read it, the channel works."}
	var results []TestResult
	for _, c := range channels {
		to := c.Channel.Recipients()
		outcome := c.send(ctx, Render(event, now, ""), to)
		for _, r := range to {
			results = append(results, TestResult{Channel: c.Name, Recipient: r, Err: outcome[r]})
		}
	}
	return results, nil
}
