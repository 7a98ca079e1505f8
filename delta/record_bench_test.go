package delta_test

import (
	"os"
	"testing"

	"github.com/minikeeper/minikeeper/delta"
)

// benchTree is an existing tree to measure with, MINIKEEPER_BENCH_TREE.
func benchTree(b *testing.B) (root, state string) {
	b.Helper()
	root, state = os.Getenv("MINIKEEPER_BENCH_TREE"), b.TempDir()+"/manifest"
	if root == "" {
		root, _ = smallFiles(b, 2000)
	}
	if _, err := delta.Ingest(b.Context(), root, state, delta.RecordOptions{}); err != nil {
		b.Fatal(err)
	}
	return root, state
}

// BenchmarkIngestUnchanged looks at a tree in which nothing changed.
func BenchmarkIngestUnchanged(b *testing.B) {
	root, state := benchTree(b)
	for b.Loop() {
		if _, err := delta.Ingest(b.Context(), root, state, delta.RecordOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkScrub reads all of a tree and holds it against its record.
func BenchmarkScrub(b *testing.B) {
	root, state := benchTree(b)
	for b.Loop() {
		r, err := delta.Scrub(b.Context(), root, state, delta.ScrubOptions{})
		if err != nil || r.Corrupt > 0 {
			b.Fatal(err, r.Corruptions)
		}
		b.SetBytes(r.BytesRead)
	}
}
