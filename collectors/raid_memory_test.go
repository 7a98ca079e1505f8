package collectors

import (
	"slices"
	"strings"
	"testing"

	"github.com/minikeeper/minikeeper"
)

const (
	setA = "0E1D2C3B-4A59-4868-9786-00000000000A"
	setB = "0E1D2C3B-4A59-4868-9786-00000000000B"
	none = "No AppleRAID sets found\n"
)

// A set called Data that has the given members, each "STATUS".
func listed(uuid, status string, members ...string) string {
	var b strings.Builder
	b.WriteString("AppleRAID sets (1 found)\n===\nName: Data\nUnique ID: " + uuid + "\nType: Mirror\nStatus: " + status + "\nDevice Node: disk8\n---\n#  DevNode  UUID  Status  Size\n---\n")
	for i, m := range members {
		b.WriteString(string(rune('0'+i)) + "  disk2s2  0E1D2C3B-4A59-4868-9786-0000000000F" + string(rune('0'+i)) + "  " + m + "  4000443039744\n")
	}
	return b.String() + "===\n"
}

// An array that is gone is not mentioned by its source, and must be all the same.
func TestRAIDRemembers(t *testing.T) {
	broken := "AppleRAID: failed trying to get controller object, rc = 0xe00002bc.\n" + none
	whole := listed(setA, "Online", "Online", "Online")
	tests := []struct {
		name   string
		expect map[string]int
		lists  []string // what diskutil says, pass by pass
		want   []string // of the last pass, among others
		not    []string
	}{
		{
			name:  "seen and gone",
			lists: []string{whole, none},
			want:  []string{`state{array="Data",state="offline"} 1`, `members{array="Data",state="missing"} 2`, `redundant{array="Data"} 0`, `info{array="Data",level="raid1",backend="appleraid",device="disk8"} 1`},
		},
		{
			name:  "seen and gone and back",
			lists: []string{whole, none, whole},
			want:  []string{`state{array="Data",state="online"} 1`, `redundant{array="Data"} 1`},
		},
		{
			name:  "seen, and now diskutil cannot tell",
			lists: []string{whole, broken},
			want:  []string{`state{array="Data",state="unknown"} 1`, `state{array="Data",state="offline"} 0`, `members_expected{array="Data"} 2`},
			not:   []string{"redundant", `members{array="Data"`},
		},
		{
			name:  "made anew under its old name",
			lists: []string{whole, none, listed(setB, "Online", "Online", "Online")},
			want:  []string{`state{array="Data",state="online"} 1`},
			not:   []string{setA, `state="offline"} 1`},
		},
		{
			name:  "one of two of one name is gone",
			lists: []string{strings.Replace(whole, "(1 found)", "(2 found)", 1) + listed(setB, "Online", "Online", "Online"), listed(setB, "Online", "Online", "Online")},
			want:  []string{`state{array="Data (` + setA + `)",state="offline"} 1`, `state{array="Data (` + setB + `)",state="online"} 1`},
		},
		{
			name:  "bad member removed: the set says Online",
			lists: []string{whole, listed(setA, "Online", "Online")},
			want:  []string{`state{array="Data",state="online"} 1`, `members_expected{array="Data"} 2`, `redundant{array="Data"} 0`},
		},
		{
			name:   "the settings say how many, not the memory",
			expect: map[string]int{"Data": 2},
			lists:  []string{listed(setA, "Online", "Online", "Online", "Online"), whole},
			want:   []string{`members_expected{array="Data"} 2`, `redundant{array="Data"} 1`},
		},
		{
			name:  "one member was never more",
			lists: []string{listed(setA, "Online", "Online")},
			want:  []string{`members_expected{array="Data"} 1`, `redundant{array="Data"} 0`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			programs := make(tools)
			c, err := newRAID(Deps{Run: programs, GOOS: "darwin", Settings: Settings{RAID: RAIDSettings{Expect: tt.expect}}})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, list := range tt.lists {
				programs["diskutil appleRAID list"] = minikeeper.Result{Stdout: []byte(list)}
				got = collected(t, c, "")
			}
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %s in\n%s", want, got)
				}
			}
			for _, not := range tt.not {
				if strings.Contains(got, not) {
					t.Errorf("%s in\n%s", not, got)
				}
			}
		})
	}
}

func TestRAIDRefusesSettings(t *testing.T) {
	tests := []struct {
		goos     string
		settings RAIDSettings
		want     string
	}{
		{"linux", RAIDSettings{Backend: "zfs"}, `raid: backend: no backend "zfs" (have auto, appleraid, btrfs, mdraid)`},
		{"plan9", RAIDSettings{}, `raid: backend: no way to read arrays of "plan9"`},
		{"linux", RAIDSettings{Expect: map[string]int{"md0": 0}}, `raid: expect: array "md0" cannot have 0 members`},
	}
	for _, tt := range tests {
		_, err := newRAID(Deps{GOOS: tt.goos, Settings: Settings{RAID: tt.settings}})
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s %+v: %v, want %s", tt.goos, tt.settings, err, tt.want)
		}
	}
}

// The program's path is a setting.
func TestRAIDUsesTheGivenProgram(t *testing.T) {
	programs := tools{"/opt/x/diskutil appleRAID list": minikeeper.Result{Stdout: []byte(listed(setA, "Online", "Online", "Online"))}}
	c, err := newRAID(Deps{Run: programs, GOOS: "darwin", Settings: Settings{RAID: RAIDSettings{Command: map[string]string{"diskutil": "/opt/x/diskutil"}}}})
	if err != nil {
		t.Fatal(err)
	}
	samples, err := c.Collect(t.Context())
	if err != nil || !slices.ContainsFunc(samples, func(s minikeeper.Sample) bool { return s.Name == raidRedundant && s.Value == 1 }) {
		t.Errorf("got %v, %v", samples, err)
	}
}
