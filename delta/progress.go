package delta

import (
	"sync"
	"time"
)

// progressEvery is how often a caller is told of progress at most.
const progressEvery = 100 * time.Millisecond

// progress counts work that is done and tells a caller now and then. A nil
// progress counts nothing.
type progress struct {
	tell func(Progress)

	mu   sync.Mutex
	now  Progress
	told time.Time
}

func newProgress(tell func(Progress), phase Phase) *progress {
	if tell == nil {
		return nil
	}
	return &progress{tell: tell, now: Progress{Phase: phase}, told: time.Now()}
}

// total says how much there will be.
func (p *progress) total(files int, bytes int64) {
	if p != nil {
		p.now.FilesTotal, p.now.BytesTotal = int64(files), bytes
	}
}

func (p *progress) add(files, bytes int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Files += files
	p.now.Bytes += bytes
	if now := time.Now(); now.Sub(p.told) >= progressEvery {
		p.told = now
		p.tell(p.now)
	}
}

func (p *progress) end() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tell(p.now)
}
