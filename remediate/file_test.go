package remediate_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/minikeeper/minikeeper/internal/strictyaml"
	"github.com/minikeeper/minikeeper/internal/testkit"
	"github.com/minikeeper/minikeeper/remediate"
)

func load(t testing.TB, path string) remediate.File {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return remediate.File{Name: path[strings.LastIndex(path, "/")+1:], Src: src}
}

// strict knows what the files in testdata refer to, and wants expressions that
// could be PromQL.
func strict() remediate.Known {
	k := known()
	check := k.CheckExpr
	k.CheckExpr = func(expr string) error {
		if strings.HasPrefix(expr, "a value") {
			return errors.New("unexpected identifier")
		}
		return check(expr)
	}
	return k
}

func TestParseSaysAllThatIsWrong(t *testing.T) {
	_, err := remediate.Parse([]remediate.File{load(t, "testdata/remedies/bad.yml")}, strict())
	testkit.Golden(t, "testdata/remedies/bad.golden", fmt.Sprintln(err))
}

func TestParseKeepsWhatIsWritten(t *testing.T) {
	all, err := remediate.Parse([]remediate.File{load(t, "testdata/remedies/full.yml")}, strict())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range all {
		fmt.Fprintf(&b, "%s at %s\n  match %v\n  action %s on %s with %v\n  mode %s, asks %v\n  guards %+v\n  verify %s within %s, stable for %s\n  escalate %v\n",
			r.Name, r.Source, r.Match, r.Action, r.Target, r.With, r.Mode, r.Asks, r.Guards,
			r.Verify.Expr, r.Verify.Within, r.Verify.StableFor, r.Escalate)
	}
	testkit.Golden(t, "testdata/remedies/full.golden", b.String())
	if diff := cmp.Diff(remediate.DefaultGuards(), all[1].Guards, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestParseAcrossFiles(t *testing.T) {
	one := remediate.File{Name: "one.yml", Src: []byte(remedyFile + "    escalate: [two]\n")}
	two := remediate.File{Name: "two.yml", Src: []byte("remedies:\n  - {name: two, action: resync, target: a, verify: {expr: up}}\n")}
	all, err := remediate.Parse([]remediate.File{one, two}, known())
	if err != nil || len(all) != 2 {
		t.Errorf("%d remedies, %v", len(all), err)
	}
	again := remediate.File{Name: "again.yml", Src: one.Src}
	_, err = remediate.Parse([]remediate.File{one, two, again}, known())
	if problems, ok := strictyaml.AsProblems(err); !ok || len(problems) != 1 || !strings.Contains(err.Error(), "already at one.yml:3") {
		t.Errorf("the same name in two files: %v", err)
	}
}

func TestParseTemplate(t *testing.T) {
	labels := map[string]string{"server": "a", "empty": ""}
	for _, tt := range []struct{ text, want, err string }{
		{"plain", "plain", ""},
		{"{{ .server }}", "a", ""},
		{"x {{.server}}-{{ .server }} }}", "x a-a }}", ""},
		{"{{ .share }}", "", `no label "share"`},
		{"{{ .empty }}", "", `no label "empty"`},
		{"{{ .server", "", "wants }}"},
		{"{{ server }}", "", "wants a label"},
		{"{{ .server | html }}", "", "wants a label"},
		{"{{ range . }}", "", "wants a label"},
		{"{{ .0 }}", "", "wants a label"},
	} {
		tmpl, err := remediate.ParseTemplate(tt.text)
		var got string
		if err == nil {
			got, err = tmpl.Render(labels)
		}
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v; want %q, %q", tt.text, got, err, tt.want, tt.err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, path := range []string{"testdata/remedies/bad.yml", "testdata/remedies/full.yml"} {
		f.Add(load(f, path).Src)
	}
	f.Add([]byte("remedies: [{name: a, target: '{{ .x }}', verify: {expr: '{{ .y }}'}, escalate: [a]}]"))
	f.Fuzz(func(t *testing.T, src []byte) {
		all, err := remediate.Parse([]remediate.File{{Name: "f.yml", Src: src}}, strict())
		if err != nil {
			if _, ok := strictyaml.AsProblems(err); !ok || len(all) > 0 {
				t.Fatalf("%d remedies and %v", len(all), err)
			}
			return
		}
		for _, r := range all {
			if r.Name == "" || r.Action == "" || r.Target.String() == "" || r.Verify.Expr.String() == "" || r.Verify.Within <= r.Verify.StableFor {
				t.Fatalf("incomplete remedy %+v", r)
			}
			for _, l := range r.Verify.Expr.Labels() {
				if s, err := r.Verify.Expr.RenderExpr(map[string]string{l: "x\"`'\\\n"}); err == nil && strings.Contains(s, "x\"") {
					t.Fatalf("a label's value ends the string it stands in: %s", s)
				}
			}
		}
	})
}
