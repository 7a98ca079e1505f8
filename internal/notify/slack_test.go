package notify_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slacktest"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/notify"
)

func newSlack(t *testing.T, custom ...slacktest.Binder) (*notify.Slack, *slacktest.Server) {
	t.Helper()
	server := slacktest.NewTestServer(custom...)
	server.Start()
	t.Cleanup(server.Stop)
	s, err := notify.NewSlack(notify.SlackOptions{Token: "xoxb-test", Channel: "#minis", APIURL: server.GetAPIURL()})
	if err != nil {
		t.Fatal(err)
	}
	return s, server
}

func TestSlackTakesAMessage(t *testing.T) {
	posted := make(chan url.Values, 1)
	s, _ := newSlack(t, func(c slacktest.Customize) {
		c.Handle("/chat.postMessage", func(w http.ResponseWriter, r *http.Request) {
			if err := r.ParseForm(); err != nil {
				t.Error(err)
			}
			posted <- r.PostForm
			_, _ = io.WriteString(w, `{"ok":true,"channel":"C1","ts":"1.2"}`)
		})
	})
	m := notify.Render(event(minikeeper.EventSucceeded, "healed & proven", done(resync(minikeeper.RunSucceeded, "drift is 0"), "", "")), at, "")
	if err := s.Send(t.Context(), m, s.Recipients())["#minis"]; err != nil {
		t.Fatal(err)
	}
	form := <-posted
	if form.Get("channel") != "#minis" || form.Get("text") != m.Subject {
		t.Errorf("posted %v", form)
	}
	var blocks slack.Blocks
	if err := json.Unmarshal([]byte(form.Get("blocks")), &blocks); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m.Blocks, blocks.BlockSet); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
}

// TestSlackServerItselfTakesAMessage has slacktest decode what is posted.
func TestSlackServerItselfTakesAMessage(t *testing.T) {
	s, _ := newSlack(t)
	for _, e := range []minikeeper.Event{hostile(), {Kind: minikeeper.EventTest, At: at}} {
		if err := s.Send(t.Context(), notify.Render(e, at, ""), s.Recipients())["#minis"]; err != nil {
			t.Error(err)
		}
	}
}

func TestSlackFailures(t *testing.T) {
	answer := func(status int, body string, header ...string) slacktest.Binder {
		return func(c slacktest.Customize) {
			c.Handle("/chat.postMessage", func(w http.ResponseWriter, _ *http.Request) {
				for i := 0; i < len(header); i += 2 {
					w.Header().Set(header[i], header[i+1])
				}
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
			})
		}
	}
	tests := []struct {
		name  string
		give  slacktest.Binder
		want  string
		after time.Duration
	}{
		{"too fast", answer(http.StatusTooManyRequests, "", "Retry-After", "37"), "down", 37 * time.Second},
		{"too fast, without a time", answer(http.StatusTooManyRequests, ""), "down", 0},
		{"trouble at Slack", answer(http.StatusBadGateway, "<html>"), "down", 0},
		{"token revoked", answer(http.StatusOK, `{"ok":false,"error":"token_revoked"}`), "down", 0},
		{"not in the channel", answer(http.StatusOK, `{"ok":false,"error":"not_in_channel"}`), "down", 0},
		{"message it cannot show", answer(http.StatusOK, `{"ok":false,"error":"invalid_blocks"}`), "refused", 0},
		{"not JSON", answer(http.StatusOK, "hello"), "down", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newSlack(t, tt.give)
			err := s.Send(t.Context(), notify.Render(hostile(), at, ""), s.Recipients())["#minis"]
			if got := fate(err); got != tt.want {
				t.Errorf("%s, want %s: %v", got, tt.want, err)
			}
			if f, ok := errors.AsType[*notify.Failure](err); ok && f.After != tt.after {
				t.Errorf("after %v, want %v", f.After, tt.after)
			}
			if err != nil && strings.Contains(err.Error(), "xoxb") {
				t.Errorf("the token shows: %v", err)
			}
		})
	}
}

func TestNewSlackRefuses(t *testing.T) {
	if _, err := notify.NewSlack(notify.SlackOptions{Channel: "#minis"}); err == nil {
		t.Error("no error without a token")
	}
}
