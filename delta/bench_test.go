package delta_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/minikeeper/minikeeper/delta"
)

// smallFiles makes an equal pair of trees of n files of 4 KiB in folders of 100.
func smallFiles(b *testing.B, n int) (origin, replica string) {
	b.Helper()
	origin, replica = pair(b, tree{}, tree{})
	text := make([]byte, 4096)
	for i := range n {
		path := fmt.Sprintf("/d%d/f%d", i/100, i)
		_, _ = rand.Read(text)
		for _, root := range []string{origin, replica} {
			must(b, os.MkdirAll(filepath.Dir(root+path), 0o755))
			write(b, root+path, string(text))
		}
	}
	return origin, replica
}

// largeFile makes an equal pair of one file of size bytes.
func largeFile(b *testing.B, size int) (origin, replica string) {
	b.Helper()
	origin, replica = pair(b, tree{}, tree{})
	text := make([]byte, size)
	_, _ = rand.Read(text)
	write(b, origin+"/large", string(text))
	write(b, replica+"/large", string(text))
	return origin, replica
}

// BenchmarkCompare compares equal trees, beside other programs that do so.
func BenchmarkCompare(b *testing.B) {
	trees := []struct {
		name string
		make func(*testing.B) (origin, replica string)
	}{
		{"20000 small files", func(b *testing.B) (string, string) { return smallFiles(b, 20_000) }},
		{"1 GiB", func(b *testing.B) (string, string) { return largeFile(b, 1<<30) }},
	}
	for _, tt := range trees {
		b.Run(tt.name, func(b *testing.B) {
			origin, replica := tt.make(b)
			b.Run("delta", func(b *testing.B) {
				for b.Loop() {
					r, err := delta.Compare(b.Context(), origin, replica, delta.Options{})
					if err != nil || !r.InSync() {
						b.Fatal(err, r.Entries)
					}
					b.SetBytes(r.BytesRead)
				}
			})
			for _, args := range [][]string{
				{"rsync", "-anc", "--delete", origin + "/", replica + "/"},
				{"diff", "-r", origin, replica},
			} {
				b.Run(args[0], func(b *testing.B) {
					if _, err := exec.LookPath(args[0]); err != nil {
						b.Skip(err)
					}
					for b.Loop() {
						must(b, exec.CommandContext(b.Context(), args[0], args[1:]...).Run())
					}
				})
			}
		})
	}
}

// BenchmarkSync copies a tree into an empty replica.
func BenchmarkSync(b *testing.B) {
	origin, _ := smallFiles(b, 1000)
	for b.Loop() {
		replica := b.TempDir()
		r, err := delta.Sync(b.Context(), origin, replica, delta.SyncOptions{})
		if err != nil || !r.Equal() {
			b.Fatal(err, r.Problems)
		}
	}
}
