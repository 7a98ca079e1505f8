package poll

import (
	"context"
	"time"

	"github.com/gosnmp/gosnmp"
)

// A column is a subtree that is being read.
type column struct {
	root         string // with a leading dot
	scalar, leaf bool
	into         *Column
	next         string // where to go on
	last         string // the index of the last object
	done         bool
	expected     int             // rows; -1: not known
	size         int             // bytes of an object, as far as known
	largest      int             // bytes of the largest that came
	seen         map[string]bool // indexes, where the agent may go back
}

// What is assumed of a table that was never read.
const (
	unknownRows = 4
	unknownSize = 32
)

func (s *Session) columns(group []Subtree, into []Column) []*column {
	columns := make([]*column, len(group))
	for i, sub := range group {
		c := &column{
			root: "." + sub.Root, next: "." + sub.Root, scalar: sub.Scalar, leaf: sub.Leaf,
			into: &into[i], expected: -1, size: unknownSize,
		}
		if was, ok := s.peer.shape(c.root); ok {
			c.expected, c.size = was.rows, max(was.size, c.size/2)
			c.into.Objects = make([]Object, 0, was.rows)
		}
		columns[i] = c
	}
	return columns
}

// walks divides the columns of a group into jobs.
func (s *Session) walks(q *Query, columns []*column) []job {
	if len(columns) == 0 {
		return nil
	}
	a := appetite{
		room: s.room(), objects: s.peer.atMost(), repeats: int(min(q.repetitions(), 255)),
		window: s.peer.window(s.client.limits.Window), sizes: make([]int, len(columns)),
	}
	if q.MaxRepetitions < defaultRepetitions && q.MaxRepetitions > 0 {
		a.objects = int(q.MaxRepetitions) // somebody had a reason
	}
	for i, c := range columns {
		a.sizes[i] = c.size
		rows := 1
		if !c.scalar {
			rows = c.expected + 1
			if c.expected < 0 {
				rows = unknownRows + 1
			}
		}
		a.rows = max(a.rows, rows)
	}
	if s.target.Version == 1 {
		a.repeats = 1
	}
	var jobs []job
	for _, share := range divide(a) {
		jobs = append(jobs, &walk{
			q: q, columns: columns[share.from:share.to], rows: share.rows, width: share.to - share.from, want: a.rows,
		})
	}
	return jobs
}

// Repetitions of snmp_exporter where a module names none, and of gosnmp where
// it names 0.
const (
	defaultRepetitions = 25
	zeroRepetitions    = 50
)

func (q *Query) repetitions() uint32 {
	if q.MaxRepetitions == 0 {
		return zeroRepetitions
	}
	return q.MaxRepetitions
}

// room is how many bytes of objects a reply may have.
func (s *Session) room() int {
	const headers, secureHeaders = 45, 170
	if s.target.Version == 3 {
		return s.client.limits.Reply - secureHeaders - len(s.target.User.Name) - len(s.target.Context)
	}
	return s.client.limits.Reply - headers - len(s.target.Community)
}

// A walk reads columns together, from their roots to their ends.
type walk struct {
	q       *Query
	columns []*column
	rows    int // of each column in a request
	width   int // columns in a request
	want    int // rows that are expected, with the one that shows the end
	got     int // rows that were asked for
	since   time.Time
}

// fail implements job.
func (w *walk) fail(err *Error) {
	for _, c := range w.columns {
		c.fail(err)
	}
}

func (c *column) fail(err *Error) {
	if !c.done {
		c.done, c.into.Objects, c.into.Err = true, nil, err
	}
}

// active returns the columns that the next request is for.
func (w *walk) active() []*column {
	var active []*column
	for _, c := range w.columns {
		if !c.done && len(active) < w.width {
			active = append(active, c)
		}
	}
	return active
}

// do implements job.
func (w *walk) do(ctx context.Context, c *conn) {
	for {
		active := w.active()
		if len(active) == 0 {
			return
		}
		rows := w.rows
		if left := w.want - w.got; left > 0 {
			rows = min(rows, left)
		}
		packet, err := w.ask(ctx, c, active, rows)
		switch {
		case err != nil:
			if c.s.hopeless(w.q, err, w.since) {
				if dead := c.s.death(); dead != nil {
					err = dead
				}
				w.fail(err)
				return
			}
			w.less(len(active), rows)
		case packet.Error != gosnmp.NoError:
			w.refused(ctx, c, active, rows, packet)
		default:
			w.got += rows
			w.accept(c, active, packet.Variables)
		}
	}
}

// ask asks for the next rows of active.
func (w *walk) ask(ctx context.Context, c *conn, active []*column, rows int) (*gosnmp.SnmpPacket, *Error) {
	oids := make([]string, len(active))
	for i, col := range active {
		oids[i] = col.next
	}
	if w.since.IsZero() {
		w.since = time.Now()
	}
	packet, err := c.ask(ctx, w.q, gosnmp.GetBulkRequest, oids, rows, w.q.budget()-time.Since(w.since))
	if err == nil {
		w.since = time.Time{}
	}
	return packet, err
}

// less asks for half as much from now on. It tells whether that is possible.
func (w *walk) less(columns, rows int) bool {
	switch {
	case rows > 1:
		w.rows = rows / 2
	case columns > 1:
		w.width = columns / 2
	default:
		return false
	}
	return true
}

// refused deals with an error status.
func (w *walk) refused(ctx context.Context, c *conn, active []*column, rows int, packet *gosnmp.SnmpPacket) {
	at := int(packet.ErrorIndex) - 1
	switch {
	case packet.Error == gosnmp.NoSuchName && c.g.Version == gosnmp.Version1 && at >= 0 && at < len(active):
		active[at].done = true // the end of the agent's objects
	case packet.Error == gosnmp.TooBig:
		c.s.peer.shrink(len(active) * rows)
		if !w.less(len(active), rows) {
			active[0].fail(statusError(packet.Error, active[0].next))
		}
	case len(active) == 1 && rows == 1:
		active[0].fail(statusError(packet.Error, active[0].next))
	default:
		w.single(ctx, c, active)
		w.rows = max(rows/2, 1)
	}
}

// single asks for the next object of each column alone, which shows which of
// them the agent fails to read. The row behind the end of a column may be the
// one, too.
func (w *walk) single(ctx context.Context, c *conn, active []*column) {
	for _, col := range active {
		packet, err := w.ask(ctx, c, []*column{col}, 1)
		switch {
		case err != nil:
			col.fail(err)
			if c.s.hopeless(w.q, err, w.since) {
				return
			}
		case packet.Error == gosnmp.NoSuchName && c.g.Version == gosnmp.Version1:
			col.done = true
		case packet.Error != gosnmp.NoError:
			col.fail(statusError(packet.Error, col.next))
		default:
			w.accept(c, []*column{col}, packet.Variables)
		}
	}
}

// accept takes the objects of a reply: the i-th belongs to column i modulo
// their number, and the reply may end anywhere.
func (w *walk) accept(c *conn, active []*column, objects []gosnmp.SnmpPDU) {
	if len(objects) == 0 {
		active[0].fail(fail(BadReply, "read %s: the reply is empty", active[0].next))
		return
	}
	for i := range objects {
		col := active[i%len(active)]
		if col.done {
			continue
		}
		if err := col.take(c.s, &objects[i], w.q.NonIncreasing); err != nil {
			col.fail(err)
		}
	}
}

// take takes the next object, or sees that it is behind the end. The type is
// looked at first: one that says "no more" has the name that was asked for.
func (c *column) take(s *Session, v *gosnmp.SnmpPDU, mayGoBack bool) *Error {
	if absent(v.Type) {
		c.done = true
		return nil
	}
	index, ok := below(v.Name, c.root)
	if !ok {
		c.done = true
		return nil
	}
	if c.last != "" && CompareIndex(c.last, index) >= 0 && !c.mayReturn(index, mayGoBack) {
		return fail(NonIncreasing, "read %s: %s comes after %s", c.root, index, c.last)
	}
	object := Object{Index: index, Type: v.Type, Value: v.Value}
	bytes := size(v.Name, &object)
	if err := s.count(bytes); err != nil {
		return err
	}
	c.into.Objects = append(c.into.Objects, object)
	c.last, c.next, c.largest = index, v.Name, max(c.largest, bytes)
	c.done = c.scalar && index == "0"
	return nil
}

// mayReturn tells whether index, which is not behind the last one, is new.
func (c *column) mayReturn(index string, allowed bool) bool {
	if !allowed {
		return false
	}
	if len(c.seen) != len(c.into.Objects) {
		c.seen = make(map[string]bool, len(c.into.Objects))
		for _, o := range c.into.Objects {
			c.seen[o.Index] = true
		}
	}
	if c.seen[index] {
		return false
	}
	c.seen[index] = true
	return true
}
