package remediate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
)

// observe compares the alerts with the open incidents: it opens and closes
// incidents, tells people, and returns what remedies may be tried for.
func (e *Engine) observe(ctx context.Context, now time.Time) ([]candidate, error) {
	alerts, unsure, err := e.d.Alerts.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("read alerts: %w", err)
	}
	w := world{firing: make(map[string]minikeeper.Alert), unsure: unsure, now: now}
	for _, a := range alerts {
		if a.State == minikeeper.AlertFiring {
			w.firing[a.Key()] = a
		}
	}
	var open []Incident
	err = e.d.Journal.Read(ctx, func(r Reader) (err error) {
		if open, err = r.Incidents(); err != nil {
			return err
		}
		w.pauses, err = r.Pauses()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read incidents: %w", err)
	}
	changes := e.compare(w, open)
	if len(changes) > 0 {
		if err := e.d.Journal.Update(ctx, engineName, func(tx Tx) error { return e.apply(tx, changes, now) }); err != nil {
			return nil, fmt.Errorf("write incidents: %w", err)
		}
	}
	return e.candidates(w, open, changes), nil
}

// A world is what was seen at one moment.
type world struct {
	now    time.Time
	firing map[string]minikeeper.Alert // by key
	unsure map[string]bool
	pauses []Pause
}

// A change is what is to be written about one incident.
type change struct {
	incident Incident
	kind     minikeeper.EventKind // what to tell; "" nothing
	summary  string
	close    bool
}

// compare returns what must change so that the open incidents are those of w.
func (e *Engine) compare(w world, open []Incident) []change {
	var changes []change
	known := make(map[string]bool, len(open))
	for _, i := range open {
		known[i.Key] = true
		if c, found := e.follow(w, i); found {
			changes = append(changes, c)
		}
	}
	for key, a := range w.firing {
		if !known[key] {
			c, _ := e.follow(w, Incident{Key: key, Alert: a, Opened: w.now})
			changes = append(changes, c)
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.incident.Key, b.incident.Key) })
	return changes
}

// follow returns what is to be written about i, and whether anything is.
func (e *Engine) follow(w world, i Incident) (change, bool) {
	alert, fires := w.firing[i.Key]
	switch {
	case !fires && w.unsure[i.Alert.Name]:
		return change{}, false
	case !fires:
		return e.over(i, w.now), true
	}
	i.Alert = alert
	c := change{incident: i}
	if quiet(alert) {
		return c, i.ID == 0
	}
	dealing := e.dealing(w, alert)
	switch {
	case len(dealing) == 0 && !i.Alerted:
		c.kind, c.summary = minikeeper.EventAlert, summaryOf(alert)+" fires, and no remedy deals with it"
		c.incident.Alerted, c.incident.Told = true, true
	case len(dealing) > 0 && !i.Overdue && !i.Told && i.ID != 0 && e.overdue(i, dealing, w.now):
		c.kind = minikeeper.EventOverdue
		c.summary = fmt.Sprintf("%s is not healed after %s", summaryOf(alert), e.o.PageCap)
		c.incident.Overdue, c.incident.Told = true, true
	}
	return c, i.ID == 0 || c.kind != ""
}

// over ends incident i.
func (e *Engine) over(i Incident, now time.Time) change {
	i.Closed = now
	i.Alert.State, i.Alert.ResolvedAt = minikeeper.AlertResolved, now
	c := change{incident: i, close: true}
	if i.Told && !quiet(i.Alert) {
		c.kind, c.summary = minikeeper.EventResolved, summaryOf(i.Alert)+" is over"
	}
	return c
}

// dealing returns the remedies that will deal with alert. One that is paused
// or in shadow does not.
func (e *Engine) dealing(w world, alert minikeeper.Alert) []*Remedy {
	var dealing []*Remedy
	for _, r := range e.Remedies() {
		if r.Mode == ModeShadow || !r.matches(alert.Labels) {
			continue
		}
		server, _, _ := e.target(r, alert)
		if paused(Case{Remedy: r, Server: server}, View{Pauses: w.pauses}, w.now) == nil {
			dealing = append(dealing, r)
		}
	}
	return dealing
}

// overdue tells whether healing i takes longer than the cap. Time in which the
// calendar of each of its remedies was closed does not count.
func (e *Engine) overdue(i Incident, dealing []*Remedy, now time.Time) bool {
	if now.Sub(i.Opened) < e.o.PageCap || !e.due("overdue "+i.Key, now, time.Minute) {
		return false
	}
	open := func(at time.Time) bool {
		return slices.ContainsFunc(dealing, func(r *Remedy) bool { return e.opened(r, at) })
	}
	return openTime(open, i.Opened, now) >= e.o.PageCap
}

// openTime returns for how long open held between from and to, to the minute.
func openTime(open func(time.Time) bool, from, to time.Time) time.Duration {
	var sum time.Duration
	for at := from; at.Before(to); at = at.Add(time.Minute) {
		if open(at) {
			sum += min(time.Minute, to.Sub(at))
		}
	}
	return sum
}

// opened tells whether r's calendar is open at a time. An unknown calendar is closed.
func (e *Engine) opened(r *Remedy, at time.Time) bool {
	if r.Guards.Calendar == "" {
		return true
	}
	ok, err := e.d.Calendars.Open(r.Guards.Calendar, at)
	return err == nil && ok
}

// apply writes changes, and fills in the ids of new incidents.
func (e *Engine) apply(tx Tx, changes []change, now time.Time) error {
	for i := range changes {
		c := &changes[i]
		saved, err := tx.SaveIncident(c.incident)
		if err != nil {
			return err
		}
		c.incident = saved
		if c.close {
			if err := cancelWaiting(tx, saved.ID, now, "the alert is over"); err != nil {
				return err
			}
		}
		if c.kind == "" {
			continue
		}
		err = tx.Tell(minikeeper.Event{
			Kind: c.kind, At: now, Key: saved.Key, Summary: c.summary, Alert: saved.Alert,
			NeedsPeople: c.kind == minikeeper.EventAlert || c.kind == minikeeper.EventOverdue,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// cancelWaiting cancels the runs of an incident of which no step has begun.
func cancelWaiting(tx Tx, incident int64, now time.Time, reason string) error {
	open, err := tx.Open()
	if err != nil {
		return err
	}
	for _, r := range open {
		waits := r.State == minikeeper.RunPending || r.State == minikeeper.RunAwaitingApproval
		if r.Incident != incident || !waits {
			continue
		}
		r.State, r.Reason, r.Ended, r.HoldsSlot = minikeeper.RunCancelled, reason, now, false
		if err := tx.SaveRun(r); err != nil {
			return err
		}
	}
	return nil
}

// quiet tells whether nobody wants to hear of a.
func quiet(a minikeeper.Alert) bool {
	return a.Labels["severity"] == "none" || a.Name == "Watchdog"
}

// summaryOf names a on one line, without a full stop: more of the sentence
// follows.
func summaryOf(a minikeeper.Alert) string {
	if s := a.Annotations["summary"]; s != "" {
		return strings.TrimRight(s, ". \n")
	}
	if server := a.Labels["server"]; server != "" {
		return a.Name + " on " + server
	}
	return a.Name
}
