package poll_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper/internal/snmp/poll"
	"github.com/minikeeper/minikeeper/internal/snmpsim"
)

const (
	column = "1.3.6.1.2.1.2.2.1" // of the table below
	uptime = "1.3.6.1.2.1.1.3"
)

// table is a device with a scalar and a table of columns and rows, and an
// object behind them.
func table(t testing.TB, columns, rows int) *snmpsim.Device {
	t.Helper()
	binds := []snmpsim.Bind{bind(t, uptime+".0", snmpsim.TimeTicks, "42"), bind(t, "1.3.6.1.6.1.0", snmpsim.Integer, "1")}
	for c := 1; c <= columns; c++ {
		for r := 1; r <= rows; r++ {
			binds = append(binds, bind(t, fmt.Sprintf("%s.%d.%d", column, c, r), snmpsim.Counter32, strconv.Itoa(1000*c+r)))
		}
	}
	return snmpsim.NewDevice(binds...)
}

func bind(t testing.TB, oid string, tag int, value string) snmpsim.Bind {
	t.Helper()
	b, err := snmpsim.NewBind(oid, tag, value)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func start(t testing.TB, d *snmpsim.Device, f snmpsim.Faults) *snmpsim.Agent {
	t.Helper()
	a, err := snmpsim.Start(t.Context(), d, snmpsim.Options{Community: "public", Faults: f})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// query asks for the columns of the table and for the scalar.
func query(columns int) poll.Query {
	q := poll.Query{MaxRepetitions: 25, Retries: 1, Timeout: 400 * time.Millisecond}
	var subtrees []poll.Subtree
	for c := 1; c <= columns; c++ {
		subtrees = append(subtrees, poll.Subtree{Root: fmt.Sprintf("%s.%d", column, c)})
	}
	q.Groups = [][]poll.Subtree{subtrees, {{Root: uptime, Scalar: true}}}
	q.Gets = []string{uptime + ".0", "1.3.6.1.2.1.1.99.0"}
	return q
}

func session(t testing.TB, c *poll.Client, a *snmpsim.Agent, version int) *poll.Session {
	t.Helper()
	s, err := c.Session(poll.Target{Address: a.Addr(), Version: version, Community: "public"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func client(t testing.TB, l poll.Limits) *poll.Client {
	t.Helper()
	c := poll.NewClient(poll.NewMemory(0), l)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// outline says in one line what a reading holds.
func outline(r *poll.Reading) string {
	var b strings.Builder
	for i, group := range r.Groups {
		for j, c := range group {
			fmt.Fprintf(&b, "%d.%d:%s ", i, j, brief(c))
		}
	}
	for i, c := range r.Gets {
		fmt.Fprintf(&b, "get%d:%s ", i, brief(c))
	}
	return strings.TrimSpace(b.String())
}

func brief(c poll.Column) string {
	if c.Err != nil {
		return string(poll.ReasonOf(c.Err))
	}
	return strconv.Itoa(len(c.Objects))
}

func TestRead(t *testing.T) {
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) {
			a := start(t, table(t, 5, 30), snmpsim.Faults{})
			c := client(t, poll.Limits{})
			for range 2 { // first without, then with knowledge of the target
				s := session(t, c, a, version)
				r := s.Read(t.Context(), query(6)) // the sixth column is not there
				if got, want := outline(r), "0.0:30 0.1:30 0.2:30 0.3:30 0.4:30 0.5:0 1.0:1 get0:1 get1:0"; got != want {
					t.Fatalf("got %s, want %s", got, want)
				}
				for i, o := range r.Groups[0][4].Objects {
					if want := strconv.Itoa(i + 1); o.Index != want || fmt.Sprint(o.Value) != strconv.Itoa(5000+i+1) {
						t.Fatalf("object %d is %v", i, o)
					}
				}
				t.Logf("%+v, largest reply %d", s.Stats(), a.Largest())
			}
		})
	}
}

// TestRepliesFit holds replies below the size of one packet, and the number of
// packets near what that leaves.
func TestRepliesFit(t *testing.T) {
	a := start(t, table(t, 40, 48), snmpsim.Faults{})
	c := client(t, poll.Limits{})
	for pass := range 3 {
		s := session(t, c, a, 2)
		s.Read(t.Context(), query(40))
		if a.Largest() > 1400 {
			t.Errorf("pass %d: a reply has %d bytes", pass, a.Largest())
		}
		if got := s.Stats().Packets; pass > 0 && got > 50 {
			t.Errorf("pass %d: %d packets for %d objects", pass, got, s.Stats().PDUs)
		}
	}
}

func TestFaults(t *testing.T) {
	const whole = "0.0:20 0.1:20 0.2:20 1.0:1 get0:1 get1:0"
	tests := []struct {
		name   string
		faults snmpsim.Faults
		limits poll.Limits
		change func(*poll.Query)
		want   string
		within time.Duration
	}{
		{name: "none", want: whole},
		{name: "a lost packet is asked for again", faults: snmpsim.Faults{Lose: []int{1, 3}}, want: whole},
		{name: "one packet in five is lost", faults: snmpsim.Faults{Loss: 0.2, Seed: 3}, change: func(q *poll.Query) { q.Retries = 6 }, want: whole},
		{name: "replies are cut short", faults: snmpsim.Faults{MaxMessage: 200}, want: whole},
		{name: "tooBig until little is asked", faults: snmpsim.Faults{TooBigOver: 120}, want: whole},
		{
			name: "tooBig whatever is asked", faults: snmpsim.Faults{TooBigOver: 50},
			want: "0.0:too_big 0.1:too_big 0.2:too_big 1.0:too_big get0:too_big get1:too_big",
		},
		{
			name: "genErr of one column", faults: snmpsim.Faults{Status: snmpsim.GenErr, StatusBelow: column + ".2"},
			want: "0.0:20 0.1:gen_err 0.2:20 1.0:1 get0:1 get1:0",
		},
		{
			name: "genErr at once", faults: snmpsim.Faults{Status: snmpsim.GenErr},
			want: "0.0:gen_err 0.1:gen_err 0.2:gen_err 1.0:gen_err get0:gen_err get1:gen_err",
		},
		{
			name: "silent", faults: snmpsim.Faults{Silent: true}, within: 2 * time.Second,
			want: "0.0:silent 0.1:silent 0.2:silent 1.0:silent get0:silent get1:silent",
		},
		{
			name: "silent, without repetitions", faults: snmpsim.Faults{Silent: true}, within: 800 * time.Millisecond,
			change: func(q *poll.Query) { q.Retries = 0 },
			want:   "0.0:silent 0.1:silent 0.2:silent 1.0:silent get0:silent get1:silent",
		},
		{
			name: "goes back", faults: snmpsim.Faults{StuckBelow: column + ".2", StuckAfter: 1},
			want: "0.0:20 0.1:non_increasing 0.2:20 1.0:1 get0:1 get1:0",
		},
		{
			name: "repeats itself where it may go back", faults: snmpsim.Faults{StuckBelow: column + ".2", StuckAfter: 1},
			change: func(q *poll.Query) { q.NonIncreasing = true },
			want:   "0.0:20 0.1:non_increasing 0.2:20 1.0:1 get0:1 get1:0",
		},
		{
			name: "never ends", faults: snmpsim.Faults{Endless: column + ".3"}, limits: poll.Limits{PDUs: 1000, Window: 1},
			change: func(q *poll.Query) { q.Groups, q.Gets = q.Groups[:1], nil },
			want:   "0.0:20 0.1:20 0.2:pdu_limit",
		},
		{
			name: "never ends, in large pieces", faults: snmpsim.Faults{Endless: column + ".3", EndlessSize: 1200}, limits: poll.Limits{Bytes: 200_000, Window: 1},
			change: func(q *poll.Query) { q.Groups, q.Gets = q.Groups[:1], nil },
			want:   "0.0:20 0.1:20 0.2:byte_limit",
		},
	}
	d := table(t, 3, 20)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := start(t, d, tt.faults)
			q := query(3)
			if tt.change != nil {
				tt.change(&q)
			}
			s := session(t, client(t, tt.limits), a, 2)
			begin := time.Now()
			if got := outline(s.Read(t.Context(), q)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if took := time.Since(begin); tt.within > 0 && took > tt.within {
				t.Errorf("took %v", took)
			}
			if n := a.Requests(); n > 300 && tt.limits == (poll.Limits{}) {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// TestDeadline ends the reading of a slow target in time. What is there is
// kept, and no column is half there.
func TestDeadline(t *testing.T) {
	a := start(t, table(t, 40, 40), snmpsim.Faults{Latency: 20 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	q := query(40)
	all := q.Groups[0]
	q.Groups = [][]poll.Subtree{all[:10], all[10:20], all[20:30], all[30:]}
	begin := time.Now()
	r := session(t, client(t, poll.Limits{Window: 1}), a, 2).Read(ctx, q)
	if took := time.Since(begin); took > 500*time.Millisecond {
		t.Errorf("took %v", took)
	}
	whole, failed := 0, 0
	for i, c := range slices.Concat(r.Groups...) {
		switch {
		case c.Err == nil && len(c.Objects) == 40:
			whole++
		case c.Err != nil && c.Objects == nil && poll.ReasonOf(c.Err) == poll.Deadline:
			failed++
		default:
			t.Errorf("column %d: %s", i, brief(c))
		}
	}
	if whole == 0 || failed == 0 {
		t.Errorf("%d columns are whole, %d failed", whole, failed)
	}
}

// TestWindow reads a distant target in a fraction of the round trips.
func TestWindow(t *testing.T) {
	const trip = 10 * time.Millisecond
	a := start(t, table(t, 40, 48), snmpsim.Faults{Latency: trip})
	c := client(t, poll.Limits{})
	session(t, c, a, 2).Read(t.Context(), query(40))
	s := session(t, c, a, 2)
	begin := time.Now()
	s.Read(t.Context(), query(40))
	if took, alone := time.Since(begin), time.Duration(s.Stats().Packets)*trip; took > alone/2 {
		t.Errorf("%d packets took %v", s.Stats().Packets, took)
	}
}

func TestRefused(t *testing.T) {
	a, err := snmpsim.Start(t.Context(), table(t, 1, 1), snmpsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := session(t, client(t, poll.Limits{}), a, 2)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got := brief(s.Read(t.Context(), query(1)).Groups[0][0]); got != string(poll.Refused) {
		t.Errorf("got %s", got)
	}
}

func TestTargetCheck(t *testing.T) {
	tests := map[string]string{
		"10.0.0.1":              "",
		"[::1]:1161":            "",
		"::1":                   "",
		"tcp://switch.test:161": "",
		"":                      "no host",
		"host:0":                "bad port",
		"host:snmp":             "bad port",
		"http://host":           "unknown network",
	}
	for address, want := range tests {
		err := poll.Target{Address: address, Version: 2}.Check()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", address, err, want)
		}
	}
}

func TestCompareIndex(t *testing.T) {
	ordered := []string{"", "0", "1", "1.1", "1.2", "1.10", "2", "10", "10.1.4294967295", "100"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got, want := poll.CompareIndex(a, b), compare(i, j); got != want {
				t.Errorf("%q and %q: %d, want %d", a, b, got, want)
			}
		}
	}
}

func compare(i, j int) int {
	switch {
	case i < j:
		return -1
	case i > j:
		return 1
	default:
		return 0
	}
}
