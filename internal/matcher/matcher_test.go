package matcher_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/minikeeper/minikeeper/internal/matcher"
)

func TestMatches(t *testing.T) {
	labels := map[string]string{"alertname": "ReplicaDrift", "server": "lon-mini-1", "note": "a \"b\"\nc\\d", "empty": ""}
	tests := []struct {
		in   string
		want bool
	}{
		{`alertname="ReplicaDrift"`, true},
		{`alertname=ReplicaDrift`, true},
		{` alertname = "ReplicaDrift" `, true},
		{`alertname="Replica"`, false},
		{`alertname!="Replica"`, true},
		{`alertname!="ReplicaDrift"`, false},
		{`alertname=~"Replica.*"`, true},
		{`alertname=~"Replica"`, false},
		{`alertname=~"x|ReplicaDrift"`, true},
		{`alertname!~"Replica.*"`, false},
		{`alertname!~"Mail.*"`, true},
		{`server=~"lon-mini-\d"`, true},
		{`server=~"lon-mini-\\d"`, true},
		{`server=~lon-.*`, true},
		{`note="a \"b\"\nc\\d"`, true},
		{`note=~".*d"`, true},
		{`absent=""`, true},
		{`absent!=""`, false},
		{`absent=~".+"`, false},
		{`absent=~".*"`, true},
		{`empty=`, true},
	}
	for _, tt := range tests {
		m, err := matcher.Parse(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if got := m.Matches(labels); got != tt.want {
			t.Errorf("%s matches: %v, want %v", tt.in, got, tt.want)
		}
	}
	if (matcher.Matcher{}).Matches(nil) {
		t.Error("the zero matcher fits")
	}
	if (matcher.Matcher{Name: "a", Op: matcher.NotRegexp}).Matches(nil) {
		t.Error("a matcher without its expression fits")
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ in, want string }{
		{``, "it begins with no label name"},
		{`="x"`, "it begins with no label name"},
		{`1a="x"`, "it begins with no label name"},
		{`severity`, `no =, !=, =~ or !~ follows "severity"`},
		{`a-b="x"`, `no =, !=, =~ or !~ follows "a"`},
		{`a=="x"`, "its value needs double quotes"},
		{`a="x`, "its closing quote is missing"},
		{`a="x\"`, "its closing quote is missing"},
		{`a="x\`, "its closing quote is missing"},
		{`a="x" b="y"`, `" b=\"y\"" follows the value`},
		{`a=x y`, "its value needs double quotes"},
		{`{a="x"}`, "it begins with no label name"},
		{`a=~"("`, "error parsing regexp: missing closing )"},
		{`a=~")("`, "error parsing regexp: unexpected )"},
		{"a=\"\xff\"", "it must be at most 4096 bytes of UTF-8"},
		{`a="` + strings.Repeat("x", 5000) + `"`, "it must be at most 4096 bytes of UTF-8"},
	}
	for _, tt := range tests {
		_, err := matcher.Parse(tt.in)
		if err == nil || !strings.HasPrefix(err.Error(), `wants a matcher such as severity="page", not `) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.in, err, tt.want)
		}
	}
}

func TestMatchers(t *testing.T) {
	ms, err := matcher.ParseAll([]string{`severity="page"`, `site!~"lon.*"`})
	if err != nil {
		t.Fatal(err)
	}
	if !ms.Matches(map[string]string{"severity": "page", "site": "paris"}) || ms.Matches(map[string]string{"severity": "page", "site": "london"}) {
		t.Error("not all matchers are asked")
	}
	if !(matcher.Matchers{}).Matches(nil) {
		t.Error("no conditions do not hold")
	}
	if got, want := ms.String(), `severity="page", site!~"lon.*"`; got != want {
		t.Errorf("String() = %s, want %s", got, want)
	}
	if _, err := matcher.ParseAll([]string{`a=b`, `a`}); err == nil {
		t.Error("a bad matcher in a list is accepted")
	}
}

func ExampleParse() {
	m, err := matcher.Parse(`alertname=~"Replica.*"`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Matches(map[string]string{"alertname": "ReplicaDrift"}))
	// Output: true
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`a="b"`, `a=~"b.*"`, `a!~"\d\"\\"`, `a!=b`, `a=`, `a=~")("`, "a=\"\n\""} {
		f.Add(seed, "b")
	}
	f.Fuzz(func(t *testing.T, s, value string) {
		m, err := matcher.Parse(s)
		if err != nil {
			return
		}
		again, err := matcher.Parse(m.String())
		if err != nil || again.String() != m.String() {
			t.Fatalf("%q is shown as %q, which gives %q, %v", s, m, again, err)
		}
		labels := map[string]string{m.Name: value}
		if m.Matches(labels) != again.Matches(labels) {
			t.Errorf("%q and %q differ on %q", s, again, value)
		}
	})
}
