package delta_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/minikeeper/minikeeper/delta"
)

// Two small trees for the examples; remove them with the function returned.
func exampleTrees() (origin, replica string, remove func()) {
	dir, err := os.MkdirTemp("", "delta")
	if err != nil {
		panic(err)
	}
	origin, replica = filepath.Join(dir, "master"), filepath.Join(dir, "replica")
	for path, text := range map[string]string{
		"master/Packages/Firefox.pkg":  "version 110",
		"master/Packages/Chrome.pkg":   "version 111",
		"replica/Packages/Firefox.pkg": "version 109",
		"replica/Packages/Flash.pkg":   "nobody needs it",
	} {
		full := filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(text), 0o644)); err != nil {
			panic(err)
		}
	}
	return origin, replica, func() { _ = os.RemoveAll(dir) }
}

func ExampleCompare() {
	origin, replica, remove := exampleTrees()
	defer remove()

	report, err := delta.Compare(context.Background(), origin, replica, delta.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range report.Entries {
		fmt.Printf("%-8s %s, %d bytes to move\n", e.Kind, e.Path, e.Bytes)
	}
	fmt.Println("in sync:", report.InSync())
	// Output:
	// missing  Packages/Chrome.pkg, 11 bytes to move
	// content  Packages/Firefox.pkg, 11 bytes to move
	// extra    Packages/Flash.pkg, 0 bytes to move
	// in sync: false
}

func ExampleSync() {
	origin, replica, remove := exampleTrees()
	defer remove()

	report, err := delta.Sync(context.Background(), origin, replica, delta.SyncOptions{
		Delete:    true,
		MaxDelete: delta.Count(10),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("copied:", report.FilesCopied, "deleted:", report.Deleted, "equal:", report.Equal())

	kept, _ := filepath.Glob(filepath.Join(replica, report.Trash, "Packages", "*"))
	fmt.Println("in the trash:", filepath.Base(kept[0]))
	// Output:
	// copied: 2 deleted: 1 equal: true
	// in the trash: Flash.pkg
}

// A sync that would delete too much does nothing at all.
func ExampleTooManyDeletesError() {
	origin, replica, remove := exampleTrees()
	defer remove()

	_, err := delta.Sync(context.Background(), origin, replica, delta.SyncOptions{
		Delete:    true,
		MaxDelete: delta.Count(0),
	})
	if refused, ok := errors.AsType[*delta.TooManyDeletesError](err); ok {
		fmt.Println("refused:", refused)
	}
	// Output:
	// refused: it would delete 1 of the replica's 3 entries, and no more than 0 (0) may be
}

func ExampleParseLimit() {
	for _, s := range []string{"100", "5%"} {
		limit, err := delta.ParseLimit(s)
		fmt.Println(limit, "of 3000 is", limit.Of(3000), err)
	}
	// Output:
	// 100 of 3000 is 100 <nil>
	// 5% of 3000 is 150 <nil>
}

func ExampleScrub() {
	master, _, remove := exampleTrees()
	defer remove()
	state := filepath.Join(filepath.Dir(master), "state", "master.manifest")
	ctx := context.Background()
	long := time.Now().Add(-time.Hour) // what was written just now is read twice
	pkg := filepath.Join(master, "Packages", "Firefox.pkg")
	_ = errors.Join(os.Chtimes(pkg, long, long), os.Chtimes(filepath.Join(master, "Packages", "Chrome.pkg"), long, long))

	recorded, err := delta.Ingest(ctx, master, state, delta.RecordOptions{})
	fmt.Println("read", recorded.FilesRead, "files", err)
	recorded, err = delta.Ingest(ctx, master, state, delta.RecordOptions{})
	fmt.Println("read", recorded.FilesRead, "files", err)

	// A bit flips on the disk: neither size nor time show it.
	_ = errors.Join(os.WriteFile(pkg, []byte("version 1\x710"), 0o644), os.Chtimes(pkg, long, long))
	scrubbed, err := delta.Scrub(ctx, master, state, delta.ScrubOptions{})
	for _, c := range scrubbed.Corruptions {
		fmt.Println("corrupt:", c.Path, "in blocks", c.Blocks)
	}
	fmt.Println("read", scrubbed.FilesRead, "files", err)
	// Output:
	// read 2 files <nil>
	// read 0 files <nil>
	// corrupt: Packages/Firefox.pkg in blocks [0]
	// read 2 files <nil>
}
