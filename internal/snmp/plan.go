package snmp

import (
	"slices"
	"strings"

	"github.com/minikeeper/minikeeper/internal/snmp/poll"
)

// A plan is what to ask for, and where each column finds its objects in the
// answer.
type plan struct {
	query   poll.Query
	origins [][]origin // of each column
}

// An origin is a part of an answer that holds objects of a column.
type origin struct {
	group, item int    // a subtree; group -1: a single object
	add         string // what stands before each index, because the subtree lies below the column
	only        string // the part of the subtree that is the column's, because it lies above
}

// A root is a subtree to be read.
type root struct {
	scalar, leaf bool
	table        string // its parent
	group, item  int
}

// newPlan finds the least that has to be read so that all columns have what
// lies below walks and gets.
func (m *module) newPlan(walks, gets []string) *plan {
	roots := m.roots(walks)
	p := &plan{origins: make([][]origin, len(m.columns)), query: poll.Query{
		MaxRepetitions: m.source.MaxRepetitions, Retries: m.source.Retries, Timeout: m.source.Timeout,
		NonIncreasing: m.source.AllowNonIncreasingOIDs,
	}}
	p.group(roots)
	for i, column := range m.columns {
		for oid, r := range roots {
			if o, ok := relate(column.oid, oid); ok {
				o.group, o.item = r.group, r.item
				p.origins[i] = append(p.origins[i], o)
			}
		}
	}
	p.single(m, gets)
	for _, origins := range p.origins {
		slices.SortFunc(origins, func(a, b origin) int { return strings.Compare(a.add, b.add) })
	}
	return p
}

// roots are the subtrees that have to be read: columns that lie below a walk,
// and walks that lie below a column. None lies below another.
func (m *module) roots(walks []string) map[string]*root {
	roots := make(map[string]*root)
	for _, column := range m.columns {
		whole, named := false, false
		for _, walk := range walks {
			whole = whole || walk == column.oid || under(column.oid, walk)
			named = named || walk == column.oid
		}
		if whole {
			r := addRoot(roots, column.oid, column.scalar)
			r.leaf = r.leaf || named || column.scalar
			continue
		}
		for _, walk := range walks {
			if under(walk, column.oid) {
				addRoot(roots, walk, false).leaf = true
			}
		}
	}
	for oid := range roots {
		for i := range len(oid) {
			above := roots[oid[:i]]
			if oid[i] == '.' && above != nil {
				above.scalar = false
				delete(roots, oid)
				break
			}
		}
	}
	return roots
}

func addRoot(roots map[string]*root, oid string, scalar bool) *root {
	r := roots[oid]
	if r == nil {
		r = &root{scalar: scalar, table: parent(oid)}
		roots[oid] = r
	}
	r.scalar = r.scalar && scalar
	return r
}

// under tells whether oid lies below above.
func under(oid, above string) bool {
	return len(oid) > len(above) && oid[len(above)] == '.' && strings.HasPrefix(oid, above)
}

// relate says how the objects below root become those of the column at oid.
func relate(oid, root string) (origin, bool) {
	switch {
	case oid == root:
		return origin{}, true
	case under(root, oid):
		return origin{add: root[len(oid)+1:]}, true
	case under(oid, root):
		return origin{only: oid[len(root)+1:]}, true
	default:
		return origin{}, false
	}
}

// group puts the subtrees of a table together, and all scalars.
func (p *plan) group(roots map[string]*root) {
	const scalars = "" // no table is called so
	oids := make([]string, 0, len(roots))
	for oid := range roots {
		oids = append(oids, oid)
	}
	slices.SortFunc(oids, poll.CompareIndex)
	groups := make(map[string]int)
	for _, oid := range oids {
		r := roots[oid]
		name := r.table
		if r.scalar {
			name = scalars
		}
		at, ok := groups[name]
		if !ok {
			at = len(p.query.Groups)
			groups[name] = at
			p.query.Groups = append(p.query.Groups, nil)
		}
		r.group, r.item = at, len(p.query.Groups[at])
		p.query.Groups[at] = append(p.query.Groups[at], poll.Subtree{Root: oid, Scalar: r.scalar, Leaf: r.leaf})
	}
}

// single adds the single objects that a column can use.
func (p *plan) single(m *module, gets []string) {
	seen := make(map[string]bool, len(gets))
	for _, get := range gets {
		if seen[get] {
			continue
		}
		seen[get] = true
		used := false
		for i, column := range m.columns {
			if get != column.oid && !under(get, column.oid) {
				continue
			}
			o := origin{group: -1, item: len(p.query.Gets)}
			if get != column.oid {
				o.add = get[len(column.oid)+1:]
			}
			p.origins[i] = append(p.origins[i], o)
			used = true
		}
		if used {
			p.query.Gets = append(p.query.Gets, get)
		}
	}
}

// column is what was read of one spec.
type column struct {
	objects []poll.Object // in the order of their indexes
	err     error
}

// columns sorts an answer by columns.
func (p *plan) columns(r *poll.Reading) []column {
	columns := make([]column, len(p.origins))
	for i, origins := range p.origins {
		if len(origins) == 1 && origins[0].whole() && !p.query.NonIncreasing {
			c := r.Groups[origins[0].group][origins[0].item]
			columns[i] = column{c.Objects, c.Err}
			continue
		}
		columns[i] = gather(origins, r)
	}
	return columns
}

// whole tells whether a subtree is the column, as it is.
func (o origin) whole() bool { return o.group >= 0 && o.add == "" && o.only == "" }

// gather puts a column together that is read in parts.
func gather(origins []origin, r *poll.Reading) column {
	var all column
	for _, o := range origins {
		var part poll.Column
		if o.group < 0 {
			part = r.Gets[o.item]
		} else {
			part = r.Groups[o.group][o.item]
		}
		if part.Err != nil {
			return column{err: part.Err}
		}
		for _, object := range part.Objects {
			if index, ok := o.index(object.Index); ok {
				object.Index = index
				all.objects = append(all.objects, object)
			}
		}
	}
	slices.SortStableFunc(all.objects, func(a, b poll.Object) int { return poll.CompareIndex(a.Index, b.Index) })
	all.objects = slices.CompactFunc(all.objects, func(a, b poll.Object) bool { return a.Index == b.Index })
	return all
}

// index turns an index of the subtree into one of the column.
func (o origin) index(index string) (string, bool) {
	switch {
	case o.only != "" && index == o.only:
		return "", true
	case o.only != "":
		rest, ok := strings.CutPrefix(index, o.only+".")
		return rest, ok
	case o.add == "":
		return index, true
	case index == "":
		return o.add, true
	default:
		return o.add + "." + index, true
	}
}

// find returns the object of c with index. hint is where it likely stands.
func (c *column) find(index string, hint int) *poll.Object {
	if hint < len(c.objects) && c.objects[hint].Index == index {
		return &c.objects[hint]
	}
	i, ok := slices.BinarySearchFunc(c.objects, index, func(o poll.Object, index string) int {
		return poll.CompareIndex(o.Index, index)
	})
	if !ok || c.objects[i].Index != index {
		return nil
	}
	return &c.objects[i]
}
