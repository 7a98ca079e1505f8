package notify_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/matcher"
	"github.com/minikeeper/minikeeper/internal/notify"
)

// A memory is an outbox that forgets everything with the process.
type memory struct {
	mu      sync.Mutex
	pending map[int64]*minikeeper.Pending
	settled map[int64]time.Time
	broken  error // what Record answers
}

func newMemory(events ...minikeeper.Event) *memory {
	m := &memory{pending: make(map[int64]*minikeeper.Pending), settled: make(map[int64]time.Time)}
	for _, e := range events {
		m.add(e)
	}
	return m
}

func (m *memory) add(e minikeeper.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pending[e.ID] = &minikeeper.Pending{Event: e}
}

func (m *memory) breakWith(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = err
}

func (m *memory) Undelivered(_ context.Context, now time.Time, limit int) ([]minikeeper.Pending, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var due []minikeeper.Pending
	for _, p := range m.pending {
		if n := len(p.Attempts); n > 0 && p.Attempts[n-1].Next.After(now) {
			continue
		}
		due = append(due, minikeeper.Pending{Event: p.Event, Attempts: slices.Clone(p.Attempts)})
	}
	slices.SortFunc(due, func(a, b minikeeper.Pending) int { return cmp.Compare(a.Event.ID, b.Event.ID) })
	return due[:min(limit, len(due))], nil
}

func (m *memory) Record(_ context.Context, event int64, a minikeeper.Attempt) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	m.pending[event].Attempts = append(m.pending[event].Attempts, a)
	return nil
}

func (m *memory) Settle(_ context.Context, event int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settled[event] = time.Now()
	delete(m.pending, event)
	return nil
}

// story shows the attempts for event as CHANNEL OUTCOME, and whether it is settled.
func (m *memory) story(event int64) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.settled[event]; ok {
		return "settled"
	}
	if m.pending[event] == nil {
		return "unknown event"
	}
	var list []string
	for _, a := range m.pending[event].Attempts {
		list = append(list, a.Channel+" "+a.Outcome)
	}
	return strings.Join(list, ", ")
}

// A fake is a channel whose answer a test sets.
type fake struct {
	to   []string
	take time.Duration // how long a message takes

	mu       sync.Mutex
	answer   func(recipient string) error
	offered  int
	taken    []string // "EVENT RECIPIENT"
	messages []notify.Message
}

func (f *fake) Recipients() []string {
	if f.to == nil {
		return []string{"all"}
	}
	return f.to
}

func (f *fake) set(answer func(string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *fake) Send(ctx context.Context, m notify.Message, to []string) map[string]error {
	outcome := make(map[string]error)
	if f.take > 0 {
		select {
		case <-time.After(f.take):
		case <-ctx.Done():
			for _, r := range to {
				outcome[r] = &notify.Failure{Err: ctx.Err(), Channel: true}
			}
			return outcome
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.offered++
	id, _, _ := strings.Cut(strings.TrimPrefix(m.ID, "event-"), ".")
	for _, r := range to {
		if f.answer != nil {
			outcome[r] = f.answer(r)
		}
		if outcome[r] == nil {
			outcome[r] = nil
			f.taken = append(f.taken, id+" "+r)
			f.messages = append(f.messages, m)
		}
	}
	return outcome
}

func (f *fake) got() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.taken, ", ")
}

func (f *fake) offers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.offered
}

func down(string) error { return &notify.Failure{Err: errors.New("connection refused"), Channel: true} }

func tooLong(string) error   { return &notify.Failure{Err: errors.New("too long"), Permanent: true} }
func postponed(string) error { return &notify.Failure{Err: errors.New("451 later")} }

func numbered(id int64, labels ...string) minikeeper.Event {
	e := minikeeper.Event{ID: id, Kind: minikeeper.EventAlert, At: time.Now(), Summary: "x", Alert: minikeeper.Alert{Name: "A", Labels: map[string]string{"alertname": "A"}}}
	for i := 0; i < len(labels); i += 2 {
		e.Alert.Labels[labels[i]] = labels[i+1]
	}
	e.Alert.Name, e.Key = e.Alert.Labels["alertname"], strconv.FormatInt(id, 10)
	return e
}

func matchers(t *testing.T, list ...string) matcher.Matchers {
	t.Helper()
	ms, err := matcher.ParseAll(list)
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

// run starts a Notifier and has it stopped before the test's bubble ends.
func run(t *testing.T, o notify.Options) *notify.Notifier {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	n, err := notify.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	synctest.Wait()
	return n
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestFirstChannelThatTakesItEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox, mail, chat := newMemory(numbered(1)), &fake{}, &fake{}
		run(t, notify.Options{Outbox: outbox, Channels: []notify.Entry{{Name: "mail", Channel: mail}, {Name: "slack", Channel: chat}}})
		want(t, "mail", mail.got(), "1 all")
		want(t, "slack", chat.got(), "")
		want(t, "story", outbox.story(1), "settled")
	})
}

func TestNextChannelTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox, mail, chat := newMemory(numbered(1)), &fake{answer: down}, &fake{}
		n := run(t, notify.Options{Outbox: outbox, Channels: []notify.Entry{{Name: "mail", Channel: mail}, {Name: "slack", Channel: chat}}})
		want(t, "slack", chat.got(), "1 all")
		want(t, "story", outbox.story(1), "settled")

		outbox.add(numbered(2)) // while mail is known to be down, nobody waits for it
		n.Wake()
		synctest.Wait()
		want(t, "slack", chat.got(), "1 all, 2 all")
		if mail.offers() != 1 {
			t.Errorf("mail was tried %d times", mail.offers())
		}

		mail.set(nil)
		time.Sleep(time.Minute)
		outbox.add(numbered(3))
		n.Wake()
		synctest.Wait()
		want(t, "mail after it came back", mail.got(), "3 all")
	})
}

func TestRetriesUntilItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox, mail := newMemory(numbered(1)), &fake{answer: down}
		run(t, notify.Options{Outbox: outbox, Channels: []notify.Entry{{Name: "mail", Channel: mail}}})
		want(t, "story", outbox.story(1), "mail retry")
		time.Sleep(3 * time.Hour)
		if n := mail.offers(); n < 12 || n > 25 {
			t.Errorf("%d tries in three hours, want about 17: 30 s, 1, 2, 4, 8 and then 15 min", n)
		}
		mail.set(nil)
		time.Sleep(20 * time.Minute)
		want(t, "story", outbox.story(1), "settled")
		m := mail.messages[0]
		if !strings.Contains(m.Text, "late: it was written at") || !strings.Contains(m.Text, "What kept it: mail: connection refused") {
			t.Errorf("the message does not say how late it is, and why:\n%s", m.Text)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox, chat := newMemory(numbered(1)), &fake{}
		chat.set(func(string) error {
			return &notify.Failure{Err: errors.New("429"), Channel: true, After: 10 * time.Minute}
		})
		run(t, notify.Options{Outbox: outbox, Channels: []notify.Entry{{Name: "slack", Channel: chat}}})
		chat.set(nil)
		time.Sleep(10*time.Minute - time.Second)
		if chat.offers() != 1 {
			t.Errorf("%d tries before the time that the channel asked for", chat.offers())
		}
		time.Sleep(10 * time.Second)
		want(t, "slack", chat.got(), "1 all")
	})
}

func TestRefusedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox, mail, chat := newMemory(numbered(1)), &fake{answer: tooLong}, &fake{answer: tooLong}
		n := run(t, notify.Options{Outbox: outbox, Channels: []notify.Entry{{Name: "mail", Channel: mail}, {Name: "slack", Channel: chat}}})
		want(t, "story", outbox.story(1), "settled")
		chat.set(nil)
		outbox.add(numbered(2))
		n.Wake()
		synctest.Wait()
		want(t, "the channel that takes it", chat.got(), "2 all")
	})
}

func TestEveryRecipientHearsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox, chat := newMemory(numbered(1)), &fake{}
		mail := &fake{to: []string{"a", "b", "c"}, answer: func(r string) error {
			switch r {
			case "b":
				return postponed(r)
			case "c":
				return tooLong(r)
			}
			return nil
		}}
		run(t, notify.Options{Outbox: outbox, Channels: []notify.Entry{{Name: "mail", Channel: mail}, {Name: "slack", Channel: chat}}})
		want(t, "story", outbox.story(1), "mail a delivered, mail c gave-up, mail b retry")
		want(t, "slack is not needed", chat.got(), "")
		mail.set(nil)
		time.Sleep(2 * time.Minute)
		want(t, "mail", mail.got(), "1 a, 1 b")
		want(t, "story", outbox.story(1), "settled")
	})
}

func TestRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mail, chat := &fake{}, &fake{}
		outbox := newMemory(numbered(1, "severity", "page"), numbered(2, "severity", "info"), numbered(3))
		run(t, notify.Options{
			Outbox: outbox, Channels: []notify.Entry{{Name: "mail", Channel: mail}, {Name: "slack", Channel: chat}},
			Routes: []notify.Route{
				{Match: matchers(t, `severity="page"`), Channels: []string{"slack", "mail"}},
				{Match: matchers(t, `severity=~"page|info"`), Channels: []string{"mail"}},
			},
		})
		want(t, "slack", chat.got(), "1 all")
		got := strings.Split(mail.got(), ", ")
		slices.Sort(got)
		want(t, "mail", strings.Join(got, ", "), "2 all, 3 all") // 3 fits no route: all channels, in order
	})
}

func TestMailAboutPostfixDoesNotWaitForPostfix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		relayDown := numbered(1, "alertname", "MailRelayDown", "server", "lon-mini-1")
		elsewhere := numbered(2, "alertname", "MailRelayDown", "server", "par-mini-1")
		var firing []minikeeper.Alert
		mail, chat := &fake{}, &fake{}
		outbox := newMemory(relayDown, elsewhere)
		entry := notify.Entry{Name: "mail", Channel: mail, DependsOn: matchers(t, `alertname="MailRelayDown"`, `server="lon-mini-1"`)}
		n := run(t, notify.Options{
			Outbox: outbox, Channels: []notify.Entry{entry, {Name: "slack", Channel: chat}},
			Firing: func(context.Context) ([]minikeeper.Alert, error) { return firing, nil },
		})
		want(t, "slack", chat.got(), "1 all")
		want(t, "mail", mail.got(), "2 all")

		firing = []minikeeper.Alert{relayDown.Alert} // now about anything else
		outbox.add(numbered(3))
		n.Wake()
		synctest.Wait()
		want(t, "slack", chat.got(), "1 all, 3 all")

		firing = nil
		healed := relayDown
		healed.ID, healed.Kind = 4, minikeeper.EventSucceeded
		outbox.add(healed)
		n.Wake()
		synctest.Wait()
		want(t, "mail", mail.got(), "2 all, 4 all")
	})
}

func TestSkippedChannelIsTriedWhenItsAlertIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alert := numbered(1, "alertname", "MailRelayDown")
		var mu sync.Mutex
		firing := []minikeeper.Alert{alert.Alert}
		mail := &fake{}
		outbox := newMemory(numbered(2))
		run(t, notify.Options{
			Outbox: outbox, Channels: []notify.Entry{{Name: "mail", Channel: mail, DependsOn: matchers(t, `alertname="MailRelayDown"`)}},
			Firing: func(context.Context) ([]minikeeper.Alert, error) {
				mu.Lock()
				defer mu.Unlock()
				return firing, nil
			},
		})
		want(t, "story", outbox.story(2), "mail skipped")
		mu.Lock()
		firing = nil
		mu.Unlock()
		time.Sleep(time.Minute)
		want(t, "mail", mail.got(), "2 all")
	})
}

func TestSlowChannelBlocksNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newMemory()
		for id := range int64(20) {
			outbox.add(numbered(id+1, "to", "mail"))
		}
		outbox.add(numbered(21, "to", "slack"))
		mail, chat := &fake{take: time.Hour}, &fake{}
		run(t, notify.Options{
			Outbox: outbox, Channels: []notify.Entry{{Name: "mail", Channel: mail}, {Name: "slack", Channel: chat}},
			Routes: []notify.Route{
				{Match: matchers(t, `to="slack"`), Channels: []string{"slack"}},
				{Channels: []string{"mail", "slack"}},
			},
		})
		want(t, "slack at once", chat.got(), "21 all")
		time.Sleep(time.Minute + time.Second) // one message's timeout, not twenty
		if got := strings.Count(chat.got(), "all"); got != 21 {
			t.Errorf("%d of 21 messages were told over slack after a minute", got)
		}
	})
}

func TestIncidentIsToldInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newMemory()
		for id := range int64(10) {
			e := numbered(id + 1)
			e.Key = "one incident"
			outbox.add(e)
		}
		mail := &fake{take: time.Second}
		run(t, notify.Options{Outbox: outbox, Channels: []notify.Entry{{Name: "mail", Channel: mail}}})
		time.Sleep(11 * time.Second)
		want(t, "mail", mail.got(), "1 all, 2 all, 3 all, 4 all, 5 all, 6 all, 7 all, 8 all, 9 all, 10 all")
	})
}

func TestDeliveredOnceAlthoughTheJournalIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox, mail := newMemory(numbered(1)), &fake{to: []string{"a", "b"}, answer: func(r string) error {
			if r == "b" {
				return postponed(r)
			}
			return nil
		}}
		outbox.breakWith(errors.New("disk is full"))
		run(t, notify.Options{Outbox: outbox, Channels: []notify.Entry{{Name: "mail", Channel: mail}}})
		time.Sleep(10 * time.Minute)
		want(t, "mail while nothing can be recorded", mail.got(), "1 a")
		outbox.breakWith(nil)
		mail.set(nil)
		time.Sleep(2 * time.Minute)
		want(t, "mail", mail.got(), "1 a, 1 b")
		want(t, "story", outbox.story(1), "settled")
	})
}

func TestCrashBetweenSendAndRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := numbered(1)
		var ids []string
		for range 2 { // the second process knows nothing of what the first sent
			mail := &fake{}
			run(t, notify.Options{Outbox: newMemory(e), Channels: []notify.Entry{{Name: "mail", Channel: mail}}})
			ids = append(ids, mail.messages[0].ID)
		}
		if ids[0] != ids[1] {
			t.Errorf("ids %q: a relay or reader cannot tell that it is the same message", ids)
		}
	})
}

func TestGivesUpAfterAWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox, mail := newMemory(numbered(1)), &fake{answer: postponed}
		run(t, notify.Options{Outbox: outbox, Channels: []notify.Entry{{Name: "mail", Channel: mail}}})
		time.Sleep(6 * 24 * time.Hour)
		if got := outbox.story(1); got == "settled" {
			t.Error("given up before a week was over")
		}
		time.Sleep(2 * 24 * time.Hour)
		want(t, "story", outbox.story(1), "settled")
	})
}

func TestShutdownLetsAMessageArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox, quick, hanging := newMemory(numbered(1, "to", "quick"), numbered(2, "to", "hanging")), &fake{take: 3 * time.Second}, &fake{take: time.Hour}
		n, err := notify.New(notify.Options{
			Outbox: outbox, Channels: []notify.Entry{{Name: "quick", Channel: quick}, {Name: "hanging", Channel: hanging}},
			Routes: []notify.Route{{Match: matchers(t, `to="quick"`), Channels: []string{"quick"}}, {Channels: []string{"hanging"}}},
			Log:    slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if err := n.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != 6*time.Second {
			t.Errorf("Run ended after %v, want 6s: one second and the grace", took)
		}
		want(t, "quick", outbox.story(1), "settled")
		want(t, "hanging", outbox.story(2), "hanging retry")
	})
}

func TestWithoutChannels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newMemory(numbered(1))
		n := run(t, notify.Options{Outbox: outbox})
		want(t, "story", outbox.story(1), "settled")
		if _, err := n.Test(t.Context(), ""); err == nil {
			t.Error("a test without channels succeeds")
		}
	})
}

func TestTestMessage(t *testing.T) {
	mail, chat := &fake{to: []string{"a", "b"}, answer: func(r string) error {
		if r == "b" {
			return tooLong(r)
		}
		return nil
	}}, &fake{}
	n, err := notify.New(notify.Options{Log: slog.New(slog.DiscardHandler), Channels: []notify.Entry{
		{Name: "mail", Channel: mail, DependsOn: matchers(t, `alertname=~".*"`)}, {Name: "slack", Channel: chat},
	}})
	if err != nil {
		t.Fatal(err)
	}
	results, err := n.Test(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range results {
		got = append(got, fmt.Sprintf("%s %s %v", r.Channel, r.Recipient, r.Err))
	}
	want(t, "results", strings.Join(got, ", "), "mail a <nil>, mail b too long, slack all <nil>")
	if results, err = n.Test(t.Context(), "slack"); err != nil || len(results) != 1 {
		t.Errorf("slack alone: %v, %v", results, err)
	}
	if _, err = n.Test(t.Context(), "pager"); err == nil || err.Error() != `unknown channel "pager" (have mail, slack)` {
		t.Errorf("unknown channel: %v", err)
	}
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newMemory(numbered(1))
		n := run(t, notify.Options{Outbox: outbox, Channels: []notify.Entry{{Name: "mail", Channel: &fake{answer: down}}, {Name: "slack", Channel: &fake{}}}})
		samples, err := n.Collect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range samples {
			if s.Value != 0 || strings.HasSuffix(s.Name, "_up") {
				got = append(got, s.String())
			}
		}
		want(t, "samples", strings.Join(got, "\n"), `minikeeper_notifications_total{channel="mail",outcome="retry"} 1
minikeeper_notification_channel_up{channel="mail"} 0
minikeeper_notifications_total{channel="slack",outcome="delivered"} 1
minikeeper_notification_channel_up{channel="slack"} 1`)
		if len(n.Families()) != 2 {
			t.Errorf("families %v", n.Families())
		}
	})
}

func TestNewRefuses(t *testing.T) {
	_, err := notify.New(notify.Options{
		Channels: []notify.Entry{{Name: "mail"}, {Name: "mail"}, {Name: "to all"}},
		Routes:   []notify.Route{{Channels: []string{"mail", "pager"}}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{`channel "mail": its name is taken`, `channel "to all"`, `route 1: unknown channel "pager" (have mail)`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error lacks %s:\n%v", part, err)
		}
	}
}
