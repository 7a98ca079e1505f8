package postfix

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper/internal/testkit"
)

// summary shows messages and their totals, a line each, and the error last.
func summary(messages []Message, err error) string {
	var b strings.Builder
	for _, m := range messages {
		fmt.Fprintf(&b, "%s %s %d %s", m.Queue, m.ID, m.Size, m.Arrival.UTC().Format(time.RFC3339))
		for _, r := range m.Delays {
			fmt.Fprintf(&b, " %s", r)
		}
		b.WriteString("\n")
	}
	totals := Totals(messages)
	for _, queue := range slices.Sorted(maps.Keys(totals)) {
		t := totals[queue]
		fmt.Fprintf(&b, "= %s: %d messages, %d bytes, oldest %s\n", queue, t.Messages, t.Bytes, t.Oldest.UTC().Format(time.RFC3339))
	}
	b.WriteString(delays(messages))
	if err != nil {
		fmt.Fprintf(&b, "error: %v\n", err)
	}
	return b.String()
}

// now is the moment at which the listings under testdata were printed.
func now() time.Time { return time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC) }

func TestQueueListings(t *testing.T) {
	files, err := filepath.Glob("testdata/queue/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d listings, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if strings.HasPrefix(name, "json-") {
				got = summary(ParseQueueJSON(data))
			} else {
				got = summary(ParseQueueText(string(data), now()))
			}
			testkit.Golden(t, strings.TrimSuffix(file, ".txt")+".golden", got)
		})
	}
}

func TestRecordedListings(t *testing.T) {
	tests := []struct {
		sample string
		want   map[string]int
		bytes  int64
		fails  string
	}{
		{"postqueue_j_deferred.txt", map[string]int{Deferred: 2}, 1694, ""},
		{"postqueue_j_live_relay.txt", map[string]int{Deferred: 1, Active: 1}, 8912, ""},
		{"postqueue_p_deferred.txt", map[string]int{Deferred: 2}, 1694, ""},
		{"postqueue_p_empty.txt", map[string]int{}, 0, ""},
		{"kumina-showq.txt", map[string]int{Active: 16, Deferred: 8}, -1, "ends without its total"},
	}
	for _, tt := range tests {
		t.Run(tt.sample, func(t *testing.T) {
			data, err := os.ReadFile(testkit.Samples(t, "postfix/"+tt.sample))
			if err != nil {
				t.Fatal(err)
			}
			var messages []Message
			if strings.Contains(tt.sample, "_j_") {
				messages, err = ParseQueueJSON(data)
			} else {
				messages, err = ParseQueueText(string(data), time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC))
			}
			if (err != nil) != (tt.fails != "") || err != nil && !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("error %v, want one with %q", err, tt.fails)
			}
			got, size := make(map[string]int), int64(0)
			for queue, total := range Totals(messages) {
				got[queue] = total.Messages
				size += total.Bytes
			}
			if !maps.Equal(got, tt.want) || tt.bytes >= 0 && size != tt.bytes {
				t.Errorf("queues %v with %d bytes, want %v with %d", got, size, tt.want, tt.bytes)
			}
			testkit.Golden(t, filepath.Join("testdata", "recorded", tt.sample+".golden"), delays(messages))
		})
	}
}

func TestParseArrival(t *testing.T) {
	newYork := time.FixedZone("EST", -5*3600)
	tests := []struct {
		in   string
		now  time.Time
		want string
	}{
		{"Jan 5 11:59:00", now(), "2026-01-05T11:59:00Z"},
		{"Dec 31 23:59:59", now(), "2025-12-31T23:59:59Z"}, // mail from last year
		{"Jan 5 12:00:30", now(), "2026-01-05T12:00:30Z"},  // a clock that is a little ahead
		{"Jan 1 00:10:00", time.Date(2025, 12, 31, 23, 50, 0, 0, time.UTC), "2026-01-01T00:10:00Z"},
		{"Feb 29 01:00:00", now(), "2024-02-29T01:00:00Z"},
		{"Jan 5 06:00:00", now().In(newYork), "2026-01-05T11:00:00Z"},
		{"Feb 30 01:00:00", now(), ""},
		{"Sun Aug 2", now(), ""},
	}
	for _, tt := range tests {
		got, err := parseArrival(tt.in, tt.now)
		if tt.want == "" {
			if err == nil {
				t.Errorf("%q: %v, want an error", tt.in, got)
			}
			continue
		}
		if err != nil || got.UTC().Format(time.RFC3339) != tt.want {
			t.Errorf("%q: %v, %v; want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestRunning(t *testing.T) {
	tests := []struct {
		exit    int
		printed string
		want    bool
		err     error
	}{
		{0, "", true, nil}, // no terminal
		{0, "postfix/postfix-script: the Postfix mail system is running: PID: 1234\n", true, nil},
		{1, "postfix/postfix-script: the Postfix mail system is not running\n", false, nil},
		{1, "", false, ErrStatusUnknown}, // no terminal, or no root, or no configuration
		{1, "postfix: fatal: the postfix command is reserved for the superuser\n", false, ErrStatusUnknown},
	}
	for _, tt := range tests {
		got, err := Running(tt.exit, tt.printed)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("exit %d %q: %v, %v; want %v, %v", tt.exit, tt.printed, got, err, tt.want, tt.err)
		}
	}
}

func TestWhatPostqueueComplainsOf(t *testing.T) {
	tests := []struct {
		stderr       string
		down, noJSON bool
	}{
		{"postqueue: fatal: Queue report unavailable - mail system is down\n", true, false},
		{"postqueue: warning: Mail system is down -- accessing queue directly (Connect to the Postfix showq service: Connection refused)\n", true, false},
		{"postqueue: fatal: User zimbra(997) is not allowed to view the mail queue\n", false, false},
		{"postqueue: invalid option -- 'j'\npostqueue: fatal: usage: postqueue -f | postqueue -i queueid | postqueue -p | postqueue -s site\n", false, true},
		{"postqueue: illegal option -- j\n", false, true},
		{"", false, false},
	}
	for _, tt := range tests {
		if got := SaysDown(tt.stderr); got != tt.down {
			t.Errorf("SaysDown(%q) = %v", tt.stderr, got)
		}
		if got := KnowsNoJSON(tt.stderr); got != tt.noJSON {
			t.Errorf("KnowsNoJSON(%q) = %v", tt.stderr, got)
		}
	}
}

func TestRelayhost(t *testing.T) {
	for printed, want := range map[string]string{
		"[smtp.example.com]:587\n": "[smtp.example.com]:587",
		"\n":                       "",
		"":                         "",
		"\n$mydomain\n":            "$mydomain",
		"host\xff\n":               "host?",
	} {
		if got := Relayhost(printed); got != want {
			t.Errorf("Relayhost(%q) = %q, want %q", printed, got, want)
		}
	}
}

func FuzzParseQueueJSON(f *testing.F) {
	seed(f, "testdata/queue/json-*.txt")
	f.Fuzz(func(t *testing.T, printed []byte) {
		messages, _ := ParseQueueJSON(printed)
		checkMessages(t, messages, len(printed))
	})
}

func FuzzParseQueueText(f *testing.F) {
	seed(f, "testdata/queue/text-*.txt")
	f.Fuzz(func(t *testing.T, printed []byte) {
		messages, _ := ParseQueueText(string(printed), now())
		checkMessages(t, messages, len(printed))
		for _, m := range messages {
			if m.Arrival.After(now().Add(24 * time.Hour)) {
				t.Errorf("%+v arrives in the future", m)
			}
		}
	})
}

// checkMessages holds whatever was printed: ids are unique and there, sizes
// are not negative, and there are no more messages than bytes to name them.
func checkMessages(t *testing.T, messages []Message, printed int) {
	t.Helper()
	seen := make(map[string]bool)
	for _, m := range messages {
		if m.ID == "" || seen[m.ID] || m.Size < 0 || !validQueueName(m.Queue) || m.Arrival.IsZero() {
			t.Errorf("%+v", m)
		}
		seen[m.ID] = true
	}
	for _, m := range messages {
		for i, r := range m.Delays {
			if !slices.Contains(Reasons(), r) || slices.Contains(m.Delays[:i], r) {
				t.Errorf("message %s is delayed by %v", m.ID, m.Delays)
			}
		}
	}
	if len(messages) > printed {
		t.Errorf("%d messages from %d bytes", len(messages), printed)
	}
}

func seed(f *testing.F, pattern string) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds match %s: %v", pattern, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}
