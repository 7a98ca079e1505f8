package delta

import (
	"context"
	"errors"
	"path"
)

// both compares an entry that both folders have.
func (c *comparison) both(ctx context.Context, o, r *dir, rel string, depth int, on, rn node) error {
	c.countOrigin(on)
	c.countReplica(rn)
	switch {
	case on.unknown || rn.unknown:
		c.uncounted() // one of them may be a folder
	case on.kind == isSpecial || rn.kind == isSpecial:
		c.problem(rel, errSpecial)
	case on.kind != rn.kind:
		return c.otherKind(ctx, o, r, rel, depth, on, rn)
	case on.kind == isFolder:
		return c.folders(ctx, o, r, rel, depth, on, rn)
	case on.kind == isLink:
		c.links(o, r, rel, on, rn)
	case on.size != rn.size:
		c.differs(difference{rel, Content, on.info, rn.info})
		c.progress.add(1, 0)
	case c.quick && sameTime(on.mtime, rn.mtime):
		if !sameMetadata(on.info, rn.info) {
			c.differs(difference{rel, Metadata, on.info, rn.info})
		}
		c.progress.add(1, 0)
	default:
		c.pairs <- pair{origin: o.retain(), replica: r.retain(), name: on.name, path: rel}
	}
	return nil
}

// folders compares two folders and what they hold. What lies in a folder that
// cannot be read is neither missing nor extra: nothing is known of it.
func (c *comparison) folders(ctx context.Context, o, r *dir, rel string, depth int, on, rn node) error {
	if on.mode&permBits != rn.mode&permBits {
		c.differs(difference{rel, Metadata, on.info, rn.info})
	}
	oc, ol, err := c.enter(o, rel, depth, on, c.replicaID)
	if err != nil {
		c.unlisted()
		c.uncounted()
		return c.tolerate(rel, sideError("origin", err))
	}
	defer oc.release()
	rc, rl, err := c.enter(r, rel, depth, on, c.originID)
	if err != nil {
		c.uncounted()
		return c.tolerate(rel, sideError("replica", err))
	}
	defer rc.release()
	return c.merge(ctx, oc, rc, rel, depth+1, ol, rl)
}

// enter opens and lists the folder n of d.
func (c *comparison) enter(d *dir, rel string, depth int, n node, other id) (*dir, listing, error) {
	if depth >= maxDepth {
		return nil, listing{}, errTooDeep
	}
	child, err := d.child(n.name)
	if err != nil {
		return nil, listing{}, err
	}
	l, err := c.list(child, rel, other)
	if err != nil {
		child.release()
		return nil, listing{}, err
	}
	return child, l, nil
}

// tolerate notes err as a problem of one path, unless it is a reason to end.
func (c *comparison) tolerate(rel string, err error) error {
	if errors.Is(err, ErrSameTree) {
		return err
	}
	c.problem(rel, err)
	return nil
}

// links compares the targets of two links.
func (c *comparison) links(o, r *dir, rel string, on, rn node) {
	want, err := o.readlink(on.name)
	if err != nil {
		c.problem(rel, sideError("origin", err))
		return
	}
	have, err := r.readlink(on.name)
	if err != nil {
		c.problem(rel, sideError("replica", err))
		return
	}
	if want != have {
		c.differs(difference{rel, Content, on.info, rn.info})
	}
}

// otherKind notes an entry that is a folder on one side and something else on the
// other, with all that the folder holds.
func (c *comparison) otherKind(ctx context.Context, o, r *dir, rel string, depth int, on, rn node) error {
	c.differs(difference{rel, Content, on.info, rn.info})
	if on.kind == isFolder {
		return c.missingBelow(ctx, o, rel, depth, on)
	}
	if rn.kind == isFolder {
		_, err := c.extraBelow(ctx, r, rel, depth, rn)
		return err
	}
	return nil
}

// missing notes n and what lies below it as missing.
func (c *comparison) missing(ctx context.Context, o *dir, rel string, depth int, n node) error {
	c.countOrigin(n)
	switch {
	case n.unknown:
		return nil
	case n.kind == isSpecial:
		c.problem(rel, errSpecial)
		return nil
	}
	c.differs(difference{path: rel, kind: Missing, origin: n.info})
	if n.kind == isFolder {
		return c.missingBelow(ctx, o, rel, depth, n)
	}
	return nil
}

func (c *comparison) missingBelow(ctx context.Context, o *dir, rel string, depth int, n node) error {
	child, l, err := c.enter(o, rel, depth, n, c.replicaID)
	if err != nil {
		c.unlisted()
		return c.tolerate(rel, sideError("origin", err))
	}
	defer child.release()
	for _, n := range l.nodes {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := c.missing(ctx, child, path.Join(rel, n.name), depth+1, n); err != nil {
			return err
		}
	}
	return nil
}

// extra notes n and what lies below it as extra, contents first. It tells
// whether all of it may go: a folder that must keep something stays, and is
// no drift.
func (c *comparison) extra(ctx context.Context, r *dir, rel string, depth int, n node) (goes bool, err error) {
	c.countReplica(n)
	switch {
	case n.unknown:
		c.uncounted()
		return false, nil
	case n.kind == isSpecial:
		c.problem(rel, errSpecial)
		return false, nil
	case n.kind == isFolder:
		if goes, err := c.extraBelow(ctx, r, rel, depth, n); err != nil || !goes {
			return false, err
		}
	}
	c.differs(difference{path: rel, kind: Extra, replica: n.info})
	return true, nil
}

func (c *comparison) extraBelow(ctx context.Context, r *dir, rel string, depth int, n node) (goes bool, err error) {
	child, l, err := c.enter(r, rel, depth, n, c.originID)
	if err != nil {
		c.uncounted()
		return false, c.tolerate(rel, sideError("replica", err))
	}
	defer child.release()
	goes = len(l.protected) == 0
	for _, n := range l.nodes {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		gone, err := c.extra(ctx, child, path.Join(rel, n.name), depth+1, n)
		if err != nil {
			return false, err
		}
		goes = goes && gone
	}
	if !goes {
		return false, nil
	}
	for _, name := range l.perishable {
		st, err := child.stat(name)
		if err != nil {
			c.problem(path.Join(rel, name), sideError("replica", err))
			return false, nil
		}
		c.differs(difference{path: path.Join(rel, name), replica: st})
	}
	return true, nil
}

func (c *comparison) countOrigin(n node) {
	if n.kind != isFolder && !n.unknown {
		c.mu.Lock()
		c.report.OriginFiles++
		c.mu.Unlock()
	}
}

func (c *comparison) countReplica(n node) {
	if n.unknown {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch n.kind {
	case isFolder:
		c.report.Dirs++
	case isFile:
		c.report.Bytes += n.size
		c.report.Files++
	case isLink, isSpecial:
		c.report.Files++
	}
}

// uncounted notes that the replica holds more than was counted.
func (c *comparison) uncounted() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Uncounted = true
}

// unlisted notes that the origin holds more than was seen.
func (c *comparison) unlisted() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.originUnlisted = true
}
