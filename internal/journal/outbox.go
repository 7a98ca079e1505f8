package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/minikeeper/minikeeper"
)

// engineName is who the audit chain names for what no person did.
const engineName = "minikeeper"

// Undelivered returns at most limit events of which people have not heard yet
// and whose next attempt is due, oldest first.
func (j *Journal) Undelivered(ctx context.Context, now time.Time, limit int) ([]minikeeper.Pending, error) {
	var all []minikeeper.Pending
	err := j.snapshot(ctx, func(r reader) error {
		rows, err := r.q.QueryContext(ctx,
			"SELECT id, body FROM outbox WHERE NOT settled AND next_at <= ? ORDER BY id LIMIT ?", nanos(now), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			var body string
			var p minikeeper.Pending
			if err := rows.Scan(&id, &body); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(body), &p.Event); err != nil {
				return fmt.Errorf("read event %d: %w", id, err)
			}
			p.Event.ID = id
			all = append(all, p)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for i := range all {
			if all[i].Attempts, err = r.attempts(all[i].Event.ID); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

func (r reader) attempts(event int64) ([]minikeeper.Attempt, error) {
	return bodies[minikeeper.Attempt](r, "SELECT body FROM attempt WHERE event = ? ORDER BY idx", event)
}

// Record keeps one attempt to deliver an event over one channel, and puts the
// event off until the first of its channels wants to try again.
func (j *Journal) Record(ctx context.Context, event int64, a minikeeper.Attempt) error {
	return j.update(ctx, engineName, func(t *tx) error {
		before, err := t.attempts(event)
		if err != nil {
			return err
		}
		body, err := encode(a)
		if err != nil {
			return err
		}
		if err := t.exec("INSERT INTO attempt (event, idx, body) VALUES (?, ?, ?)", event, len(before), body); err != nil {
			return fmt.Errorf("record attempt for event %d: %w", event, err)
		}
		return t.exec("UPDATE outbox SET next_at = ? WHERE id = ?", nanos(nextTry(append(before, a))), event)
	})
}

// nextTry returns when the first of the channels whose last attempt asked for
// another wants it; zero if none does.
func nextTry(attempts []minikeeper.Attempt) time.Time {
	last := make(map[string]minikeeper.Attempt)
	for _, a := range attempts {
		last[a.Channel] = a
	}
	var next time.Time
	for _, a := range last {
		if a.Outcome == minikeeper.AttemptRetry && (next.IsZero() || a.Next.Before(next)) {
			next = a.Next
		}
	}
	return next
}

// Settle notes that nothing more is to be done for an event.
func (j *Journal) Settle(ctx context.Context, event int64) error {
	return j.update(ctx, engineName, func(t *tx) error {
		return t.exec("UPDATE outbox SET settled = TRUE WHERE id = ?", event)
	})
}
