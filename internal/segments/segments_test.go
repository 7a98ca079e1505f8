package segments_test

import (
	"math/big"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/minikeeper/minikeeper/internal/segments"
)

func ranges(t testing.TB, texts ...string) []segments.Range {
	t.Helper()
	all := make([]segments.Range, len(texts))
	for i, text := range texts {
		r, err := segments.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		all[i] = r
	}
	return all
}

func TestChoose(t *testing.T) {
	tests := []struct {
		name, ip string
		ranges   []string
		want     int
	}{
		// The choice that Jamf's guide describes: everything, a site, and two
		// equally wide ranges of which the second starts lower.
		{"equal width, lowest start", "10.20.3.5", []string{"0.0.0.0-255.255.255.255", "10.20.0.0-10.20.255.255", "10.20.3.1-10.20.3.254", "10.20.3.0-10.20.3.253"}, 3},
		{"the one that reaches it", "10.20.3.254", []string{"0.0.0.0-255.255.255.255", "10.20.0.0-10.20.255.255", "10.20.3.1-10.20.3.254", "10.20.3.0-10.20.3.253"}, 2},
		{"the site", "10.20.200.1", []string{"0.0.0.0/0", "10.20.0.0/16", "10.20.3.0/24"}, 1},
		{"everything else", "8.8.8.8", []string{"0.0.0.0/0", "10.20.0.0/16"}, 0},
		{"nothing", "10.21.0.0", []string{"10.20.0.0/16"}, -1},
		{"a range within a network", "10.20.3.50", []string{"10.20.3.0/24", "10.20.3.5-10.20.3.90"}, 1},
		{"its first address", "10.20.3.5", []string{"10.20.3.0/24", "10.20.3.5-10.20.3.90"}, 1},
		{"its last address", "10.20.3.90", []string{"10.20.3.0/24", "10.20.3.5-10.20.3.90"}, 1},
		{"the one behind it", "10.20.3.91", []string{"10.20.3.0/24", "10.20.3.5-10.20.3.90"}, 0},
		{"the one before it", "10.20.3.4", []string{"10.20.3.0/24", "10.20.3.5-10.20.3.90"}, 0},
		{"one address", "10.20.3.7", []string{"10.20.3.7/32", "10.20.3.0/24"}, 0},
		{"the first of equal ones", "10.20.3.7", []string{"10.20.3.0/24", "10.20.3.0-10.20.3.255"}, 0},
		{"version 6", "fd00:20::1", []string{"0.0.0.0/0", "fd00::/8", "fd00:20::/64"}, 2},
		{"version 4 in version 6", "::ffff:10.20.3.7", []string{"::/0", "10.20.0.0/16"}, 1},
		{"a width beyond 64 bits", "fd00::1", []string{"fd00::/16", "fd00::/60"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := segments.Choose(netip.MustParseAddr(tt.ip), ranges(t, tt.ranges...)); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", `"" is no address`},
		{"10.20.0.0/33", "is no network"},
		{"10.20.3.5/16", "the network is 10.20.0.0/16"},
		{"10.20.3.90-10.20.3.5", "10.20.3.5 is lower than 10.20.3.90"},
		{"10.20.3.5-fd00::1", "different families"},
		{"10.20.3.5-", `"" is no address`},
		{"10.20.3.5-90", `"90" is no address`},
		{"fe80::1%en0-fe80::2%en0", "zones"},
		{"::ffff:10.0.0.0/104", "version 4"},
		{"london", "is no address"},
	}
	for _, tt := range tests {
		if _, err := segments.Parse(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%q): got %v, want %s", tt.text, err, tt.want)
		}
	}
}

// The choice is the same as by counting addresses with big numbers.
func TestChooseByCounting(t *testing.T) {
	value := func(a netip.Addr) *big.Int { return new(big.Int).SetBytes(a.AsSlice()) }
	rapid.Check(t, func(t *rapid.T) {
		address := rapid.Custom(func(t *rapid.T) netip.Addr {
			b := [16]byte{0xfd}
			copy(b[7:], rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 255}), 9, 9).Draw(t, "low"))
			return netip.AddrFrom16(b)
		})
		var all []segments.Range
		for range rapid.IntRange(1, 6).Draw(t, "ranges") {
			a, b := address.Draw(t, "a"), address.Draw(t, "b")
			if b.Less(a) {
				a, b = b, a
			}
			r, err := segments.New(a, b)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
		ip := address.Draw(t, "ip")
		want := -1
		for i, r := range all {
			if value(ip).Cmp(value(r.From)) < 0 || value(ip).Cmp(value(r.To)) > 0 {
				continue
			}
			if want < 0 {
				want = i
				continue
			}
			mine, best := new(big.Int).Sub(value(r.To), value(r.From)), new(big.Int).Sub(value(all[want].To), value(all[want].From))
			if c := mine.Cmp(best); c < 0 || c == 0 && value(r.From).Cmp(value(all[want].From)) < 0 {
				want = i
			}
		}
		if got := segments.Choose(ip, all); got != want {
			t.Fatalf("%s in %v: got %d, want %d", ip, all, got, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"10.20.0.0/16", "10.20.3.5-10.20.3.90", "fd00::/8", "1.2.3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := segments.Parse(text)
		if err != nil {
			return
		}
		if !r.Contains(r.From) || !r.Contains(r.To) {
			t.Errorf("%q is %s, without its ends", text, r)
		}
		again, err := segments.Parse(r.String())
		if err != nil || again != r {
			t.Errorf("%q is %s, which is %s, %v", text, r, again, err)
		}
	})
}

func TestCoverage(t *testing.T) {
	samples, err := segments.Coverage{{"10.20.0.0/16", true}, {"10.30.0.0/16", false}}.Collect(t.Context())
	if err != nil || len(samples) != 2 || samples[0].String() != `minikeeper_segment_covered{segment="10.20.0.0/16"} 1` || samples[1].Value != 0 {
		t.Errorf("got %v, %v", samples, err)
	}
}
