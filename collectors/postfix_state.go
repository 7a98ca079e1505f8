package collectors

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/postfix"
)

// A mailState is what postqueue learnt about the mail system.
type mailState int

const (
	mailUnknown mailState = iota
	mailAnswers           // its queue lister answered, so master runs
	mailDown              // nobody listens
)

// A queueReading is the queue as postqueue listed it.
type queueReading struct {
	state    mailState
	answered bool // postqueue listed the queue, from the mail system or past it
	messages []postfix.Message
	listed   []string // the queues that such a listing covers
	err      error
}

// whole tells whether everything in the queue was read.
func (q queueReading) whole() bool { return q.answered && q.err == nil }

// queueShare is the part of the remaining time that listing the queue may
// take: a mail system that hangs must leave time to ask after it elsewhere.
const queueShare = 3.0 / 4

// readQueue lists the queue, as text where postqueue is too old for JSON.
func (p postfixMail) readQueue(ctx context.Context) queueReading {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(queueShare*float64(time.Until(deadline))))
		defer cancel()
	}
	res, err := p.run(ctx, "postqueue", p.arguments("-j")...)
	if err == nil && res.Exit != 0 && postfix.KnowsNoJSON(string(res.Stderr)) {
		res, err = p.run(ctx, "postqueue", p.arguments("-p")...)
		return judgeQueue(res, err, postfix.ListedAsText(), func(printed []byte) ([]postfix.Message, error) {
			return postfix.ParseQueueText(string(printed), time.Now())
		})
	}
	return judgeQueue(res, err, postfix.Listed(), postfix.ParseQueueJSON)
}

// judgeQueue says what a run of postqueue tells. Root gets the queue from the
// disk where the mail system is down, with a warning.
func judgeQueue(res minikeeper.Result, err error, listed []string, parse func([]byte) ([]postfix.Message, error)) queueReading {
	q := queueReading{listed: listed}
	if err != nil {
		q.err = fmt.Errorf("list mail queue: %w", err)
		return q
	}
	if postfix.SaysDown(string(res.Stderr)) {
		q.state = mailDown
	}
	if res.Exit != 0 {
		q.err = fmt.Errorf("list mail queue: postqueue: exit status %d: %s", res.Exit, cmp.Or(firstLine(res.Stderr), "it said nothing"))
		if len(res.Stdout) > 0 {
			q.messages, _ = parse(res.Stdout) // what was listed until it failed
		}
		return q
	}
	if q.state != mailDown {
		q.state = mailAnswers
	}
	q.answered = true
	q.messages, q.err = parse(res.Stdout)
	return q
}

// up tells whether mail is taken, and whether that is known at all.
//
// postqueue is believed first: it asks master's own socket, needs no root and
// leaves no line in the mail log, all unlike "postfix status". A master that
// is down is normal where launchd starts it on demand; then mail is taken as
// long as the job can be started.
func (p postfixMail) up(ctx context.Context, state mailState) (up, known bool, err error) {
	if state == mailUnknown {
		state, err = p.status(ctx)
	}
	switch state {
	case mailAnswers:
		return true, true, nil
	case mailDown:
		return p.onDemand(ctx)
	default:
		return false, false, err
	}
}

// status asks postfix itself.
func (p postfixMail) status(ctx context.Context) (mailState, error) {
	res, err := p.run(ctx, "postfix", p.arguments("status")...)
	if err != nil {
		return mailUnknown, fmt.Errorf("ask postfix for its status: %w", err)
	}
	running, err := postfix.Running(res.Exit, string(res.Stdout)+string(res.Stderr))
	if err != nil {
		return mailUnknown, fmt.Errorf("ask postfix for its status: %w (exit status %d; it answers root only)", err, res.Exit)
	}
	if running {
		return mailAnswers, nil
	}
	return mailDown, nil
}

// onDemand tells whether launchd would start a master that is down.
func (p postfixMail) onDemand(ctx context.Context) (up, known bool, err error) {
	service := postfix.Service{Kind: postfix.Plain}
	if dir := p.settings.ConfigDir; dir == "" || filepath.Clean(dir) == mainConfigDir {
		service = postfix.DetectService(p.deps.Root, p.deps.GOOS)
	}
	if !service.OnDemand {
		return false, true, nil
	}
	res, err := p.run(ctx, "launchctl", "print", "system/"+service.Label)
	if err != nil {
		return false, false, fmt.Errorf("ask launchd for %s: %w", service.Label, err)
	}
	ready, err := postfix.JobReady(res.Exit, string(res.Stdout), string(res.Stderr))
	if err != nil {
		return false, false, fmt.Errorf("ask launchd for %s: %w (exit status %d: %s)", service.Label, err, res.Exit, firstLine(res.Stderr))
	}
	return ready, true, nil
}
