package collectors

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/propertylist"
	"github.com/minikeeper/minikeeper/internal/softwareupdate"
)

// UpdatesSettings are the settings of the updates collector.
type UpdatesSettings struct {
	Preferences string            // property list of softwareupdate's own; the usual one if empty
	Command     map[string]string // path of softwareupdate
}

// defaultUpdatesPreferences is where softwareupdate keeps what it knows.
const defaultUpdatesPreferences = "/Library/Preferences/com.apple.SoftwareUpdate.plist"

// Names of the updates collector's metrics.
const (
	updatesPending     = "minikeeper_updates_pending"
	updatesRecommended = "minikeeper_updates_pending_recommended"
	updatesRestart     = "minikeeper_updates_pending_restart"
	updatesPendingInfo = "minikeeper_updates_pending_info"
	updatesIgnored     = "minikeeper_updates_ignored"
	updatesIgnoredInfo = "minikeeper_updates_ignored_info"
	updatesLastCheck   = "minikeeper_updates_last_check_timestamp_seconds"
)

// updates reads which updates of macOS wait, and which are ignored.
type updates struct {
	deps     Deps
	settings UpdatesSettings
}

func newUpdates(d Deps) (Collector, error) {
	s := d.Settings.Updates
	if s.Preferences == "" {
		s.Preferences = defaultUpdatesPreferences
	}
	if !filepath.IsAbs(s.Preferences) {
		return nil, fmt.Errorf("updates: preferences %q must be an absolute path", s.Preferences)
	}
	return updates{deps: d, settings: s}, nil
}

// Families implements Collector.
func (updates) Families() []minikeeper.Family {
	gauge := func(name, help string, labels ...string) minikeeper.Family {
		return minikeeper.Family{Name: name, Help: help, Type: minikeeper.Gauge, Labels: labels}
	}
	return []minikeeper.Family{
		gauge(updatesPending, "Updates that wait to be installed, without those that are ignored."),
		gauge(updatesRecommended, "Updates that wait and that Apple recommends."),
		gauge(updatesRestart, "Updates that wait and that restart the machine."),
		gauge(updatesPendingInfo, "An update that waits. Always 1.", "update", "title", "version"),
		gauge(updatesIgnored, "Updates that somebody chose to ignore."),
		gauge(updatesIgnoredInfo, "An update that is ignored. Always 1.", "update"),
		gauge(updatesLastCheck, "When the system last looked for updates and found out."),
	}
}

// Collect implements Collector. What is quick comes first: a list of updates
// takes minutes where Apple's servers are slow.
func (u updates) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	preferences, preferencesErr := u.readPreferences()
	var samples []minikeeper.Sample
	if !preferences.lastCheck.IsZero() {
		samples = append(samples, sample(updatesLastCheck, unixSeconds(preferences.lastCheck)))
	}
	ignored, ignoredErr := u.ignored(ctx, preferences)
	if ignoredErr == nil {
		samples = append(samples, sample(updatesIgnored, float64(len(ignored))))
		for _, label := range ignored {
			samples = append(samples, sample(updatesIgnoredInfo, 1, "update", label))
		}
		if errors.Is(preferencesErr, fs.ErrNotExist) {
			preferencesErr = nil // the system has not looked for updates yet
		}
	}
	pending, pendingErr := u.pending(ctx)
	if pendingErr == nil {
		samples = append(samples, pendingSamples(pending)...)
	}
	return samples, errors.Join(preferencesErr, ignoredErr, pendingErr)
}

// ignored returns the labels of updates that are ignored: as softwareupdate
// says or, where it does not (it needs root, and new systems lack the list), as
// its preferences say.
func (u updates) ignored(ctx context.Context, p updatePreferences) ([]string, error) {
	res, err := u.deps.tool(ctx, u.settings.Command, "softwareupdate", "--ignore")
	if err == nil {
		var labels []string
		if labels, err = softwareupdate.ParseIgnored(string(res.Stdout)); err == nil {
			return labels, nil
		}
	}
	if p.known && ctx.Err() == nil {
		return p.ignored, nil
	}
	return nil, err
}

func (u updates) pending(ctx context.Context) ([]softwareupdate.Update, error) {
	res, err := u.deps.tool(ctx, u.settings.Command, "softwareupdate", "-l")
	if err != nil {
		return nil, err
	}
	return softwareupdate.ParseList(string(res.Stdout), string(res.Stderr))
}

func pendingSamples(pending []softwareupdate.Update) []minikeeper.Sample {
	var recommended, restart float64
	var infos []minikeeper.Sample
	for _, p := range pending {
		recommended += bool01(p.Recommended)
		restart += bool01(p.Restart)
		infos = append(infos, sample(updatesPendingInfo, 1, "update", p.Label, "title", p.Title, "version", p.Version))
	}
	return append([]minikeeper.Sample{
		sample(updatesPending, float64(len(pending))),
		sample(updatesRecommended, recommended),
		sample(updatesRestart, restart),
	}, infos...)
}

// updatePreferences are what the system itself noted.
type updatePreferences struct {
	known     bool
	lastCheck time.Time // zero if it is not said
	ignored   []string
}

// preferencesLimit bounds the property list: a real one has 1 to 20 kB.
const preferencesLimit = 1 << 20

func (u updates) readPreferences() (updatePreferences, error) {
	data, _, err := readBounded(u.deps.path(u.settings.Preferences), preferencesLimit)
	if err != nil {
		return updatePreferences{}, fmt.Errorf("read preferences of softwareupdate: %w", err)
	}
	p, err := parseUpdatePreferences(data)
	if err != nil {
		return updatePreferences{}, fmt.Errorf("read %s: %w", u.settings.Preferences, err)
	}
	return p, nil
}

func parseUpdatePreferences(data []byte) (updatePreferences, error) {
	dict, err := propertylist.Dict(data, preferencesLimit)
	if err != nil {
		return updatePreferences{}, err
	}
	p := updatePreferences{known: true}
	if when, ok := dict["LastSuccessfulDate"].(time.Time); ok && when.Year() > 1970 && when.Year() < 2200 {
		p.lastCheck = when
	}
	list, _ := dict["InactiveUpdates"].([]any)
	seen := make(map[string]bool)
	for _, element := range list {
		label, _ := element.(string)
		if label = labelText(label); label != "" && !seen[label] {
			seen[label] = true
			p.ignored = append(p.ignored, label)
		}
	}
	return p, nil
}
