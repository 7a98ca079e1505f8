package journal

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/remediate"
)

// A tx implements remediate.Tx.
type tx struct {
	reader
	tx  *sql.Tx
	who string
	now time.Time
}

var _ remediate.Tx = (*tx)(nil)

func (t *tx) exec(query string, args ...any) error {
	_, err := t.tx.ExecContext(t.ctx, query, args...)
	return err
}

// SaveRun implements remediate.Tx.
func (t *tx) SaveRun(r remediate.Record) error {
	r.Steps = nil // they have rows of their own
	body, err := encode(r)
	if err != nil {
		return err
	}
	err = t.exec(`INSERT INTO run (id, incident, remedy, server, state, gate, holds_slot, created, started, ended, body)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET incident = excluded.incident, state = excluded.state, gate = excluded.gate,
			holds_slot = excluded.holds_slot, started = excluded.started, ended = excluded.ended, body = excluded.body`,
		r.ID, r.Incident, r.Remedy, r.Server, string(r.State), r.Gate, r.HoldsSlot,
		nanos(r.Created), nanos(r.Started), nanos(r.Ended), body)
	if err != nil {
		return fmt.Errorf("save run %s: %w", r.ID, err)
	}
	return t.audit(kindRun, r.ID, runEntry{
		Remedy: r.Remedy, Server: r.Server, State: r.State, Gate: r.Gate, Reason: r.Reason,
		PlanHash: r.PlanHash, Fence: r.Fence, Approver: r.Approver, Row: digest(body),
	})
}

// A runEntry is what the audit chain says of a change of a run.
type runEntry struct {
	Remedy   string              `json:"remedy"`
	Server   string              `json:"server"`
	State    minikeeper.RunState `json:"state"`
	Gate     string              `json:"gate,omitempty"`
	Reason   string              `json:"reason,omitempty"`
	PlanHash string              `json:"plan_hash,omitempty"`
	Fence    int64               `json:"fence,omitempty"`
	Approver string              `json:"approver,omitempty"`
	Row      string              `json:"row"` // hash of the row's body
}

// NextFence implements remediate.Tx. Fences are milliseconds of the clock or
// one more than the last, whichever is greater.
func (t *tx) NextFence(now time.Time) (int64, error) {
	old, err := t.value("fence")
	if err != nil {
		return 0, fmt.Errorf("read fence: %w", err)
	}
	last, err := strconv.ParseInt("0"+old, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read fence: %w", err)
	}
	next := max(last+1, now.UnixMilli())
	return next, t.exec("INSERT INTO state (key, value) VALUES ('fence', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
		strconv.FormatInt(next, 10))
}

// Intend implements remediate.Tx.
func (t *tx) Intend(run string, i int, s minikeeper.Step, at time.Time) error {
	step, err := encode(s)
	if err != nil {
		return err
	}
	if err := t.exec("INSERT INTO step (run, idx, step, intent) VALUES (?, ?, ?, ?)", run, i, step, nanos(at)); err != nil {
		return fmt.Errorf("write intent of step %d of run %s: %w", i, run, err)
	}
	return t.audit(kindIntent, run, map[string]any{"index": i, "step": json.RawMessage(step)})
}

// Conclude implements remediate.Tx.
func (t *tx) Conclude(run string, i int, r minikeeper.StepResult) error {
	result, err := encode(r)
	if err != nil {
		return err
	}
	res, err := t.tx.ExecContext(t.ctx, "UPDATE step SET result = ? WHERE run = ? AND idx = ? AND result IS NULL", result, run, i)
	if err != nil {
		return fmt.Errorf("write outcome of step %d of run %s: %w", i, run, err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return fmt.Errorf("write outcome of step %d of run %s: it was not begun, or has ended", i, run)
	}
	return t.audit(kindOutcome, run, map[string]any{"index": i, "result": json.RawMessage(result)})
}

// SaveIncident implements remediate.Tx.
func (t *tx) SaveIncident(i remediate.Incident) (remediate.Incident, error) {
	if i.ID == 0 {
		res, err := t.tx.ExecContext(t.ctx, "INSERT INTO incident (key, opened, closed, body) VALUES (?, ?, 0, '')", i.Key, nanos(i.Opened))
		if err != nil {
			return i, fmt.Errorf("open incident %s: %w", i.Key, err)
		}
		if i.ID, err = res.LastInsertId(); err != nil {
			return i, err
		}
	}
	body, err := encode(i)
	if err != nil {
		return i, err
	}
	if err := t.exec("UPDATE incident SET closed = ?, body = ? WHERE id = ?", nanos(i.Closed), body, i.ID); err != nil {
		return i, fmt.Errorf("save incident %d: %w", i.ID, err)
	}
	return i, nil
}

// Suppress implements remediate.Tx.
func (t *tx) Suppress(s remediate.Suppression) error {
	body, err := encode(s)
	if err != nil {
		return err
	}
	err = t.exec(`INSERT INTO suppression (incident, remedy, gate, body) VALUES (?, ?, ?, ?)
		ON CONFLICT (incident, remedy, gate) DO UPDATE SET body = excluded.body`, s.Incident, s.Remedy, string(s.Gate), body)
	if err != nil {
		return fmt.Errorf("write suppression: %w", err)
	}
	return t.audit(kindSuppressed, s.Remedy, s)
}

// SaveCircuit implements remediate.Tx.
func (t *tx) SaveCircuit(c remediate.Circuit) error {
	body, err := encode(c)
	if err != nil {
		return err
	}
	err = t.exec("INSERT INTO circuit (remedy, body) VALUES (?, ?) ON CONFLICT (remedy) DO UPDATE SET body = excluded.body", c.Remedy, body)
	if err != nil {
		return fmt.Errorf("write circuit of %s: %w", c.Remedy, err)
	}
	return t.audit(kindCircuit, c.Remedy, c)
}

// Pause implements remediate.Tx.
func (t *tx) Pause(p remediate.Pause) error {
	body, err := encode(p)
	if err != nil {
		return err
	}
	err = t.exec("INSERT INTO pause (scope, name, body) VALUES (?, ?, ?) ON CONFLICT (scope, name) DO UPDATE SET body = excluded.body",
		string(p.Scope), p.Name, body)
	if err != nil {
		return fmt.Errorf("write pause: %w", err)
	}
	return t.audit(kindPause, string(p.Scope)+" "+p.Name, p)
}

// Unpause implements remediate.Tx.
func (t *tx) Unpause(p remediate.Pause) error {
	if err := t.exec("DELETE FROM pause WHERE scope = ? AND name = ?", string(p.Scope), p.Name); err != nil {
		return fmt.Errorf("lift pause: %w", err)
	}
	return t.audit(kindResume, string(p.Scope)+" "+p.Name, p)
}

// Tell implements remediate.Tx.
func (t *tx) Tell(e minikeeper.Event) error {
	body, err := encode(e)
	if err != nil {
		return err
	}
	if err := t.exec("INSERT INTO outbox (next_at, settled, body) VALUES (0, FALSE, ?)", body); err != nil {
		return fmt.Errorf("write outbox: %w", err)
	}
	return nil
}

func encode(v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode %T: %w", v, err)
	}
	return string(data), nil
}
