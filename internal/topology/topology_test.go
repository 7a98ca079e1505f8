package topology_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/topology"
)

func TestServer(t *testing.T) {
	topo, err := topology.New([]topology.Site{
		{Name: "london", Servers: []string{"a", "b", "c"}, Pairs: [][]string{{"a", "b"}}},
		{Name: "paris", Servers: []string{"d"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		want minikeeper.Server
		ok   bool
	}{
		{"a", minikeeper.Server{Name: "a", Site: "london", Partners: []string{"b"}}, true},
		{"b", minikeeper.Server{Name: "b", Site: "london", Partners: []string{"a"}}, true},
		{"c", minikeeper.Server{Name: "c", Site: "london"}, true},
		{"d", minikeeper.Server{Name: "d", Site: "paris"}, true},
		{"e", minikeeper.Server{}, false},
	}
	for _, tt := range tests {
		got, ok := topo.Server(tt.name)
		if diff := cmp.Diff(tt.want, got); diff != "" || ok != tt.ok {
			t.Errorf("Server(%q): ok %v (-want +got):\n%s", tt.name, ok, diff)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name  string
		sites []topology.Site
		want  string
	}{
		{
			"one server in two sites",
			[]topology.Site{{Name: "london", Servers: []string{"a"}}, {Name: "paris", Servers: []string{"a"}}},
			`site "paris": server "a" is already in site "london"`,
		},
		{
			"a pair across sites",
			[]topology.Site{{Name: "london", Servers: []string{"a"}}, {Name: "paris", Servers: []string{"b"}, Pairs: [][]string{{"a", "b"}}}},
			`site "paris": pair names "a" (have b)`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := topology.New(tt.sites)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestTarget(t *testing.T) {
	topo, err := topology.New([]topology.Site{{Name: "london", Servers: []string{"a", "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	topo, err = topo.Reach("a", struct{ minikeeper.Target }{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topo.Target("a"); err != nil {
		t.Errorf("a: %v", err)
	}
	if _, err := topo.Target("b"); err == nil || !strings.Contains(err.Error(), "neither keeper nor local") {
		t.Errorf("b: got %v, want an error that says it cannot be reached", err)
	}
	if _, err := topo.Target("x"); err == nil || !strings.Contains(err.Error(), "have a, b") {
		t.Errorf("x: got %v, want an error that names the choices", err)
	}
	if _, err := topo.Reach("x", nil); err == nil {
		t.Error("Reach of a server in no site: want an error")
	}
}
