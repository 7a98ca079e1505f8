package poll

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gosnmp/gosnmp"
)

// Read answers q. What could not be read has an error in the reading; a
// context that ends makes these errors of reason [Deadline].
func (s *Session) Read(ctx context.Context, q Query) *Reading {
	if s.begin.IsZero() {
		s.begin = time.Now()
	}
	r := &Reading{Groups: make([][]Column, len(q.Groups)), Gets: make([]Column, len(q.Gets))}
	var jobs []job
	var all [][]*column
	for i, group := range q.Groups {
		r.Groups[i] = make([]Column, len(group))
		columns := s.columns(group, r.Groups[i])
		all = append(all, columns)
		jobs = append(jobs, s.walks(&q, columns)...)
	}
	jobs = append(jobs, s.gets(&q, q.Gets, r.Gets)...)
	s.run(ctx, &q, jobs)
	s.leaves(ctx, &q, all)
	s.learn(all)
	return r
}

// A job is a part of a query that one socket does.
type job interface {
	// do asks until all is read or failed.
	do(ctx context.Context, c *conn)
	// fail notes err for all that is not read yet.
	fail(err *Error)
}

// run does all jobs, several at once where the target is far and known to
// answer. If it is not, the others wait for the first answer.
func (s *Session) run(ctx context.Context, q *Query, jobs []job) {
	var taken atomic.Int64
	var once sync.Once
	open := make(chan struct{})
	work := func() {
		for {
			i := int(taken.Add(1)) - 1
			if i >= len(jobs) {
				return
			}
			s.perform(ctx, q, jobs[i])
			once.Do(func() { close(open) })
		}
	}
	if s.Answered() || s.peer.known() {
		once.Do(func() { close(open) })
	}
	var workers sync.WaitGroup
	for i := range min(s.client.limits.Window, len(jobs)) {
		workers.Go(func() {
			if i > 0 {
				<-open
				if i >= s.peer.window(s.client.limits.Window) {
					return
				}
			}
			work()
		})
	}
	workers.Wait()
}

func (s *Session) perform(ctx context.Context, q *Query, j job) {
	if err := s.death(); err != nil {
		j.fail(err)
		return
	}
	c, err := s.conn(ctx, q.Timeout)
	if err != nil {
		s.kill(err)
		j.fail(err)
		return
	}
	defer s.release(c)
	j.do(ctx, c)
}

// leaves reads the roots of subtrees below which there was nothing.
func (s *Session) leaves(ctx context.Context, q *Query, all [][]*column) {
	var oids []string
	var empty []*column
	for _, columns := range all {
		for _, c := range columns {
			if c.leaf && len(c.into.Objects) == 0 && c.into.Err == nil {
				oids, empty = append(oids, c.root), append(empty, c)
			}
		}
	}
	into := make([]Column, len(oids))
	s.run(ctx, q, s.gets(q, oids, into))
	for i, c := range empty {
		*c.into = into[i]
	}
}

// learn remembers what the subtrees were like.
func (s *Session) learn(all [][]*column) {
	for _, columns := range all {
		for _, c := range columns {
			if c.into.Err == nil && !c.scalar {
				s.peer.learn(c.root, shape{rows: len(c.into.Objects), size: c.largest})
			}
		}
	}
}

// count adds what came in to the session's sums. It returns an error once
// they exceed the limits.
func (s *Session) count(bytes int) *Error {
	limits := s.client.limits
	if n := s.pdus.Add(1); n > int64(limits.PDUs) {
		err := fail(PDULimit, "more than %d objects", limits.PDUs)
		s.kill(err)
		return err
	}
	if n := s.bytes.Add(int64(bytes)); n > int64(limits.Bytes) {
		err := fail(ByteLimit, "more than %d bytes", limits.Bytes)
		s.kill(err)
		return err
	}
	return nil
}

// hopeless handles an error of a request. It tells whether to give the job up;
// if not, less should be asked. since is when the job first got no answer.
func (s *Session) hopeless(q *Query, err *Error, since time.Time) bool {
	if s.death() != nil {
		return true
	}
	switch err.Reason {
	case Deadline, Refused, Unreachable, WrongDigest, TimeWindow, EngineID, UnknownUser, SecurityLevel, Decryption, Silent:
		s.kill(err)
		return true
	case Timeout:
		if q.Retries > 0 && q.budget()-time.Since(since) > 10*time.Millisecond {
			return false
		}
		if last := s.answers.Load(); last == 0 {
			s.kill(fail(Silent, "no answer within %v: %w", q.budget(), err.Err))
		} else if s.begin.Add(time.Duration(last)).Before(since) {
			s.kill(err) // nobody else was answered either
		}
		return true
	default:
		return true
	}
}

// absent tells whether the agent says that there is nothing.
func absent(t gosnmp.Asn1BER) bool {
	return t == gosnmp.NoSuchObject || t == gosnmp.NoSuchInstance || t == gosnmp.EndOfMibView
}
