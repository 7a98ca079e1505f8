package collectors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/delta"
)

// ReplicaSettings are the settings of the replica collector.
type ReplicaSettings struct {
	Shares []ReplicaShare
}

// A ReplicaShare is a share that this machine holds a replica of.
type ReplicaShare struct {
	Name    string
	Path    string   // of the replica
	Origin  string   // the folder that it is to be equal to
	Exclude []string // patterns as delta.Options has them; nil stands for the defaults
}

// Names of the replica collector's metrics.
const (
	replicaFiles      = "minikeeper_replica_files"
	replicaBytes      = "minikeeper_replica_bytes"
	replicaDriftFiles = "minikeeper_replica_drift_files"
	replicaDriftBytes = "minikeeper_replica_drift_bytes"
	replicaInSync     = "minikeeper_replica_in_sync"
	replicaScan       = "minikeeper_replica_scan_timestamp_seconds"
)

// replica compares shares with their origins, byte by byte.
type replica struct {
	deps   Deps
	shares []ReplicaShare
}

func newReplica(d Deps) (Collector, error) {
	names := make(map[string]bool)
	for i, s := range d.Settings.Replica.Shares {
		switch {
		case s.Name == "":
			return nil, fmt.Errorf("replica: share %d has no name", i+1)
		case names[s.Name]:
			return nil, fmt.Errorf("replica: two shares are called %q", s.Name)
		case s.Path == "" || s.Origin == "":
			return nil, fmt.Errorf("replica: share %q needs both a path and an origin", s.Name)
		}
		names[s.Name] = true
	}
	return replica{deps: d, shares: d.Settings.Replica.Shares}, nil
}

// Families implements Collector.
func (replica) Families() []minikeeper.Family {
	gauge := func(name, help string, labels ...string) minikeeper.Family {
		return minikeeper.Family{Name: name, Help: help, Type: minikeeper.Gauge, Labels: labels}
	}
	return []minikeeper.Family{
		gauge(replicaFiles, "Files and links that the replica holds.", "share"),
		gauge(replicaBytes, "Size of the files that the replica holds.", "share"),
		gauge(replicaDriftFiles, "Files, links and folders in which the replica differs from its origin. A kind of which none was found is left out unless everything could be compared.", "share", "kind"),
		gauge(replicaDriftBytes, "Bytes that would have to be copied to make the replica equal to its origin.", "share"),
		gauge(replicaInSync, "Whether the replica equals its origin (1) or differs (0). Absent while neither is known.", "share"),
		gauge(replicaScan, "When the comparison began that the other metrics come from, by this machine's clock.", "share"),
	}
}

// Collect implements Collector. One share that cannot be compared hides no other.
func (r replica) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	var samples []minikeeper.Sample
	var errs []error
	for _, s := range r.shares {
		start := time.Now()
		report, err := delta.Compare(ctx, r.deps.path(s.Origin), r.deps.path(s.Path), delta.Options{
			Exclude:    s.Exclude,
			MaxEntries: replicaProblems,
		})
		if err == nil {
			samples = append(samples, replicaSamples(s.Name, start, report)...)
			err = replicaDoubt(report)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("share %q: %w", s.Name, err))
		}
	}
	return samples, errors.Join(errs...)
}

// replicaProblems is how many paths that could not be compared an error names.
const replicaProblems = 3

// replicaSamples are the samples of one comparison that came to its end. They
// say no more than was seen: differences that were found are there, but that
// there are no others only if nothing was left uncompared.
func replicaSamples(share string, start time.Time, r delta.Report) []minikeeper.Sample {
	of := func(name string, value float64, more ...string) minikeeper.Sample {
		return sample(name, value, append([]string{"share", share}, more...)...)
	}
	var samples []minikeeper.Sample
	if !r.Uncounted {
		samples = append(samples, of(replicaFiles, float64(r.Files)), of(replicaBytes, float64(r.Bytes)))
	}
	if r.OriginFiles == 0 {
		return samples // all of the replica would seem to be extra
	}
	complete := r.ProblemCount == 0
	for _, kind := range delta.Kinds() {
		if n := r.Counts[kind]; complete || n > 0 {
			samples = append(samples, of(replicaDriftFiles, float64(n), "kind", string(kind)))
		}
	}
	if complete || r.DriftBytes > 0 {
		samples = append(samples, of(replicaDriftBytes, float64(r.DriftBytes)))
	}
	if complete || r.Drift() > 0 {
		samples = append(samples, of(replicaInSync, bool01(r.InSync())))
	}
	return append(samples, of(replicaScan, float64(start.UnixNano())/1e9))
}

// replicaDoubt says why a comparison that came to its end does not tell all.
func replicaDoubt(r delta.Report) error {
	if r.OriginFiles == 0 {
		return fmt.Errorf("%w: is its disk mounted?", delta.ErrOriginEmpty)
	}
	if r.ProblemCount == 0 {
		return nil
	}
	named := make([]string, len(r.Problems))
	for i, p := range r.Problems {
		named[i] = p.String()
	}
	return fmt.Errorf("compare all paths: %d could not be, such as %s", r.ProblemCount, strings.Join(named, "; "))
}
