package snmpsim

import "fmt"

// A cursor walks along the device from one OID of a request.
type cursor struct {
	agent  *Agent
	number int // of the request
	v1     bool
	at     int    // index of the next object
	asked  OID    // what to start from
	name   []byte // the last OID that was returned, encoded
	unreal uint32 // how many objects were made up
	ended  bool
}

// bulk answers GETBULK, and GETNEXT as one repetition of it.
func (a *Agent) bulk(r request, number int) []byte {
	cursors := make([]cursor, len(r.oids))
	for i, oid := range r.oids {
		cursors[i] = cursor{agent: a, number: number, v1: r.version == 0, at: a.device.after(oid), asked: oid, name: r.names[i]}
	}
	fixed := min(max(r.nonRepeaters, 0), len(cursors))
	room := maxDatagram
	if a.faults.MaxMessage > 0 {
		room = a.faults.MaxMessage
	}
	room = a.room(r, room)
	var binds []byte
	for repetition := range max(r.repetitions, min(1, fixed)) {
		ended := true
		for i := range cursors {
			if repetition > 0 && i < fixed || i >= fixed && repetition >= r.repetitions {
				continue
			}
			was := len(binds)
			binds = cursors[i].append(binds)
			if cursors[i].ended && r.kind == pduGetNext && r.version == 0 {
				return failure(r, NoSuchName, i+1)
			}
			if r.kind == pduGetBulk && len(binds) > room && was > 0 {
				if a.faults.TooBigOver > 0 {
					return failure(r, TooBig, 0)
				}
				return appendResponse(nil, r, 0, 0, binds[:was])
			}
			ended = ended && cursors[i].ended
		}
		if ended {
			break
		}
	}
	return a.pack(r, binds)
}

// append appends the next object to binds.
func (c *cursor) append(binds []byte) []byte {
	a := c.agent
	switch {
	case within(c.asked, a.below.endless):
		return c.invent(binds)
	case c.number > a.faults.StuckAfter && within(c.asked, a.below.stuck):
		return append(binds, a.device.binds[min(a.device.after(a.below.stuck), a.device.Len()-1)]...)
	}
	for c.v1 && c.at < a.device.Len() && a.device.counter[c.at] {
		c.at++
	}
	if c.at >= a.device.Len() {
		c.ended = true
		return appendBind(binds, c.name, []byte{tagEndOfMIBView, 0})
	}
	binds = append(binds, a.device.binds[c.at]...)
	if a.below.endless != nil || a.below.stuck != nil {
		c.asked = a.device.oids[c.at] // it may come under one of them
	}
	c.name = a.device.names[c.at]
	c.at++
	return binds
}

// invent appends an object that the device does not have, behind the last.
func (c *cursor) invent(binds []byte) []byte {
	prefix := c.agent.below.endless
	if len(c.asked) > len(prefix) && c.unreal == 0 {
		c.unreal = c.asked[len(prefix)]
	}
	c.unreal++
	oid := append(append(OID{}, prefix...), c.unreal)
	value := appendElement(nil, tagOctetString, fmt.Appendf(nil, "%0*d", c.agent.faults.EndlessSize, c.unreal))
	return appendBind(binds, appendOID(nil, oid), value)
}
