package jamf

import (
	"os"
	"path/filepath"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.json", "testdata/*.xml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(body)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if items, err := parseList(body, "network_segments"); err == nil {
			for _, i := range items {
				if i.ID <= 0 {
					t.Errorf("an item has the id %d", i.ID)
				}
			}
		}
		if s, err := parseSegment(body); err == nil && !s.Range.Contains(s.Range.From) {
			t.Errorf("a segment is %s", s.Range)
		}
		if d, err := parsePoint(body); err == nil && d.Name == "" {
			t.Error("a distribution point has no name")
		}
		if points, _, err := parsePage(body); err == nil {
			samples(Inventory{DistributionPoints: named(points)})
		}
	})
}
