package strictyaml_test

import (
	"math"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

func TestDuration(t *testing.T) {
	tests := []struct {
		in   string
		want time.Duration // negative: an error
		out  string
	}{
		{"30m", 30 * time.Minute, "30m"},
		{"1h30m", 90 * time.Minute, "1h30m"},
		{"90m", 90 * time.Minute, "1h30m"},
		{"7d", 7 * 24 * time.Hour, "7d"},
		{"2w", 14 * 24 * time.Hour, "14d"},
		{"1y", 365 * 24 * time.Hour, "365d"},
		{"500ms", 500 * time.Millisecond, "500ms"},
		{"1m500ms", time.Minute + 500*time.Millisecond, "1m500ms"},
		{"0", 0, "0"},
		{"0s", 0, "0"},
		{"", -1, ""},
		{"30", -1, ""},
		{"m", -1, ""},
		{"-1m", -1, ""},
		{"1.5h", -1, ""},
		{"30m1h", -1, ""},
		{"1m1m", -1, ""},
		{"1h ", -1, ""},
		{"1us", -1, ""},
		{"300y", -1, ""},
		{"99999999999999999999s", -1, ""},
	}
	for _, tt := range tests {
		got, err := strictyaml.ParseDuration(tt.in)
		if tt.want < 0 {
			if err == nil {
				t.Errorf("%q = %v, want an error", tt.in, got)
			}
			continue
		}
		if err != nil || got != tt.want || strictyaml.Duration(got).String() != tt.out {
			t.Errorf("%q = %v (%s), %v", tt.in, got, strictyaml.Duration(got), err)
		}
	}
}

func TestSize(t *testing.T) {
	tests := []struct {
		in   string
		want strictyaml.Size // negative: an error
		out  string
	}{
		{"40MB", 40e6, "40MB"},
		{"10GB", 10e9, "10GB"},
		{"64KiB", 65536, "64KiB"},
		{"1.5 GB", 1.5e9, "1500MB"},
		{"512", 512, "512B"},
		{"0", 0, "0B"},
		{"3kB", 3000, "3kB"},
		{"3KB", 3000, "3kB"},
		{"2TiB", 2 << 40, "2TiB"},
		{"", -1, ""},
		{"MB", -1, ""},
		{"-1MB", -1, ""},
		{"1.5B", -1, ""},
		{"1..5MB", -1, ""},
		{"40mb", -1, ""},
		{"99999999TB", -1, ""},
	}
	for _, tt := range tests {
		var got strictyaml.Size
		err := got.UnmarshalText([]byte(tt.in))
		if tt.want < 0 {
			if err == nil {
				t.Errorf("%q = %v, want an error", tt.in, got)
			}
			continue
		}
		if err != nil || got != tt.want || got.String() != tt.out {
			t.Errorf("%q = %d (%s), %v", tt.in, got, got, err)
		}
	}
}

func TestLimit(t *testing.T) {
	tests := []struct {
		in  string
		of  int64 // of 250; negative: an error
		out string
	}{
		{"100", 100, "100"},
		{"0", 0, "0"},
		{"5%", 12, "5%"},
		{"0.5%", 1, "0.5%"},
		{"100%", 250, "100%"},
		{"-1", -1, ""},
		{"101%", -1, ""},
		{"NaN%", -1, ""},
		{"%", -1, ""},
		{"many", -1, ""},
	}
	for _, tt := range tests {
		var got strictyaml.Limit
		err := got.UnmarshalText([]byte(tt.in))
		if tt.of < 0 {
			if err == nil {
				t.Errorf("%q = %v, want an error", tt.in, got)
			}
			continue
		}
		if err != nil || got.Of(250) != tt.of || got.String() != tt.out {
			t.Errorf("%q = %v, of 250: %d, %v", tt.in, got, got.Of(250), err)
		}
	}
}

// FuzzUnits demands that what is printed is read back as the same value.
func FuzzUnits(f *testing.F) {
	for _, seed := range []string{"1h30m", "40MB", "64KiB", "5%", "0", "1.5GB", "7d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := strictyaml.ParseDuration(s); err == nil {
			back, err := strictyaml.ParseDuration(strictyaml.Duration(d).String())
			if d < 0 || err != nil || back != d {
				t.Errorf("%q: %v comes back as %v, %v", s, d, back, err)
			}
		}
		var z, z2 strictyaml.Size
		if z.UnmarshalText([]byte(s)) == nil && z < 1<<53 {
			if err := z2.UnmarshalText([]byte(z.String())); err != nil || z != z2 || z < 0 {
				t.Errorf("%q: %d comes back as %d, %v", s, z, z2, err)
			}
		}
		var l, l2 strictyaml.Limit
		if l.UnmarshalText([]byte(s)) == nil {
			if err := l2.UnmarshalText([]byte(l.String())); err != nil || l != l2 || math.IsNaN(l.Percent) {
				t.Errorf("%q: %v comes back as %v, %v", s, l, l2, err)
			}
		}
	})
}
