package snmpsim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxDatagram is the largest UDP payload over IPv4.
const maxDatagram = 65507

// Options describe an agent.
type Options struct {
	Community string // the only one that is answered; "": all are
	Faults    Faults
}

// An Agent shows a device at a UDP port of 127.0.0.1.
type Agent struct {
	device    *Device
	community string
	faults    Faults
	below     prefixes

	conn     net.PacketConn
	done     sync.WaitGroup
	requests atomic.Int64
	largest  atomic.Int64
	dice     *rand.Rand // used by one goroutine only
}

// prefixes are the OIDs of faults, parsed.
type prefixes struct{ status, stuck, endless OID }

// Start starts an agent at a port that the system chooses. Close ends it.
func Start(ctx context.Context, device *Device, o Options) (*Agent, error) {
	a := &Agent{
		device: device, community: o.Community, faults: o.Faults,
		dice: rand.New(rand.NewPCG(o.Faults.Seed, 1)), //nolint:gosec // losses need no secrecy
	}
	var err error
	for text, into := range map[string]*OID{
		a.faults.StatusBelow: &a.below.status, a.faults.StuckBelow: &a.below.stuck, a.faults.Endless: &a.below.endless,
	} {
		if text == "" {
			continue
		}
		if *into, err = ParseOID(text); err != nil {
			return nil, err
		}
	}
	var config net.ListenConfig
	if a.conn, err = config.ListenPacket(ctx, "udp4", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start agent: %w", err)
	}
	a.done.Go(a.serve)
	return a, nil
}

// Addr returns the agent's HOST:PORT.
func (a *Agent) Addr() string { return a.conn.LocalAddr().String() }

// Requests returns how many messages have come in.
func (a *Agent) Requests() int { return int(a.requests.Load()) }

// Largest returns the size of the largest answer so far, in bytes.
func (a *Agent) Largest() int { return int(a.largest.Load()) }

// Close ends the agent.
func (a *Agent) Close() error {
	err := a.conn.Close()
	a.done.Wait()
	return err
}

func (a *Agent) serve() {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := a.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // of an earlier answer that nobody took
		}
		if answer := a.answer(buf[:n], int(a.requests.Add(1))); answer != nil {
			a.send(answer, from)
		}
	}
}

func (a *Agent) send(answer []byte, to net.Addr) {
	if size := int64(len(answer)); size > a.largest.Load() {
		a.largest.Store(size)
	}
	if a.faults.Latency <= 0 {
		_, _ = a.conn.WriteTo(answer, to) // a lost answer is what UDP has
		return
	}
	time.AfterFunc(a.faults.Latency, func() { _, _ = a.conn.WriteTo(answer, to) })
}

// answer returns the answer to the number-th message, or nil for none.
func (a *Agent) answer(message []byte, number int) []byte {
	if a.lost(number) {
		return nil
	}
	r, err := parseRequest(message)
	if err != nil || a.community != "" && string(r.community) != a.community {
		return nil
	}
	if status := a.faults.Status; status != 0 && number > a.faults.StatusAfter && a.concerns(r) {
		return failure(r, status, 1)
	}
	switch r.kind {
	case pduGet:
		return a.get(r)
	case pduGetNext:
		r.repetitions, r.nonRepeaters = 1, 0
		return a.bulk(r, number)
	case pduGetBulk:
		if r.version == 0 {
			return nil
		}
		return a.bulk(r, number)
	default:
		return nil
	}
}

// lost tells whether the number-th message gets no answer.
func (a *Agent) lost(number int) bool {
	f := a.faults
	if f.Silent || f.SilentAfter > 0 && number > f.SilentAfter {
		return true
	}
	if slices.Contains(f.Lose, number) {
		return true
	}
	return f.Loss > 0 && a.dice.Float64() < f.Loss
}

// concerns tells whether the error status is for r.
func (a *Agent) concerns(r request) bool {
	for _, oid := range r.oids {
		if within(oid, a.below.status) {
			return true
		}
	}
	return a.below.status == nil
}

// within tells whether oid is at or below prefix.
func within(oid, prefix OID) bool {
	return prefix != nil && len(oid) >= len(prefix) && oid[:len(prefix)].Compare(prefix) == 0
}

// failure is an answer with an error status and the request's own names.
func failure(r request, status, index int) []byte {
	var binds []byte
	for _, name := range r.names {
		binds = appendBind(binds, name, []byte{tagNull, 0})
	}
	return appendResponse(nil, r, status, index, binds)
}

// room returns how many bytes of bindings an answer to r may have.
func (a *Agent) room(r request, limit int) int {
	const headers = 40 // what stands around the bindings at most, but for the community
	return limit - headers - len(r.community)
}

// pack makes the answer to r of binds, unless it is too big.
func (a *Agent) pack(r request, binds []byte) []byte {
	limit := maxDatagram
	if a.faults.MaxMessage > 0 {
		limit = a.faults.MaxMessage
	}
	if len(binds) > a.room(r, limit) || a.faults.TooBigOver > 0 && len(binds) > a.room(r, a.faults.TooBigOver) {
		return failure(r, TooBig, 0)
	}
	return appendResponse(nil, r, 0, 0, binds)
}

func (a *Agent) get(r request) []byte {
	var binds []byte
	for i, oid := range r.oids {
		at, found := a.device.at(oid)
		switch {
		case found && (r.version > 0 || !a.device.counter[at]):
			binds = append(binds, a.device.binds[at]...)
		case r.version == 0:
			return failure(r, NoSuchName, i+1)
		default:
			binds = appendBind(binds, r.names[i], []byte{a.missing(oid), 0})
		}
	}
	return a.pack(r, binds)
}

// missing says which kind of nothing is at oid.
func (a *Agent) missing(oid OID) byte {
	column := oid[:len(oid)-1]
	if at := a.device.after(column); at < a.device.Len() && within(a.device.oids[at], column) {
		return tagNoSuchInstance
	}
	return tagNoSuchObject
}
