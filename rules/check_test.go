package rules_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minikeeper/minikeeper/internal/testkit"
	"github.com/minikeeper/minikeeper/rules"
)

// testdata/check holds rule files that are wrong in the way that they are
// called, each beside what is said of it.
func TestCheckFile(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "check", "*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := "nothing is wrong\n"
			if err := rules.CheckFile(filepath.Base(file), src); err != nil {
				got = err.Error() + "\n"
			}
			testkit.Golden(t, strings.TrimSuffix(file, ".yml")+".golden", got)
		})
	}
}

func TestCheckExpr(t *testing.T) {
	tests := []struct {
		expr, want string // what the error says; empty if there is none
	}{
		{`sum(minikeeper_replica_drift_files{share="casper"}) == 0`, ""},
		{`minikeeper_postfix_up == 1`, ""},
		{`increase(errors_total[5m]) == 0`, ""},
		{`a == 1 and on (server) b < 2`, ""},
		{`a == 0 or b == 0`, ""},
		{`sum(a > bool 1) == 0`, ""},
		{``, "parse expression"},
		{`sum(`, "parse expression"},
		{`vector(1)`, "reads no series"},
		{`time() > 0`, "scalar"},
		{`1`, "scalar"},
		{`"text"`, "string"},
		{`a[5m]`, "range vector"},
		{`a == bool 0`, "has a result even where"},
		{`((a == bool 0))`, "has a result even where"},
		{`absent(a)`, "absent() holds where nothing is measured"},
		{`a == 0 and absent_over_time(b[5m])`, "absent_over_time() holds"},
		{`sum(a) == 0 or vector(1)`, "always has a result"},
		{`a @ 1700000000 == 1`, "fixed time"},
		{`a @ end() == 1`, "fixed time"},
		{`max_over_time(a[5m:1m] @ 1700000000) == 1`, "fixed time"},
		{`ALERTS{alertname="X"} == 1`, "what rules say"},
	}
	for _, tt := range tests {
		err := rules.CheckExpr(tt.expr)
		if (err == nil) != (tt.want == "") || !strings.Contains(fmt.Sprint(err), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.expr, err, tt.want)
		}
	}
}

func FuzzCheckFile(f *testing.F) {
	for _, dir := range []fs.FS{rules.Shipped(), os.DirFS(filepath.Join("testdata", "check"))} {
		files, err := fs.Glob(dir, "*.yml")
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			src, err := fs.ReadFile(dir, file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		err := rules.CheckFile("rules.yml", src)
		if err != nil && !strings.HasPrefix(err.Error(), "rules.yml") {
			t.Errorf("%q does not name the file", err)
		}
	})
}

// What passes the check can be evaluated, whatever it is.
func FuzzCheckExpr(f *testing.F) {
	for _, expr := range []string{`a == 0`, `sum by (b) (rate(a{c=~"d.*"}[5m] offset 1m)) > 2`, `a @ end()`, `max_over_time(a[5m:1m])`, `absent(a)`} {
		f.Add(expr)
	}
	s := open(f, rules.Options{})
	f.Fuzz(func(t *testing.T, expr string) {
		if rules.CheckExpr(expr) != nil {
			return
		}
		if _, why, err := s.Holds(t.Context(), expr); err == nil && why == "" {
			t.Error("no reason is given")
		}
	})
}
