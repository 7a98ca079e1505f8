package topology_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper/internal/topology"
)

func TestPairs(t *testing.T) {
	samples, err := topology.Pairs{
		{Name: "london", Servers: []string{"a", "b", "c"}, Pairs: [][]string{{"a", "b"}}},
		{Servers: []string{"d"}},
	}.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range samples {
		got = append(got, s.String())
	}
	want := []string{
		`minikeeper_server_pair_info{site="london",server="a",pair="a+b"} 1`,
		`minikeeper_server_pair_info{site="london",server="b",pair="a+b"} 1`,
		`minikeeper_server_pair_info{site="london",server="c",pair="c"} 1`,
		`minikeeper_server_pair_info{site="",server="d",pair="d"} 1`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
