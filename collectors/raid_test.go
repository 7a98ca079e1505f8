package collectors

import (
	"strconv"
	"strings"
	"testing"
)

func TestRAID(t *testing.T) {
	scenarios(t, "raid", applyRAID)
}

// applyRAID reads the settings "backend" and "expect", a list of NAME=MEMBERS
// in which an underscore stands for a blank.
func applyRAID(s *Settings, settings map[string]string) {
	s.RAID.Backend = settings["backend"]
	for pair := range strings.FieldsSeq(settings["expect"]) {
		name, n, _ := strings.Cut(pair, "=")
		if s.RAID.Expect == nil {
			s.RAID.Expect = make(map[string]int)
		}
		s.RAID.Expect[strings.ReplaceAll(name, "_", " ")], _ = strconv.Atoi(n)
	}
}
