package notify

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/minikeeper/minikeeper"
)

// giveUpAfter is how old an event gets before nobody wants to hear of it.
const giveUpAfter = 7 * 24 * time.Hour

// deliver offers one event to the channels of its route, and writes down what
// became of it. It returns when there is nothing more to do for now.
func (n *Notifier) deliver(ctx context.Context, p minikeeper.Pending) {
	past, ok := n.catchUp(ctx, p)
	if !ok {
		return
	}
	later, done := n.offer(ctx, p.Event, past)
	if !done && time.Since(p.Event.At) > giveUpAfter {
		n.log.Error("nobody could be told", "event", p.Event.ID, "summary", p.Event.Summary, "err", "tried for "+giveUpAfter.String())
		done = true
		for i := range later {
			later[i].Outcome, later[i].Next = minikeeper.AttemptGaveUp, time.Time{}
		}
	}
	postpone(later)
	for _, a := range later {
		n.record(ctx, p.Event.ID, a)
	}
	if done {
		if err := n.outbox.Settle(context.WithoutCancel(ctx), p.Event.ID); err != nil {
			n.log.Error("cannot settle an event", "event", p.Event.ID, "err", err)
			n.holdBack(p.Event.ID)
		}
	}
}

// postpone gives all attempts of one pass the time of the earliest, at which
// the event is looked at again.
func postpone(attempts []minikeeper.Attempt) {
	var next time.Time
	for _, a := range attempts {
		if !a.Next.IsZero() && (next.IsZero() || a.Next.Before(next)) {
			next = a.Next
		}
	}
	for i := range attempts {
		attempts[i].Next = next
	}
}

// offer goes along the route. It returns the attempts to be made known at its
// end, since they say when to come back, and whether the event is settled.
func (n *Notifier) offer(ctx context.Context, e minikeeper.Event, past []minikeeper.Attempt) (later []minikeeper.Attempt, done bool) {
	route := n.route(e, past)
	firing := n.firingWith(ctx, e)
	open := false
	for _, c := range route {
		h := historyOf(past, c.Name, c.Channel.Recipients())
		if len(h.open) == 0 {
			if h.delivered {
				return nil, true
			}
			continue // it was refused for good
		}
		retry, delivered, left := n.try(ctx, c, e, h, firing, past)
		if delivered || h.delivered {
			for i := range later {
				later[i].Next = time.Time{} // those before it are not needed any more
			}
			return append(later, retry...), !left
		}
		later = append(later, retry...)
		open = open || left
	}
	switch {
	case len(n.channels) == 0:
		n.log.Info("no channel is configured", "event", e.ID, "summary", e.Summary)
	case !open:
		n.log.Error("nobody could be told", "event", e.ID, "summary", e.Summary, "err", "every channel refused for good")
	}
	return later, !open
}

// route returns the channels for e. One that has already told somebody is the
// only one left.
func (n *Notifier) route(e minikeeper.Event, past []minikeeper.Attempt) []*channel {
	route := n.channels
	for _, r := range n.routes {
		if r.Match.Matches(e.Alert.Labels) {
			route = make([]*channel, len(r.Channels))
			for i, name := range r.Channels {
				route[i] = n.find(name)
			}
			break
		}
	}
	for _, c := range n.channels {
		if historyOf(past, c.Name, nil).delivered {
			return []*channel{c}
		}
	}
	return route
}

// firingWith returns the alerts that fire, with that of e unless it is over.
// If nobody knows which others fire, it is the only one that counts.
func (n *Notifier) firingWith(ctx context.Context, e minikeeper.Event) []minikeeper.Alert {
	var firing []minikeeper.Alert
	if e.Kind != minikeeper.EventResolved && e.Kind != minikeeper.EventSucceeded && e.Alert.Name != "" {
		firing = append(firing, e.Alert)
	}
	if n.firing == nil {
		return firing
	}
	others, err := n.firing(ctx)
	if err != nil {
		n.log.Warn("cannot tell which alerts fire", "err", err)
	}
	return append(firing, others...)
}

// try offers e to those in h.open over c. Who took it or refused it for good is
// recorded at once; retry are the attempts for the others. left tells whether
// c may still reach somebody later.
func (n *Notifier) try(ctx context.Context, c *channel, e minikeeper.Event, h history, firing []minikeeper.Alert, past []minikeeper.Attempt) (retry []minikeeper.Attempt, delivered, left bool) {
	now := time.Now()
	if why := c.dependsOn(firing); why != "" {
		return []minikeeper.Attempt{{
			Channel: c.Name, At: now, Outcome: minikeeper.AttemptSkipped, Error: why, Next: now.Add(min(backoff(h.skips+1), 5*time.Minute)),
		}}, false, true
	}
	if until, why := c.isDown(now); why != "" {
		return []minikeeper.Attempt{{Channel: c.Name, At: now, Outcome: minikeeper.AttemptRetry, Error: why, Next: until}}, false, true
	}
	outcome := c.send(ctx, Render(e, now, lastError(past)), h.open)
	for _, a := range c.attempts(h, outcome, time.Now()) {
		switch a.Outcome {
		case minikeeper.AttemptRetry:
			retry, left = append(retry, a), true
		default:
			delivered = delivered || a.Outcome == minikeeper.AttemptDelivered
			n.record(ctx, e.ID, a)
		}
	}
	return retry, delivered, left
}

// attempts says in the journal's words what became of each recipient: in one
// attempt if all had the same fate, else in one for each.
func (c *channel) attempts(h history, outcome map[string]error, now time.Time) []minikeeper.Attempt {
	list := make([]minikeeper.Attempt, 0, len(h.open))
	same := len(h.open) == len(c.Channel.Recipients())
	for _, recipient := range h.open {
		err, answered := outcome[recipient]
		if !answered {
			err = errors.New("the channel did not say what became of the message")
		}
		a := c.attempt(err, h.tries, now)
		a.Channel = c.Name + " " + recipient
		list = append(list, a)
		same = same && a.Outcome == list[0].Outcome && a.Error == list[0].Error
	}
	if same && len(list) > 0 {
		list = list[:1]
		list[0].Channel = c.Name
	}
	return list
}

// attempt judges err after tries earlier ones.
func (c *channel) attempt(err error, tries int, now time.Time) minikeeper.Attempt {
	if err == nil {
		return minikeeper.Attempt{At: now, Outcome: minikeeper.AttemptDelivered}
	}
	a := minikeeper.Attempt{At: now, Outcome: minikeeper.AttemptRetry, Error: oneLine(err.Error()), Next: now.Add(backoff(tries + 1))}
	if f, ok := errors.AsType[*Failure](err); ok {
		if f.Permanent {
			a.Outcome, a.Next = minikeeper.AttemptGaveUp, time.Time{}
			return a
		}
		a.Next = latest(a.Next, now.Add(f.After))
	}
	if until, why := c.isDown(now); why != "" {
		a.Next = until // when the channel is tried again, whoever comes first
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func lastError(past []minikeeper.Attempt) string {
	for _, a := range slices.Backward(past) {
		if a.Error != "" {
			return a.Channel + ": " + a.Error
		}
	}
	return ""
}

// record writes an attempt to the journal. One that it refuses is kept in
// memory: a message that was delivered must not go out again because the disk
// is full.
func (n *Notifier) record(ctx context.Context, event int64, a minikeeper.Attempt) {
	n.count(a)
	log := n.log.With("event", event, "channel", a.Channel, "outcome", a.Outcome)
	if a.Error != "" {
		log = log.With("err", a.Error)
	}
	log.Debug("notification")
	if err := n.outbox.Record(context.WithoutCancel(ctx), event, a); err != nil {
		n.log.Error("cannot record an attempt to tell people", "event", event, "err", err)
		n.mu.Lock()
		n.unrecorded[event] = append(n.unrecorded[event], a)
		n.mu.Unlock()
		n.holdBack(event)
	}
}

func (n *Notifier) holdBack(event int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hold[event] = time.Now().Add(holdFor)
}

// catchUp returns all attempts for p, having recorded those that the journal
// had refused. If it still refuses, ok is false and p has to wait.
func (n *Notifier) catchUp(ctx context.Context, p minikeeper.Pending) (past []minikeeper.Attempt, ok bool) {
	n.mu.Lock()
	missing := n.unrecorded[p.Event.ID]
	n.mu.Unlock()
	for i, a := range missing {
		if err := n.outbox.Record(context.WithoutCancel(ctx), p.Event.ID, a); err != nil {
			n.mu.Lock()
			n.unrecorded[p.Event.ID] = missing[i:]
			n.mu.Unlock()
			n.holdBack(p.Event.ID)
			return nil, false
		}
	}
	n.mu.Lock()
	delete(n.unrecorded, p.Event.ID)
	n.mu.Unlock()
	past = append(slices.Clone(p.Attempts), missing...)
	slices.SortStableFunc(past, func(a, b minikeeper.Attempt) int { return cmp.Compare(a.At.UnixNano(), b.At.UnixNano()) })
	return past, true
}
