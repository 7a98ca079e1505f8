package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/demo"
	"github.com/minikeeper/minikeeper/remediate"
)

// well returns an error as long as the site is not as it should be.
func (s *show) well(ctx context.Context) error {
	for _, check := range s.hub.readiness() {
		if err := check.Ready(ctx); err != nil {
			return err
		}
	}
	up, err := s.hub.hub.keepersUp(ctx)
	if err != nil {
		return err
	}
	for i, server := range s.world.Servers {
		if !up[server.Name] {
			return fmt.Errorf("%s is not up", server.Name)
		}
		for _, c := range s.keepers[i].exporter.Load().Health() {
			if !c.OK {
				return fmt.Errorf("%s: collector %s: %s", server.Name, c.Name, c.Error)
			}
		}
	}
	firing, err := s.hub.hub.firing(ctx)
	if err != nil {
		return err
	}
	for _, a := range firing {
		if a.Labels["severity"] != "none" {
			return fmt.Errorf("%s fires already: %s", a.Name, a.Annotations["summary"])
		}
	}
	return nil
}

// rows tells how far each fault has come. The error says which is not where it
// should be.
func (s *show) rows(ctx context.Context, faults []demo.Fault, broken map[string]time.Time) ([]demo.Row, error) {
	alerts, _, err := s.hub.hub.store.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	var runs []remediate.Record
	err = s.hub.hub.journal.Read(ctx, func(r remediate.Reader) (err error) {
		runs, err = r.Runs(remediate.Query{})
		return err
	})
	if err != nil {
		return nil, err
	}
	mails := s.world.Mailbox.Mails()
	var rows []demo.Row
	var missing []error
	for _, f := range faults {
		row := story(f, broken[f.Name], alerts, runs, mails)
		rows = append(rows, row)
		if !row.OK() {
			missing = append(missing, fmt.Errorf("%s: %s", f.Name, lacks(row)))
		}
	}
	return rows, errors.Join(missing...)
}

// story finds what became of one fault.
func story(f demo.Fault, broken time.Time, alerts []minikeeper.Alert, runs []remediate.Record, mails []demo.Mail) demo.Row {
	row := demo.Row{Fault: f.Name, Broken: broken, Heals: f.Heals}
	for _, a := range alerts {
		if a.Name == f.Alert && a.State == minikeeper.AlertFiring {
			row.Detected, row.Outcome = a.FiredAt, "reported"
		}
	}
	about := func(m demo.Mail) bool { return strings.Contains(m.Subject, f.Alert) }
	for _, r := range slices.Backward(runs) { // the oldest first: the newest that began is left
		if r.Alert.Name != f.Alert || r.Created.Before(broken) || r.State == minikeeper.RunSuppressed {
			continue
		}
		row.Detected, row.Remedy, row.Outcome = r.Alert.FiredAt, r.Remedy, string(r.State)
		if r.State == minikeeper.RunSucceeded {
			row.Verified, row.Outcome = r.Ended, "healed"
		}
		about = func(m demo.Mail) bool {
			return m.Header.Get("X-Minikeeper-Run") == r.ID && (r.State != minikeeper.RunSucceeded || strings.Contains(m.Subject, "healed"))
		}
	}
	for _, m := range mails {
		if about(m) {
			row.Told, row.By = m.At, "mail"
		}
	}
	return row
}

// lacks says what row waits for.
func lacks(r demo.Row) string {
	switch {
	case r.Detected.IsZero():
		return "not detected"
	case r.Heals && r.Verified.IsZero():
		return "not healed: " + r.Outcome
	default:
		return "nobody was told"
	}
}
