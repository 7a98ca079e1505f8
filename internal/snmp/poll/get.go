package poll

import (
	"context"
	"strings"
	"time"

	"github.com/gosnmp/gosnmp"
)

// maxGets is how many objects are asked for at once.
const maxGets = 40

// gets divides single objects into jobs.
func (s *Session) gets(q *Query, oids []string, into []Column) []job {
	each := min(max(s.room()/unknownSize, 1), maxGets, int(max(q.MaxRepetitions, 1)))
	if most := s.peer.atMost(); most > 0 {
		each = min(each, most)
	}
	var jobs []job
	for from := 0; from < len(oids); from += each {
		to := min(from+each, len(oids))
		g := &get{q: q, width: to - from}
		for i := from; i < to; i++ {
			g.wanted = append(g.wanted, wanted{"." + strings.TrimPrefix(oids[i], "."), &into[i]})
		}
		jobs = append(jobs, g)
	}
	return jobs
}

// A get reads single objects.
type get struct {
	q      *Query
	wanted []wanted // that are not there yet
	width  int      // that a request may have
	since  time.Time
}

type wanted struct {
	oid  string
	into *Column
}

// fail implements job.
func (g *get) fail(err *Error) {
	for _, w := range g.wanted {
		w.into.Err = err
	}
	g.wanted = nil
}

// do implements job.
func (g *get) do(ctx context.Context, c *conn) {
	for len(g.wanted) > 0 {
		now := g.wanted[:min(g.width, len(g.wanted))]
		oids := make([]string, len(now))
		for i, w := range now {
			oids[i] = w.oid
		}
		if g.since.IsZero() {
			g.since = time.Now()
		}
		packet, err := c.ask(ctx, g.q, gosnmp.GetRequest, oids, 0, g.q.budget()-time.Since(g.since))
		switch {
		case err != nil:
			if c.s.hopeless(g.q, err, g.since) {
				if dead := c.s.death(); dead != nil {
					err = dead
				}
				g.fail(err)
				return
			}
			g.width = max(len(now)/2, 1)
		case packet.Error != gosnmp.NoError:
			g.since = time.Time{}
			g.refused(c, now, packet)
		default:
			g.since = time.Time{}
			g.accept(c, now, packet.Variables)
		}
	}
}

// refused deals with an error status.
func (g *get) refused(c *conn, now []wanted, packet *gosnmp.SnmpPacket) {
	at := int(packet.ErrorIndex) - 1
	switch {
	case packet.Error == gosnmp.NoSuchName && c.g.Version == gosnmp.Version1 && at >= 0 && at < len(now):
		g.remove(at) // not there, which is no error
	case len(now) > 1:
		if packet.Error == gosnmp.TooBig {
			c.s.peer.shrink(len(now))
		}
		g.width = max(len(now)/2, 1)
	default:
		now[0].into.Err = statusError(packet.Error, now[0].oid)
		g.remove(0)
	}
}

func (g *get) remove(i int) {
	rest := append([]wanted(nil), g.wanted[:i]...)
	g.wanted = append(rest, g.wanted[i+1:]...)
}

// accept takes the objects of a reply, which may be cut short.
func (g *get) accept(c *conn, now []wanted, objects []gosnmp.SnmpPDU) {
	if len(objects) == 0 {
		now[0].into.Err = fail(BadReply, "read %s: the reply is empty", now[0].oid)
		g.remove(0)
		return
	}
	for i, w := range now[:min(len(now), len(objects))] {
		v := objects[i]
		switch {
		case absent(v.Type):
		case v.Name != w.oid:
			w.into.Err = fail(BadReply, "read %s: the agent answers with %s", w.oid, v.Name)
		default:
			object := Object{Type: v.Type, Value: v.Value}
			if err := c.s.count(size(v.Name, &object)); err != nil {
				w.into.Err = err
				continue
			}
			w.into.Objects = []Object{object}
		}
	}
	g.wanted = g.wanted[min(len(now), len(objects)):]
}
