package delta_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper/delta"
)

func TestQuickTrustsSizeAndTime(t *testing.T) {
	origin, replica := pair(t,
		tree{"same": "abc", "rotten": "abc", "touched": "abc", "mode": "abc", "longer": "abcd"},
		tree{"same": "abc", "rotten": "abX", "touched": "abc", "mode": "abc", "longer": "abc"})
	must(t, os.Chtimes(replica+"/touched", then, then.Add(1)))
	must(t, os.Chmod(replica+"/mode", 0o600))

	want := map[bool]map[string]delta.Kind{
		true:  {"longer": delta.Content, "mode": delta.Metadata, "touched": delta.Metadata},
		false: {"longer": delta.Content, "mode": delta.Metadata, "touched": delta.Metadata, "rotten": delta.Content},
	}
	for quick, want := range want {
		r, err := delta.Compare(t.Context(), origin, replica, delta.Options{Quick: quick})
		must(t, err)
		got := make(map[string]delta.Kind)
		for _, e := range r.Entries {
			got[e.Path] = e.Kind
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("quick %v (-want +got):\n%s", quick, diff)
		}
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	origin, replica := pair(t, tree{"a": "new", "b": "b"}, tree{"a": "old", "x": "extra", "y/z": "extra"})
	before := snapshot(t, replica)
	r, err := delta.Sync(t.Context(), origin, replica, delta.SyncOptions{DryRun: true})
	must(t, err)
	if got := r.Compared.Drift(); got != 5 || r.Kept != 3 || r.FilesCopied != 0 {
		t.Errorf("drift %d, kept %d, copied %d", got, r.Kept, r.FilesCopied)
	}
	_, err = delta.Sync(t.Context(), origin, replica, delta.SyncOptions{DryRun: true, Delete: true, MaxDelete: delta.Count(2)})
	if err == nil {
		t.Error("a dry run did not refuse what a sync would")
	}
	if diff := cmp.Diff(before, snapshot(t, replica)); diff != "" {
		t.Errorf("the dry run changed the replica (-before +after):\n%s", diff)
	}
	if _, err := os.Lstat(replica + "/.minikeeper"); err == nil {
		t.Error("the dry run made the reserved folder")
	}
}
