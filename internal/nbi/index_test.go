package nbi

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestIndexFor(t *testing.T) {
	a, err := IndexFor("2cf24dba5fb0a30e", nil)
	if err != nil || a < MinGlobalIndex || a > MaxIndex {
		t.Fatalf("%d, %v", a, err)
	}
	if again, _ := IndexFor("2cf24dba5fb0a30e", map[int]bool{1: true}); again != a {
		t.Errorf("the same content got %d and %d", a, again)
	}
	if next, _ := IndexFor("2cf24dba5fb0a30e", map[int]bool{a: true, a + 1: true}); next != a+2 {
		t.Errorf("%d and the one after it are taken, got %d", a, next)
	}
	if other, _ := IndexFor("2cf24dba5fb0a30f", nil); other == a {
		t.Errorf("another content got %d too", a)
	}
}

func TestNextFree(t *testing.T) {
	tests := []struct {
		index int
		taken map[int]bool
		want  int
	}{
		{4100, nil, 4101},
		{4100, map[int]bool{4101: true, 4102: true}, 4103},
		{12, nil, 4096},
		{0, map[int]bool{4096: true}, 4097},
		{65535, nil, 4096},
		{65534, map[int]bool{65535: true}, 4096},
	}
	for _, tt := range tests {
		if got, err := NextFree(tt.index, tt.taken); got != tt.want || err != nil {
			t.Errorf("after %d: %d, %v; want %d", tt.index, got, err, tt.want)
		}
	}
	full := make(map[int]bool)
	for index := MinGlobalIndex; index <= MaxIndex; index++ {
		full[index] = true
	}
	if _, err := NextFree(4096, full); !errors.Is(err, ErrNoIndex) {
		t.Errorf("all taken: %v", err)
	}
}

// image is an offered one.
func image(nbi string, index int, content string) Image {
	return Image{NBI: nbi, Readable: true, Enabled: true, Index: index, Kind: KindMacOSX, Install: true, Content: content}
}

func TestPlanReindex(t *testing.T) {
	forB, err := IndexFor("b", nil)
	if err != nil {
		t.Fatal(err)
	}
	forA, err := IndexFor("a", nil)
	if err != nil {
		t.Fatal(err)
	}
	server := kindServer(image("b.nbi", 4100, "b"))
	tests := []struct {
		name    string
		servers map[string][]Image
		want    []Change
	}{
		{"as it should be", map[string][]Image{
			"one": {image("a.nbi", 4100, "a"), image("b.nbi", 4101, "b")}, "two": {image("a.nbi", 4100, "a"), image("b.nbi", 4101, "b")},
		}, nil},
		{"different content, same index", map[string][]Image{
			"one": {image("a.nbi", 4100, "a")}, "two": {image("b.nbi", 4100, "b")},
		}, []Change{{"two", "b.nbi", 4100, forB}}},
		{"same content, different index", map[string][]Image{
			"one": {image("a.nbi", 4100, "a")}, "two": {image("a.nbi", 4200, "a")}, "three": {image("a.nbi", 4200, "a")},
		}, []Change{{"one", "a.nbi", 4100, 4200}}},
		{"same content, local indexes", map[string][]Image{
			"one": {image("a.nbi", 12, "a")}, "two": {image("a.nbi", 12, "a")},
		}, []Change{{"one", "a.nbi", 12, forA}, {"two", "a.nbi", 12, forA}}},
		{"one of them global already", map[string][]Image{
			"one": {image("a.nbi", 12, "a")}, "two": {image("a.nbi", 4300, "a")},
		}, []Change{{"one", "a.nbi", 12, 4300}}},
		{"local indexes of different content do not clash", map[string][]Image{
			"one": {image("a.nbi", 12, "a")}, "two": {image("b.nbi", 12, "b")},
		}, nil},
		{"same index, another kind is another id", map[string][]Image{
			"one": {image("a.nbi", 4100, "a")}, "two": {server},
		}, nil},
		{"two copies on one server", map[string][]Image{
			"one": {image("a.nbi", 4100, "a"), image("copy.nbi", 4100, "a")},
		}, []Change{{"one", "copy.nbi", 4100, forA}}},
		{"two of one local index on one server", map[string][]Image{
			"one": {image("a.nbi", 12, "a"), image("b.nbi", 12, "b")},
		}, []Change{{"one", "b.nbi", 12, forB}}},
		{"no valid index", map[string][]Image{"one": {image("a.nbi", 0, "a")}}, []Change{{"one", "a.nbi", 0, forA}}},
		{"a taken number is not given away", map[string][]Image{
			"one": {image("a.nbi", 4100, "a")}, "two": {image("b.nbi", 4100, "b"), image("unknown.nbi", forB, "")},
		}, []Change{{"two", "b.nbi", 4100, forB + 1}}},
		{"disabled images stay as they are", map[string][]Image{
			"one": {image("a.nbi", 4100, "a")}, "two": {{NBI: "b.nbi", Readable: true, Index: 4100, Content: "b"}},
		}, nil},
		{"nothing", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := PlanReindex(tt.servers)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func kindServer(i Image) Image {
	i.Kind = KindServer
	return i
}

// TestPlanReindexHolds checks its promises on any fleet: after the changes the
// same content has the same id everywhere and different content different
// ones, on one server no two images share an id, and nothing is left to change.
func TestPlanReindexHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		servers := make(map[string][]Image)
		for s := range rapid.IntRange(1, 4).Draw(t, "servers") {
			name := fmt.Sprintf("s%d", s)
			for n := range rapid.IntRange(0, 5).Draw(t, "images") {
				index := rapid.SampledFrom([]int{0, 1, 2, 4095, 4096, 4097, 65535}).Draw(t, "index")
				content := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "content")
				servers[name] = append(servers[name], image(fmt.Sprintf("%d.nbi", n), index, content))
			}
		}
		changes, err := PlanReindex(servers)
		if err != nil {
			t.Fatal(err)
		}
		after := apply(servers, changes)
		checkFleet(t, after)
		if again, err := PlanReindex(after); err != nil || len(again) != 0 {
			t.Fatalf("a second plan would change %v, %v", again, err)
		}
	})
}

func apply(servers map[string][]Image, changes []Change) map[string][]Image {
	after := make(map[string][]Image)
	for server, images := range servers {
		after[server] = slices.Clone(images)
		for n := range after[server] {
			for _, c := range changes {
				if c.Server == server && c.NBI == after[server][n].NBI {
					after[server][n].Index = c.To
				}
			}
		}
	}
	return after
}

func checkFleet(t *rapid.T, servers map[string][]Image) {
	contents := make(map[uint32]string)
	for _, server := range slices.Sorted(maps.Keys(servers)) {
		seen := make(map[uint32]bool)
		for _, i := range servers[server] {
			if i.ID() == 0 || seen[i.ID()] {
				t.Fatalf("%s: id %#x of %s is none, or there twice", server, i.ID(), i.NBI)
			}
			seen[i.ID()] = true
			if i.Index < MinGlobalIndex {
				continue
			}
			if other, ok := contents[i.ID()]; ok && other != i.Content {
				t.Fatalf("contents %q and %q share id %#x", other, i.Content, i.ID())
			}
			contents[i.ID()] = i.Content
		}
	}
}
