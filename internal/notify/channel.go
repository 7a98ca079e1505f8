package notify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/minikeeper/minikeeper"
)

const (
	firstRetry = 30 * time.Second
	lastRetry  = 15 * time.Minute
	jitter     = 0.2
)

// backoff is how long to wait after n failures in a row, n ≥ 1, with jitter so
// that many hubs do not come back to a relay at one moment.
func backoff(n int) time.Duration {
	d := lastRetry
	if n < 6 {
		d = firstRetry << (n - 1)
	}
	return d + time.Duration((2*rand.Float64()-1)*jitter*float64(d))
}

// A channel is an Entry and how it does.
type channel struct {
	Entry

	slot chan struct{} // held while a message is sent

	mu       sync.Mutex
	failures int       // in a row, of the channel itself
	down     time.Time // not to be tried before
	reason   string    // why it is down
}

// send offers m to the recipients to, once no other message is being sent.
func (c *channel) send(ctx context.Context, m Message, to []string) map[string]error {
	select {
	case c.slot <- struct{}{}:
		defer func() { <-c.slot }()
	case <-ctx.Done():
		return all(to, fmt.Errorf("wait for other messages: %w", context.Cause(ctx)))
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if _, reason := c.isDown(time.Now()); reason != "" {
		return all(to, errors.New(reason)) // another message has just found that out
	}
	outcome := c.Channel.Send(ctx, m, to)
	c.learn(outcome)
	return outcome
}

// isDown tells until when the channel is not to be tried, and why.
func (c *channel) isDown(now time.Time) (until time.Time, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.down) {
		return c.down, c.reason
	}
	return time.Time{}, ""
}

// works tells whether the channel worked when it was used last.
func (c *channel) works() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failures == 0
}

// learn marks the channel as down or up after it was used.
func (c *channel) learn(outcome map[string]error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, err := range outcome {
		f, ok := errors.AsType[*Failure](err)
		if err == nil || !ok || !f.Channel {
			c.failures, c.down, c.reason = 0, time.Time{}, "" // it talked to us
			return
		}
		c.reason = err.Error()
		c.down = time.Now().Add(max(f.After, backoff(c.failures+1)))
	}
	if len(outcome) > 0 {
		c.failures++
	}
}

// dependsOn returns why the channel must not be used now: it depends on what
// one of firing is about.
func (c *channel) dependsOn(firing []minikeeper.Alert) string {
	if len(c.DependsOn) == 0 {
		return ""
	}
	for _, a := range firing {
		if c.DependsOn.Matches(a.Labels) {
			return fmt.Sprintf("depends on what %s is about", oneLine(a.Name))
		}
	}
	return ""
}

func all(to []string, err error) map[string]error {
	outcome := make(map[string]error, len(to))
	for _, r := range to {
		outcome[r] = err
	}
	return outcome
}

// A history is what the attempts so far say about one channel.
type history struct {
	open      []string // recipients who neither took nor refused the message for good
	delivered bool     // somebody took it
	tries     int      // attempts that ended with "later"
	skips     int
}

// historyOf reads attempts. One on the channel's name is about all of its
// recipients; one on "NAME RECIPIENT" about a single one.
func historyOf(attempts []minikeeper.Attempt, name string, recipients []string) history {
	var h history
	closed := make(map[string]bool)
	for _, a := range attempts {
		who, single := strings.CutPrefix(a.Channel, name+" ")
		if a.Channel != name && !single {
			continue
		}
		switch a.Outcome {
		case minikeeper.AttemptDelivered, minikeeper.AttemptGaveUp:
			h.delivered = h.delivered || a.Outcome == minikeeper.AttemptDelivered
			closed[who] = single
			if !single {
				return history{delivered: h.delivered, tries: h.tries}
			}
		case minikeeper.AttemptSkipped:
			h.skips++
		default:
			h.tries++
		}
	}
	for _, r := range recipients {
		if !closed[r] {
			h.open = append(h.open, r)
		}
	}
	return h
}
