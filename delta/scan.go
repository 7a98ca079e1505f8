package delta

import (
	"context"
	"sync/atomic"
)

// How far a scan reads ahead of whoever consumes it.
const (
	scanAhead   = 8     // folders beside the one that is consumed
	scanEntries = 32768 // names that are read and not consumed; a folder counts as scanFolder at least
	scanFolder  = 512
	scanLook    = 4096 // a folder of more names is looked at piece by piece
)

// A scan reads one tree, folder by folder, in the order of a manifest. Several goroutines
// read ahead of the one that consumes it, so memory is bounded by how far
// they may.
type scan struct {
	rules rules
	found func(rel string, err error)            // an entry that cannot be looked at; what is known of it stays
	entry func(rel string, d *dir, n node) error // every other one, in order

	hints chan *folder
	held  atomic.Int64
}

// A folder is one that is read now, or was read ahead.
type folder struct {
	parent *dir // nil for the root
	name   string
	rel    string
	depth  int

	begun atomic.Bool
	done  chan struct{}
	d     *dir
	nodes []node
	many  *nameList // in the place of nodes, in a large folder
	err   error
	cost  int64
}

// readAhead reads the folders that are consumed soon, until ctx ends.
func (s *scan) readAhead(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-s.hints:
			if s.held.Load() < scanEntries && f.begun.CompareAndSwap(false, true) {
				s.read(f)
				f.cost = f.weight()
				s.held.Add(f.cost)
				close(f.done)
			}
		}
	}
}

// weight is how much of what may be read ahead f takes.
func (f *folder) weight() int64 {
	n := len(f.nodes)
	if f.many != nil {
		n = len(f.many.at) / 4 // names only
	}
	return max(scanFolder, int64(n))
}

// read opens and lists f.
func (s *scan) read(f *folder) {
	if f.depth > maxDepth {
		f.err = errTooDeep
		return
	}
	if f.parent != nil {
		if f.d, f.err = f.parent.child(f.name); f.err != nil {
			return
		}
	}
	f.nodes, f.many, f.err = f.d.list(scanLook, func(name string) bool {
		at := joinPath(f.rel, name)
		return !isReserved(at) && s.rules.judge(name, at) == included
	})
	f.look(f.nodes)
}

// look looks at some entries of f.
func (f *folder) look(nodes []node) {
	for i := range nodes {
		n := &nodes[i]
		n.info, n.why = f.d.stat(n.name)
		n.unknown = n.why != nil
	}
}

// joinPath is path.Join without its cleaning.
func joinPath(rel, name string) string {
	if rel == "." || rel == "" {
		return name
	}
	return rel + "/" + name
}

// run consumes the tree at root.
func (s *scan) run(ctx context.Context, root *dir) error {
	f := &folder{d: root.retain(), rel: ".", done: make(chan struct{})}
	return s.consume(ctx, f)
}

// take waits for f, or reads it if nobody has begun to.
func (s *scan) take(f *folder) {
	if f.begun.CompareAndSwap(false, true) {
		s.read(f)
		return
	}
	<-f.done
	s.held.Add(-f.cost)
}

func (s *scan) consume(ctx context.Context, f *folder) error {
	s.take(f)
	defer func() { f.d.release() }()
	if f.err != nil {
		if f.rel == "." {
			return f.err
		}
		s.found(f.rel, f.err)
		return nil
	}
	if f.many == nil {
		return s.nodes(ctx, f, f.nodes)
	}
	for len(f.many.at) > 0 { // so that little is known at once
		piece := f.many.take(scanLook)
		f.look(piece)
		if err := s.nodes(ctx, f, piece); err != nil {
			return err
		}
	}
	return nil
}

func (s *scan) nodes(ctx context.Context, f *folder, nodes []node) error {
	var ahead []*folder // of the folders that come, those that were announced
	next := 0           // to be announced
	for _, n := range nodes {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		rel := joinPath(f.rel, n.name)
		if n.unknown {
			if !isAbsent(n.why) { // else it is gone since the folder was listed
				s.found(rel, n.why)
			}
			continue
		}
		if err := s.entry(rel, f.d, n); err != nil {
			return err
		}
		if n.kind != isFolder {
			continue
		}
		for ; next < len(nodes) && len(ahead) < scanAhead; next++ {
			if nodes[next].kind == isFolder && !nodes[next].unknown {
				ahead = append(ahead, s.announce(f, nodes[next].name))
			}
		}
		child := ahead[0]
		ahead = ahead[1:]
		if err := s.consume(ctx, child); err != nil {
			return err
		}
	}
	return nil
}

// announce makes a folder that may be read ahead.
func (s *scan) announce(f *folder, name string) *folder {
	child := &folder{parent: f.d, name: name, rel: joinPath(f.rel, name), depth: f.depth + 1, done: make(chan struct{})}
	select {
	case s.hints <- child:
	default: // there is enough to do
	}
	return child
}
