package collectors

import (
	"context"
	"errors"
	"sync"
	"time"
)

// statfsPatience is how long a filesystem may take to say how full it is. One
// on a disk answers from memory.
const statfsPatience = 2 * time.Second

// usage is what a filesystem says about itself.
type usage struct {
	size, free       uint64 // bytes; free is what unprivileged users may take
	files, filesFree uint64 // 0 of 0 where files are not counted, as on btrfs
	readonly         bool
}

// filesystem returns u as the usage of m.
func (u usage) filesystem(m mount) filesystem {
	readonly := u.readonly || m.readonly
	fs := filesystem{mountpoint: m.mountpoint, size: &u.size, free: &u.free, readonly: &readonly}
	if u.files > 0 {
		fs.files, fs.filesFree = &u.files, &u.filesFree
	}
	return fs
}

// An answer is a usage, or why there is none.
type answer struct {
	usage usage
	err   error
}

// Why a filesystem has no answer.
var (
	errSilent      = errors.New("does not answer: is the server or the disk behind it gone?")
	errStillSilent = errors.New("still does not answer: is the server or the disk behind it gone?")
)

// A prober asks filesystems how full they are. The system call cannot be
// interrupted while a network mount hangs, so each is made in a goroutine of
// its own, and a filesystem that owes an answer is not asked again until it has
// given it: however often it is tried, it holds one thread.
type prober struct {
	statfs   func(path string) (usage, error)
	patience time.Duration

	mu    sync.Mutex
	calls map[string]*call // under way, by path
}

// A call is one system call that is under way, perhaps for ever.
type call struct {
	done   chan struct{} // closed when answer is there
	answer answer
	late   bool // somebody has waited in vain; guarded by prober.mu
}

func newProber(statfs func(string) (usage, error), patience time.Duration) *prober {
	return &prober{statfs: statfs, patience: patience, calls: make(map[string]*call)}
}

// ask returns one answer for each of paths, in their order, after p.patience at
// the latest. It may be called by several goroutines at once.
func (p *prober) ask(ctx context.Context, paths []string) []answer {
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	calls := make([]*call, len(paths))
	for i, path := range paths {
		calls[i] = p.start(path)
	}
	answers := make([]answer, len(paths))
	for i, c := range calls {
		answers[i] = p.wait(ctx, c)
	}
	return answers
}

// start begins to ask path, or joins the call that is under way.
func (p *prober) start(path string) *call {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, ok := p.calls[path]; ok {
		return c
	}
	c := &call{done: make(chan struct{})}
	p.calls[path] = c
	go func() {
		c.answer.usage, c.answer.err = p.statfs(path)
		p.mu.Lock()
		delete(p.calls, path)
		p.mu.Unlock()
		close(c.done)
	}()
	return c
}

// wait returns c's answer. A call that was waited for in vain before is not
// waited for again.
func (p *prober) wait(ctx context.Context, c *call) answer {
	if !p.late(c, false) {
		select {
		case <-c.done:
		case <-ctx.Done():
		}
	}
	select {
	case <-c.done: // even if another's silence has used up the time
		return c.answer
	default:
	}
	if p.late(c, true) {
		return answer{err: errStillSilent}
	}
	return answer{err: errSilent}
}

// late tells whether somebody has waited for c in vain, and notes it if so asked.
func (p *prober) late(c *call, note bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := c.late
	c.late = c.late || note
	return was
}
