package delta

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"golang.org/x/sys/unix"
)

// maxDepth bounds how many folders lie within one another: each that is being
// walked through holds an open file on either side.
const maxDepth = 400

// Reasons why an entry is left as it is.
var (
	errSpecial   = errors.New("it is a device, pipe or socket, which a share may not hold")
	errTooDeep   = fmt.Errorf("it lies more than %d folders deep", maxDepth)
	errVanished  = errors.New("it vanished while the tree was read")
	errNameClash = errors.New("the replica has another entry that goes by this name")
)

// A node is an entry of an open folder.
type node struct {
	name string
	info
	unknown bool  // it could not be looked at, and a problem says so
	why     error // it is unknown; of scans only
}

// A listing is what a folder holds: what is part of the share, and the names
// that are excluded.
type listing struct {
	nodes                 []node // sorted by name
	perishable, protected []string
}

// walk goes through both trees, from their roots.
func (c *comparison) walk(ctx context.Context) error {
	o, err := c.list(c.origin, ".", c.replicaID)
	if err != nil {
		return fmt.Errorf("list origin: %w", err)
	}
	r, err := c.list(c.replica, ".", c.originID)
	if err != nil {
		return fmt.Errorf("list replica: %w", err)
	}
	return c.merge(ctx, c.origin, c.replica, ".", 0, o, r)
}

// list reads the folder d at rel. other is the other tree's root, which must
// not turn up in this one.
func (c *comparison) list(d *dir, rel string, other id) (listing, error) {
	names, err := d.names()
	if err != nil {
		return listing{}, err
	}
	l := listing{nodes: make([]node, 0, len(names))}
	for _, name := range names {
		at := path.Join(rel, name)
		if isReserved(at) {
			continue
		}
		switch c.rules.judge(name, at) {
		case perishable:
			l.perishable = append(l.perishable, name)
			continue
		case protected:
			l.protected = append(l.protected, name)
			continue
		case included:
		}
		st, err := d.stat(name)
		if err != nil {
			l.nodes = append(l.nodes, node{name: name, unknown: true})
			c.problem(at, c.unknown(err, other))
			continue
		}
		if st.id == other {
			return listing{}, ErrSameTree
		}
		l.nodes = append(l.nodes, node{name: name, info: st})
	}
	return l, nil
}

// unknown says why an entry could not be looked at, and in which tree: the one
// that is not other's.
func (c *comparison) unknown(err error, other id) error {
	if errors.Is(err, unix.ENOENT) {
		err = errVanished
	}
	if other == c.replicaID {
		return sideError("origin", err)
	}
	return sideError("replica", err)
}

// merge goes through two listings of one folder in step.
func (c *comparison) merge(ctx context.Context, o, r *dir, rel string, depth int, ol, rl listing) error {
	var missing, extra []node
	for len(ol.nodes)+len(rl.nodes) > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var err error
		switch side := first(ol.nodes, rl.nodes); {
		case side < 0:
			missing = append(missing, ol.nodes[0])
			ol.nodes = ol.nodes[1:]
		case side > 0:
			extra = append(extra, rl.nodes[0])
			rl.nodes = rl.nodes[1:]
		default:
			err = c.both(ctx, o, r, path.Join(rel, ol.nodes[0].name), depth, ol.nodes[0], rl.nodes[0])
			ol.nodes, rl.nodes = ol.nodes[1:], rl.nodes[1:]
		}
		if err != nil {
			return err
		}
	}
	return c.unpaired(ctx, o, r, rel, depth, missing, extra)
}

// unpaired deals with the names that only one of two folders lists. Where the
// replica's filesystem takes two spellings for one name (it ignores case, or
// normalises Unicode), an origin's name may be there under its other spelling:
// then the two are one entry, and the extra one must not be deleted.
func (c *comparison) unpaired(ctx context.Context, o, r *dir, rel string, depth int, missing, extra []node) error {
	for _, n := range missing {
		at := path.Join(rel, n.name)
		st, err := r.stat(n.name)
		switch {
		case n.unknown:
			continue
		case errors.Is(err, unix.ENOENT):
			err = c.missing(ctx, o, at, depth, n)
		case err != nil:
			c.countOrigin(n)
			c.problem(at, sideError("replica", err))
			err = nil
		default:
			i := slices.IndexFunc(extra, func(e node) bool { return e.id == st.id })
			if i < 0 {
				c.countOrigin(n)
				c.problem(at, errNameClash)
				continue
			}
			err = c.both(ctx, o, r, at, depth, n, extra[i])
			extra = slices.Delete(extra, i, i+1)
		}
		if err != nil {
			return err
		}
	}
	for _, n := range extra {
		if _, err := c.extra(ctx, r, path.Join(rel, n.name), depth, n); err != nil {
			return err
		}
	}
	return nil
}

// first tells which of two sorted lists has the next name: the first (-1), the second
// (1), or both (0).
func first(a, b []node) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	default:
		return cmp.Compare(a[0].name, b[0].name)
	}
}
