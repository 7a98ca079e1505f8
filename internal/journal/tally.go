package journal

import (
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/remediate"
)

// Tally implements remediate.Reader.
func (r reader) Tally() (remediate.Tally, error) {
	t := remediate.Tally{
		Outcomes:     make(map[string]map[minikeeper.RunState]int64),
		Active:       make(map[string]int64),
		Suppressed:   make(map[string]map[remediate.Gate]int64),
		LastDuration: make(map[string]time.Duration),
	}
	if err := r.tallyStates(t); err != nil {
		return t, err
	}
	err := r.eachRow("SELECT remedy, COUNT(*) FROM run WHERE holds_slot GROUP BY remedy", func(scan func(...any) error) error {
		var remedy string
		var n int64
		err := scan(&remedy, &n)
		t.Active[remedy] = n
		return err
	})
	if err != nil {
		return t, err
	}
	const last = `SELECT remedy, MAX(ended), ended - started FROM run WHERE started > 0 AND ended > 0 GROUP BY remedy`
	err = r.eachRow(last, func(scan func(...any) error) error {
		var remedy string
		var ended, took int64
		err := scan(&remedy, &ended, &took)
		t.LastDuration[remedy] = time.Duration(took)
		return err
	})
	return t, err
}

func (r reader) tallyStates(t remediate.Tally) error {
	const states = `SELECT remedy, state, CASE WHEN state = 'suppressed' THEN gate ELSE '' END, COUNT(*)
		FROM run WHERE state IN ('succeeded', 'failed', 'cancelled', 'suppressed') GROUP BY 1, 2, 3`
	return r.eachRow(states, func(scan func(...any) error) error {
		var remedy, state, gate string
		var n int64
		if err := scan(&remedy, &state, &gate, &n); err != nil {
			return err
		}
		if state == string(minikeeper.RunSuppressed) {
			if t.Suppressed[remedy] == nil {
				t.Suppressed[remedy] = make(map[remediate.Gate]int64)
			}
			t.Suppressed[remedy][remediate.Gate(gate)] = n
			return nil
		}
		if t.Outcomes[remedy] == nil {
			t.Outcomes[remedy] = make(map[minikeeper.RunState]int64)
		}
		t.Outcomes[remedy][minikeeper.RunState(state)] = n
		return nil
	})
}

func (r reader) eachRow(query string, f func(scan func(...any) error) error) error {
	rows, err := r.q.QueryContext(r.ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
