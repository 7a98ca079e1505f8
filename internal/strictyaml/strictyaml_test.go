package strictyaml_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

type common struct {
	Every   strictyaml.Duration `yaml:"every"`
	Command map[string]string   `yaml:"command"`
}

type file struct {
	Name  string            `yaml:"name"`
	Port  uint16            `yaml:"port"`
	Count int               `yaml:"count"`
	Ratio float64           `yaml:"ratio"`
	On    bool              `yaml:"on"`
	Wait  time.Duration     `yaml:"wait"`
	Max   strictyaml.Size   `yaml:"max"`
	Limit *strictyaml.Limit `yaml:"limit"`
	Tags  []string          `yaml:"tags"`
	Jobs  map[string]job    `yaml:"jobs"`
	List  []job             `yaml:"list"`
	Lone  *job              `yaml:"lone"`
	Tree  tree              `yaml:"tree"`
	Raw   strictyaml.Raw    `yaml:"raw"`
	After string            `yaml:"after"`
	Skip  string            `yaml:"-"`
}

type job struct {
	common `yaml:",inline"`
	To     string `yaml:"to"`
}

type tree struct {
	Down []tree `yaml:"down"`
}

func env(name string) (string, bool) {
	v, ok := map[string]string{"WORD": "hello", "NUMBER": "7", "EMPTY": "", "SECRET": "hunter2"}[name]
	return v, ok
}

func TestDecode(t *testing.T) {
	src := `
name: a
port: 80
count: -3
ratio: 0.5
on: true
wait: 1h30m
max: 40MB
limit: 5%
tags: [x, "2", 3, true, 2024-01-02]
jobs:
  one: {every: 7d, command: {a: /b}, to: here}
  two:
list: [{to: x}]
lone:
tree: {down: [{down: []}]}
`
	var got file
	_, problems := strictyaml.Decode("f.yml", []byte(src), &got)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	want := file{
		Name: "a", Port: 80, Count: -3, Ratio: 0.5, On: true,
		Wait: 90 * time.Minute, Max: 40_000_000,
		Limit: &strictyaml.Limit{Percent: 5, IsPercent: true},
		Tags:  []string{"x", "2", "3", "true", "2024-01-02"},
		Jobs: map[string]job{
			"one": {common: common{Every: strictyaml.Duration(7 * 24 * time.Hour), Command: map[string]string{"a": "/b"}}, To: "here"},
			"two": {},
		},
		List: []job{{To: "x"}},
		Lone: &job{},
		Tree: tree{Down: []tree{{Down: []tree{}}}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(job{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestProblems(t *testing.T) {
	deep := "tree: " + strings.Repeat("{down: [", 60) + strings.Repeat("]}", 60)
	tests := []struct{ name, src, want string }{
		{"empty", "", "f.yml:1:1: the file is empty"},
		{"only a comment", "# x\n", "f.yml:1:1: the file is empty"},
		{"only a marker", "---\n", "f.yml:1:1: the file is empty"},
		{"not a mapping", "[a]", "f.yml:1:1: the file wants a block of keys, not a list"},
		{"a word", "hello", `f.yml:1:1: the file wants a block of keys, not "hello"`},
		{"syntax", "name: a\nport: [80\n", "f.yml:2:1: not valid YAML: a list in [ ] is not closed or lacks a comma"},
		{"tab", "lone:\n\tto: x", "f.yml:2:1: not valid YAML: a tab, @, ` or % cannot stand here"},
		{"not UTF-8", "name: a\non: \xff", "f.yml:2:5: this byte is not UTF-8 text"},
		{"second document", "name: a\n---\nname: b\n", "f.yml:3:1: a second document begins here, and a file may hold one only"},
		{"unknown key", "lone: {too: x}", `f.yml:1:8: unknown key "too" (have command, every, to)`},
		{"unread field", "Skip: x", `f.yml:1:1: unknown key "Skip" (have after, count, jobs, limit, list, lone, max, name, on, port, ratio, raw, tags, tree, wait)`},
		{"bad indentation", "lone:\n  every: 1s\n to: x", "f.yml:3:1: not valid YAML: a block that begins or ends here is not indented as it should be"},
		{"bad list", "name: a\ntags:\n  - a\n b", "f.yml:4:1: not valid YAML: a block that begins or ends here is not indented as it should be"},
		{"open block", "name: a\nlone: {to: x\nafter: y\n", "f.yml:2:1: not valid YAML: a block in { } is not closed or lacks a comma"},
		{"duplicate key", "name: a\nport: 1\nname: b", `f.yml:3:1: key "name" is already given on line 1`},
		{"duplicate in a map", "jobs: {a: {}, a: {}}", `f.yml:1:15: key "a" is already given on line 1`},
		{"key is a list", "? [a]\n: b", "f.yml:1:3: a key must be a word, not a list"},
		{"merge key", "lone: {<<: {to: x}}", `f.yml:1:8: unknown key "<<" (have command, every, to)`},
		{"duration", "lone: {every: soon}", `f.yml:1:15: every wants a duration such as 30m, 1h30m or 7d, not "soon"`},
		{"duration is a list", "lone: {every: [1s]}", "f.yml:1:15: every wants a duration such as 30m, not a list"},
		{"no value", "lone:\n  every:\nname:\n", "f.yml:2:9: every has no value; it wants a duration such as 30m\nf.yml:3:6: name has no value; it wants a text"},
		{"boolean", "on: yes", `f.yml:1:5: on wants true or false, not "yes"`},
		{"number", "port: 99999\ncount: 1.5\nratio: .nan", `f.yml:1:7: port wants a smaller number than "99999"` + "\n" + `f.yml:2:8: count wants a whole number, not "1.5"` + "\n" + `f.yml:3:8: ratio wants a number, not ".nan"`},
		{"size", "max: 40 elephants", `f.yml:1:6: max wants a size such as 40MB, 10GB or 64KiB, not "40 elephants"`},
		{"limit", "limit: 105%", `f.yml:1:8: limit wants a number such as 100 or a part such as 5%, not "105%"`},
		{"item", "list: [{to: x}, {to: [a]}, 3]", "f.yml:1:22: to wants a text, not a list\nf.yml:1:28: list[2] wants a block of keys, not \"3\""},
		{"scalar for list", "tags: a", `f.yml:1:7: tags wants a list such as [a, b], not "a"`},
		{"long text", "on: " + strings.Repeat("x", 99), `f.yml:1:5: on wants true or false, not "` + strings.Repeat("x", 60) + `…"`},
		{"deep", deep, "f.yml:1:407: more than 100 levels of nesting"},
		{"unknown alias", "name: *x", "f.yml:1:1: not valid YAML: unknown anchor 'x' referenced"},
		{"alias in itself", "tree: &t {down: [*t]}", "f.yml:1:7: more than 100 levels of nesting"},
		{"wrong behind an anchor", "lone: &j {every: x}\nlist: [*j, *j]", `f.yml:1:18: every wants a duration such as 30m, 1h30m or 7d, not "x"`},
		{"all at once", "nam: a\nport: x\nlone: {every: 3}\n", strings.Join([]string{
			`f.yml:1:1: unknown key "nam" (have after, count, jobs, limit, list, lone, max, name, on, port, ratio, raw, tags, tree, wait)`,
			`f.yml:2:7: port wants a whole number, not "x"`,
			`f.yml:3:15: every wants a duration such as 30m, 1h30m or 7d, not "3"`,
		}, "\n")},
		{"missing variable", "name: a${NOPE}b${NEITHER}", "f.yml:1:7: name: environment variable NEITHER is not set\nf.yml:1:7: name: environment variable NOPE is not set"},
		{"malformed variable", "name: ${a-b}\nafter: ${WORD", "f.yml:1:7: name: after ${ comes the name of an environment variable and }; write $${ for a plain ${\nf.yml:2:8: after: after ${ comes the name of an environment variable and }; write $${ for a plain ${"},
		{"wrong variable stays secret", "count: ${SECRET}", `f.yml:1:8: count wants a whole number, and "${SECRET}" does not hold that`},
		{"outer alias in raw", "tags: &t [a]\nraw:\n- *t", "f.yml:3:3: an alias in raw may stand only for something in raw"},
		{"anchors alone are free", "jobs:\n" + repeat(12000, "  j%d: &j%[1]d {}\n"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := strictyaml.Decode("f.yml", []byte(tt.src), new(file), strictyaml.WithEnv(env))
			if diff := cmp.Diff(tt.want, problems.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (problems.Err() == nil) != (tt.want == "") {
				t.Errorf("Err() = %v", problems.Err())
			}
		})
	}
}

func repeat(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// TestAliasesAreBounded builds ten levels of ten aliases each: 10^10 values.
func TestAliasesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("tree:\n  down:\n  - &l0 {down: []}\n")
	for level := 1; level <= 10; level++ {
		fmt.Fprintf(&b, "  - &l%d {down: [%s]}\n", level, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*l%d, ", level-1), 10), ", "))
	}
	start := time.Now()
	_, problems := strictyaml.Decode("f.yml", []byte(b.String()), new(file))
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "aliases stand for too much") {
		t.Errorf("problems = %v", problems)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}

type fruit struct {
	Name  string   `yaml:"name"`
	Kinds []string `yaml:"kinds"`
}

func (f *fruit) SetDefaults() { *f = fruit{Name: "apple", Kinds: []string{"boskoop"}} }

func TestDefaults(t *testing.T) {
	var got struct {
		List  []fruit `yaml:"list"`
		Empty *fruit  `yaml:"empty"`
		None  *fruit  `yaml:"none"`
	}
	_, problems := strictyaml.Decode("f.yml", []byte("list: [{name: pear}, {kinds: []}, {kinds: [a, b]}]\nempty:\n"), &got)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	want := []fruit{{"pear", []string{"boskoop"}}, {"apple", []string{}}, {"apple", []string{"a", "b"}}}
	if diff := cmp.Diff(want, got.List); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Empty == nil || got.Empty.Name != "apple" || got.None != nil {
		t.Errorf("empty: %+v, none: %+v", got.Empty, got.None)
	}
}

func TestVariables(t *testing.T) {
	src := "name: ${WORD}-${EMPTY}$${WORD}$5\ncount: ${NUMBER}\nlist: [{to: '${WORD}'}]\nraw:\n- ${NOPE}\n"
	var got file
	doc, problems := strictyaml.Decode("f.yml", []byte(src), &got, strictyaml.WithEnv(env))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if got.Name != "hello-${WORD}$5" || got.Count != 7 || got.List[0].To != "hello" {
		t.Errorf("got %q, %d, %q", got.Name, got.Count, got.List[0].To)
	}
	want := []strictyaml.Expansion{
		{Path: []any{"name"}, Written: "${WORD}-${EMPTY}$${WORD}$5", Value: "hello-${WORD}$5"},
		{Path: []any{"count"}, Written: "${NUMBER}", Value: "7"},
		{Path: []any{"list", 0, "to"}, Written: "${WORD}", Value: "hello"},
	}
	if diff := cmp.Diff(want, doc.Expanded()); diff != "" {
		t.Errorf("Expanded (-want +got):\n%s", diff)
	}
	if got := doc.Written("count"); got != "${NUMBER}" {
		t.Errorf("Written = %q", got)
	}

	got = file{}
	if _, problems := strictyaml.Decode("f.yml", []byte("name: ${WORD}"), &got); len(problems) != 0 || got.Name != "${WORD}" {
		t.Errorf("without WithEnv: %q, %v", got.Name, problems)
	}
}

func TestDocProblem(t *testing.T) {
	src := "name: a\njobs:\n  one: {to: x}\nlist:\n- to: y\n- &b {to: z}\n- *b\n"
	doc, problems := strictyaml.Decode("f.yml", []byte(src), new(file))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path []any
		want string
		has  bool
	}{
		{[]any{"name"}, "f.yml:1:7: x", true},
		{[]any{"jobs", "one", "to"}, "f.yml:3:13: x", true},
		{[]any{"jobs", strictyaml.Key("one")}, "f.yml:3:3: x", true},
		{[]any{"jobs", "one", "every"}, "f.yml:3:8: x", false},
		{[]any{"jobs", "two", "every"}, "f.yml:3:3: x", false},
		{[]any{"list", 1, "to"}, "f.yml:6:11: x", true},
		{[]any{"list", 2, "to"}, "f.yml:6:11: x", true},
		{[]any{"list", 7}, "f.yml:5:1: x", false},
		{[]any{"list", -1}, "f.yml:5:1: x", false},
		{[]any{"name", "deeper"}, "f.yml:1:7: x", false},
		{nil, "f.yml:1:1: x", true},
	}
	for _, tt := range tests {
		if got := doc.Problem(tt.path, "x").Error(); got != tt.want {
			t.Errorf("Problem(%v) = %q, want %q", tt.path, got, tt.want)
		}
		if got := doc.Has(tt.path...); got != tt.has {
			t.Errorf("Has(%v) = %v", tt.path, got)
		}
	}

	broken, _ := strictyaml.Decode("f.yml", []byte("["), new(file))
	if got := broken.Problem([]any{"a"}, "x").Error(); got != "f.yml:1:1: x" {
		t.Errorf("on a broken file: %q", got)
	}
}

func TestRaw(t *testing.T) {
	const block = "- job_name: 'a: b'  # ours\n  text: |\n    one\n\n    two\n- &x {y: [1, 2]}\n- *x\n"
	indented := "  " + strings.ReplaceAll(strings.TrimSuffix(block, "\n"), "\n", "\n  ") + "\n"
	tests := []struct{ name, src, want string }{
		{"last", "name: a\nraw:\n" + block, block},
		{"indented", "name: a\nraw:\n" + indented, indented},
		{"before a key", "raw:\n" + block + "\n\nafter: b\n", block},
		{"before a comment", "raw:\n" + block + "# about it\nafter: b\n", block + "# about it\n"},
		{"windows", strings.ReplaceAll("name: a\nraw:\n"+block+"after: b\n", "\n", "\r\n"), strings.ReplaceAll(block, "\n", "\r\n")},
		{"marked", "\ufeffraw:\n" + block, block},
		{"flow", "name: a\nraw: [{a: b}, c]\nafter: b\n", " [{a: b}, c]\n"},
		{"all in one line", "{raw: [{a: ']'}], after: x}", " [{a: ']'}]\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got file
			_, problems := strictyaml.Decode("f.yml", []byte(tt.src), &got)
			if err := problems.Err(); err != nil {
				t.Fatal(err)
			}
			if want := strings.TrimSuffix(tt.want, "\n"); strings.TrimRight(string(got.Raw.Text), "\r\n") != strings.TrimRight(want, "\r\n") {
				t.Errorf("Text = %q, want %q", got.Raw.Text, tt.want)
			}
			var under struct {
				Key yaml.Node `yaml:"key"`
			}
			if err := yaml.Unmarshal(got.Raw.Under("key"), &under); err != nil {
				t.Fatalf("Under: %v\n%s", err, got.Raw.Under("key"))
			}
			if under.Key.Line != got.Raw.Node.Line {
				t.Errorf("line %d under a key, %d in the file", under.Key.Line, got.Raw.Node.Line)
			}
			if got.Raw.Items() != len(under.Key.Content) || got.Raw.Items() == 0 {
				t.Errorf("%d items, %d under a key", got.Raw.Items(), len(under.Key.Content))
			}
		})
	}
	var none strictyaml.Raw
	if !none.IsZero() || none.Under("x") != nil || none.Items() != 0 {
		t.Error("the zero Raw is not empty")
	}
}

func TestProblemsAreErrors(t *testing.T) {
	_, problems := strictyaml.Decode("f.yml", []byte("x: 1\ny: 2"), new(file))
	err := fmt.Errorf("load: %w", problems.Err())
	all, ok := strictyaml.AsProblems(err)
	if !ok || len(all) != 2 {
		t.Errorf("AsProblems = %v, %v", all, ok)
	}
	if p, ok := errors.AsType[strictyaml.Problem](err); !ok || p.Line != 1 {
		t.Errorf("first problem: %v, %v", p, ok)
	}
	if !all.At(strictyaml.Problem{File: "f.yml", Line: 2, Col: 1}) || all.At(strictyaml.Problem{File: "f.yml", Line: 3, Col: 1}) {
		t.Error("At does not tell where problems are")
	}
	if got := (strictyaml.Problem{File: "f.yml", Message: "gone"}).Error(); got != "f.yml: gone" {
		t.Errorf("problem without position: %q", got)
	}
}

func TestUnreadableTypes(t *testing.T) {
	var into struct {
		C chan int       `yaml:"c"`
		M map[int]string `yaml:"m"`
	}
	_, problems := strictyaml.Decode("f.yml", []byte("c: 1\nm: {1: a}"), &into)
	if len(problems) != 2 {
		t.Errorf("problems = %v", problems)
	}
	defer func() {
		if recover() == nil {
			t.Error("a target that is no pointer to a struct is accepted")
		}
	}()
	_, _ = strictyaml.Decode("f.yml", nil, into)
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"name: a\nport: 80\nlist: [{to: x}]\n", "raw:\n- a: |\n    x\n- *y\n", "&a [*a]", "tree: &t {down: [*t]}", "? a\n: b",
		"name: ${WORD}$${x", "---\n---\n", "raw: [a, {b: c}]\nafter: x", "jobs: {a: {every: 1h}}\r\n", "raw: &x\n  b: *x\n", "!!binary a: b",
		"raw:\n  ? [a]\n  : >-\n    x\nafter: y",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		var got file
		doc, problems := strictyaml.Decode("f.yml", src, &got, strictyaml.WithEnv(env))
		lines := 1 + bytes.Count(src, []byte("\n")) + bytes.Count(src, []byte("\r")) +
			bytes.Count(src, []byte("\u0085")) + bytes.Count(src, []byte("\u2028")) + bytes.Count(src, []byte("\u2029"))
		for _, p := range problems {
			if p.Line < 1 || p.Col < 1 || p.Line > lines+1 || p.Message == "" {
				t.Errorf("%+v in %q", p, src)
			}
			if strings.Contains(p.Message, "hunter2") {
				t.Errorf("%v shows what a variable holds", p)
			}
		}
		_ = doc.Problem([]any{"list", 0, "to"}, "x")
		if got.Raw.IsZero() {
			return
		}
		var under yaml.Node
		if err := yaml.Unmarshal(got.Raw.Under("key"), &under); err != nil {
			t.Errorf("%v: %q from %q", err, got.Raw.Under("key"), src)
		}
	})
}
