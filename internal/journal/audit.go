package journal

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// The kinds of rows of the audit chain.
const (
	kindRun        = "run"        // a run was entered or changed
	kindIntent     = "intent"     // a step is about to begin
	kindOutcome    = "outcome"    // a step has ended
	kindSuppressed = "suppressed" // a gate stopped a remedy
	kindCircuit    = "circuit"    // a failure was counted, or the count was reset
	kindPause      = "pause"
	kindResume     = "resume"
)

// ErrTampered is in the chain of Verify's error when the journal is not what
// was written.
var ErrTampered = errors.New("the audit chain is broken")

// A link is one row of the audit chain.
type link struct {
	Seq     int64
	At      int64
	Who     string
	Kind    string
	Subject string
	Body    string
	Prev    string // hash of the row before; "" for the first
	Hash    string
}

// sum returns the hash that l must have.
func (l link) sum() string {
	// A JSON array keeps the fields apart, whatever they hold.
	data, err := json.Marshal([]any{l.Seq, l.At, l.Who, l.Kind, l.Subject, l.Body, l.Prev})
	if err != nil {
		panic("audit row cannot be JSON: " + err.Error()) // numbers and strings can
	}
	return digest(string(data))
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// audit appends a row to the chain.
func (t *tx) audit(kind, subject string, what any) error {
	body, err := encode(what)
	if err != nil {
		return err
	}
	l := link{At: t.now.UnixNano(), Who: t.who, Kind: kind, Subject: subject, Body: body}
	err = t.tx.QueryRowContext(t.ctx, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").Scan(&l.Seq, &l.Prev)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read head of the audit chain: %w", err)
	}
	l.Seq++
	l.Hash = l.sum()
	err = t.exec("INSERT INTO audit (seq, at, who, kind, subject, body, prev, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		l.Seq, l.At, l.Who, l.Kind, l.Subject, l.Body, l.Prev, l.Hash)
	if err != nil {
		return fmt.Errorf("write audit chain: %w", err)
	}
	return nil
}

// Head returns the number and the hash of the last row of the audit chain.
// Whoever keeps it elsewhere can later tell with Verify that nothing was cut off.
func (j *Journal) Head(ctx context.Context) (rows int, head string, err error) {
	err = j.snapshot(ctx, func(r reader) error {
		err := r.q.QueryRowContext(ctx, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").Scan(&rows, &head)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return rows, head, err
}

// Verify reads the whole audit chain. It finds rows that were changed, left
// out or put in, and runs that are not what the chain says of them. With the
// head of an earlier time it also finds that the end was cut off. The error is
// ErrTampered then; rows and head are what the chain has now.
func (j *Journal) Verify(ctx context.Context, head string) (rows int, last string, err error) {
	c := chain{want: head, runs: make(map[string]string)}
	err = j.snapshot(ctx, func(r reader) error {
		if err := c.walk(ctx, r); err != nil {
			return err
		}
		return c.compare(ctx, r)
	})
	if err == nil && head != "" && !c.found {
		err = fmt.Errorf("%w: no row has the hash %s: the end was cut off, or all was written anew", ErrTampered, head)
	}
	return int(c.last.Seq), c.last.Hash, err
}

// A chain is the audit chain as far as it was read.
type chain struct {
	last  link
	want  string            // the head of an earlier time
	found bool              // it was seen
	runs  map[string]string // hash of each run's row, as last audited
}

func (c *chain) walk(ctx context.Context, r reader) error {
	rows, err := r.q.QueryContext(ctx, "SELECT seq, at, who, kind, subject, body, prev, hash FROM audit ORDER BY seq")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var l link
		if err := rows.Scan(&l.Seq, &l.At, &l.Who, &l.Kind, &l.Subject, &l.Body, &l.Prev, &l.Hash); err != nil {
			return err
		}
		if err := c.add(l); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (c *chain) add(l link) error {
	switch {
	case l.Seq != c.last.Seq+1:
		return fmt.Errorf("%w: after row %d comes row %d", ErrTampered, c.last.Seq, l.Seq)
	case l.Prev != c.last.Hash:
		return fmt.Errorf("%w: row %d does not follow row %d", ErrTampered, l.Seq, c.last.Seq)
	case l.Hash != l.sum():
		return fmt.Errorf("%w: row %d was changed", ErrTampered, l.Seq)
	}
	if l.Kind == kindRun {
		var e runEntry
		if err := json.Unmarshal([]byte(l.Body), &e); err != nil {
			return fmt.Errorf("read row %d of the audit chain: %w", l.Seq, err)
		}
		c.runs[l.Subject] = e.Row
	}
	c.last = l
	c.found = c.found || l.Hash == c.want
	return nil
}

// compare holds the runs against what the chain says of them.
func (c *chain) compare(ctx context.Context, r reader) error {
	rows, err := r.q.QueryContext(ctx, "SELECT id, body FROM run")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, body string
		if err := rows.Scan(&id, &body); err != nil {
			return err
		}
		if c.runs[id] != digest(body) {
			return fmt.Errorf("%w: run %s is not what was written", ErrTampered, id)
		}
		delete(c.runs, id)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for id := range c.runs {
		return fmt.Errorf("%w: run %s is gone", ErrTampered, id)
	}
	return nil
}
