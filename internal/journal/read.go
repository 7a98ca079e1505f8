package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/remediate"
)

// querier is what both kinds of transaction can do.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// A reader implements remediate.Reader within one transaction.
type reader struct {
	ctx context.Context // of the call that the transaction lives for
	q   querier
}

// Run implements remediate.Reader.
func (r reader) Run(id string) (remediate.Record, error) {
	all, err := r.records("SELECT body FROM run WHERE id = ?", id)
	if err != nil {
		return remediate.Record{}, fmt.Errorf("read run %s: %w", id, err)
	}
	if len(all) == 0 {
		return remediate.Record{}, fmt.Errorf("run %q: %w", id, remediate.ErrNoRun)
	}
	return all[0], nil
}

// Runs implements remediate.Reader.
func (r reader) Runs(q remediate.Query) ([]remediate.Record, error) {
	var where []string
	var args []any
	add := func(clause string, arg any) { where, args = append(where, clause), append(args, arg) }
	if q.Remedy != "" {
		add("remedy = ?", q.Remedy)
	}
	if q.Server != "" {
		add("server = ?", q.Server)
	}
	if q.State != "" {
		add("state = ?", string(q.State))
	}
	if !q.Since.IsZero() {
		add("created >= ?", nanos(q.Since))
	}
	query := "SELECT body FROM run"
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	return r.records(query+" ORDER BY created DESC, id DESC LIMIT ?", append(args, q.Limit)...)
}

// Open implements remediate.Reader.
func (r reader) Open() ([]remediate.Record, error) {
	return r.records("SELECT body FROM run WHERE holds_slot OR ended = 0 ORDER BY created, id")
}

// records reads runs and their steps.
func (r reader) records(query string, args ...any) ([]remediate.Record, error) {
	all, err := bodies[remediate.Record](r, query, args...)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Started.IsZero() {
			continue // nothing was begun, so it has no steps
		}
		if all[i].Steps, err = r.steps(all[i].ID); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (r reader) steps(run string) ([]minikeeper.StepRecord, error) {
	rows, err := r.q.QueryContext(r.ctx, "SELECT idx, step, intent, result FROM step WHERE run = ? ORDER BY idx", run)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []minikeeper.StepRecord
	for rows.Next() {
		var s minikeeper.StepRecord
		var step string
		var result sql.NullString
		var intent int64
		if err := rows.Scan(&s.Index, &step, &intent, &result); err != nil {
			return nil, err
		}
		s.Intent = moment(intent)
		if err := json.Unmarshal([]byte(step), &s.Step); err != nil {
			return nil, fmt.Errorf("step %d of run %s: %w", s.Index, run, err)
		}
		if result.Valid {
			s.Result = new(minikeeper.StepResult)
			if err := json.Unmarshal([]byte(result.String), s.Result); err != nil {
				return nil, fmt.Errorf("result of step %d of run %s: %w", s.Index, run, err)
			}
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// Past implements remediate.Reader.
func (r reader) Past(remedy, server string, since time.Time) (remediate.Past, error) {
	const of = " FROM run WHERE remedy = ? AND server = ? AND started "
	var past remediate.Past
	rows, err := r.q.QueryContext(r.ctx, "SELECT started"+of+">= ? AND started > 0 ORDER BY started", remedy, server, nanos(since))
	if err != nil {
		return past, err
	}
	defer rows.Close()
	for rows.Next() {
		var started int64
		if err := rows.Scan(&started); err != nil {
			return past, err
		}
		past.Attempts = append(past.Attempts, moment(started))
	}
	if err := rows.Err(); err != nil {
		return past, err
	}
	var ended int64
	if err := r.q.QueryRowContext(r.ctx, "SELECT COALESCE(MAX(ended), 0)"+of+"> 0", remedy, server).Scan(&ended); err != nil {
		return past, err
	}
	past.LastEnd = moment(ended)
	last, err := r.records("SELECT body"+of+"> 0 ORDER BY started DESC, id DESC LIMIT 1", remedy, server)
	if len(last) > 0 {
		past.Last = &last[0]
	}
	return past, err
}

// Incidents implements remediate.Reader.
func (r reader) Incidents() ([]remediate.Incident, error) {
	return bodies[remediate.Incident](r, "SELECT body FROM incident WHERE closed = 0 ORDER BY id")
}

// Incident implements remediate.Reader.
func (r reader) Incident(id int64) (remediate.Incident, error) {
	all, err := bodies[remediate.Incident](r, "SELECT body FROM incident WHERE id = ?", id)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("incident %d: %w", id, remediate.ErrNoIncident)
	}
	if err != nil {
		return remediate.Incident{}, err
	}
	return all[0], nil
}

// Suppressions implements remediate.Reader.
func (r reader) Suppressions(incident int64) ([]remediate.Suppression, error) {
	return bodies[remediate.Suppression](r, "SELECT body FROM suppression WHERE incident = ? ORDER BY remedy, gate", incident)
}

// Circuits implements remediate.Reader.
func (r reader) Circuits() ([]remediate.Circuit, error) {
	return bodies[remediate.Circuit](r, "SELECT body FROM circuit ORDER BY remedy")
}

// Pauses implements remediate.Reader.
func (r reader) Pauses() ([]remediate.Pause, error) {
	return bodies[remediate.Pause](r, "SELECT body FROM pause ORDER BY scope, name")
}

// bodies reads the one column that query selects as JSON of T.
func bodies[T any](r reader, query string, args ...any) ([]T, error) {
	rows, err := r.q.QueryContext(r.ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var body string
		var one T
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(body), &one); err != nil {
			return nil, fmt.Errorf("a row of the journal is not what was written: %w", err)
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// value reads one value of the table state.
func (r reader) value(key string) (string, error) {
	var v string
	err := r.q.QueryRowContext(r.ctx, "SELECT value FROM state WHERE key = ?", key).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return v, err
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
