package poll

import (
	"sync"
	"time"
)

// Memory holds what was learnt of targets, so that the next scrape asks for as
// much as there is. It is safe for concurrent use.
type Memory struct {
	mu    sync.Mutex
	peers map[string]*peer
	limit int
}

// defaultPeers bounds a Memory: about 1 KiB for each target.
const defaultPeers = 20_000

// NewMemory returns an empty Memory of at most limit targets; 0: 20,000.
func NewMemory(limit int) *Memory {
	if limit <= 0 {
		limit = defaultPeers
	}
	return &Memory{peers: make(map[string]*peer), limit: limit}
}

// peer returns what is known of the target called key.
func (m *Memory) peer(key string) *peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[key]
	if p == nil {
		if len(m.peers) >= m.limit {
			for other := range m.peers { // any will do: it is learnt again with one scrape
				delete(m.peers, other)
				break
			}
		}
		p = &peer{subtrees: make(map[string]shape)}
		m.peers[key] = p
	}
	return p
}

// peer is what is known of one target.
type peer struct {
	mu       sync.Mutex
	trip     time.Duration // smoothed round trip; 0: never measured
	swing    time.Duration // its mean deviation
	backoff  int           // how often requests timed out since the last answer
	most     int           // objects that a reply may have; 0: as many as fit
	subtrees map[string]shape
}

// maxSubtrees bounds what is remembered of one target.
const maxSubtrees = 4096

// shape is what a subtree was like.
type shape struct {
	rows int // objects in it
	size int // bytes of its largest object in a reply
}

// Bounds of the time that a request waits before it is repeated.
const (
	firstPatience = time.Second
	leastPatience = 200 * time.Millisecond
)

// patience is how long to wait for an answer before asking again (RFC 6298),
// at most limit.
func (p *peer) patience(limit time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := firstPatience
	if p.trip > 0 {
		wait = max(p.trip+4*p.swing, leastPatience)
	}
	return min(wait<<min(p.backoff, 6), limit)
}

// answered notes a round trip. One that took a repetition is not exact, but
// says that less patience would be wrong.
func (p *peer) answered(took time.Duration, repeated bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backoff = 0
	switch {
	case p.trip == 0:
		p.trip, p.swing = took, took/2
	case repeated:
		p.swing = max(p.swing, (took-p.trip)/4)
	default:
		p.swing += ((p.trip - took).Abs() - p.swing) / 4
		p.trip += (took - p.trip) / 8
	}
}

// missed notes a request that got no answer, for all its repetitions.
func (p *peer) missed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backoff++
}

// known tells whether the target has ever answered.
func (p *peer) known() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trip > 0 && p.backoff == 0
}

// window is how many requests may be under way at once: the farther the
// target, the more, up to most. A near one answers as fast as it can anyway.
func (p *peer) window(most int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trip == 0 {
		return most
	}
	return min(1+int(p.trip/time.Millisecond), most)
}

// shape returns what the subtree at root was like.
func (p *peer) shape(root string) (shape, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.subtrees[root]
	return s, ok
}

func (p *peer) learn(root string, s shape) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.subtrees[root]; ok || len(p.subtrees) < maxSubtrees {
		p.subtrees[root] = s
	}
}

// atMost is how many objects a reply may have.
func (p *peer) atMost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most
}

// shrink notes that a reply with objects was too much.
func (p *peer) shrink(objects int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if half := max(objects/2, 1); p.most == 0 || half < p.most {
		p.most = half
	}
}
