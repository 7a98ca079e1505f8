package notify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/slack-go/slack"
)

// SlackOptions describe a Slack channel.
type SlackOptions struct {
	Token   string // of a bot with chat:write
	Channel string // such as "#minis", or a channel's id
	APIURL  string // "" is Slack's own; it ends with "/"
}

// Slack posts messages to one channel.
type Slack struct {
	client  *slack.Client
	channel string
}

var _ Channel = (*Slack)(nil)

// NewSlack returns a Channel that posts to Slack.
func NewSlack(o SlackOptions) (*Slack, error) {
	if o.Token == "" || o.Channel == "" {
		return nil, errors.New("slack needs a token and a channel")
	}
	options := []slack.Option{slack.OptionHTTPClient(&http.Client{Timeout: 30 * time.Second})}
	if o.APIURL != "" {
		options = append(options, slack.OptionAPIURL(o.APIURL))
	}
	return &Slack{client: slack.New(o.Token, options...), channel: o.Channel}, nil
}

// Recipients implements Channel.
func (s *Slack) Recipients() []string { return []string{s.channel} }

// Send implements Channel.
func (s *Slack) Send(ctx context.Context, m Message, to []string) map[string]error {
	_, _, err := s.client.PostMessageContext(ctx, s.channel,
		slack.MsgOptionText(mrkdwn(m.Subject), false), // what the notification on a telephone shows
		slack.MsgOptionBlocks(m.Blocks...),
		slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl(),
	)
	return all(to, slackFailure(err))
}

// slackFailure tells what is wrong with the message from what is wrong with
// the channel: a token can be renewed and a bot invited, so only the former is
// for good.
func slackFailure(err error) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("post to Slack: %w", err)
	if limited, ok := errors.AsType[*slack.RateLimitedError](err); ok {
		return &Failure{Err: wrapped, Channel: true, After: limited.RetryAfter}
	}
	refused, ok := errors.AsType[slack.SlackErrorResponse](err)
	permanent := ok && slices.Contains([]string{"msg_too_long", "invalid_blocks", "invalid_blocks_format", "no_text"}, refused.Err)
	return &Failure{Err: wrapped, Permanent: permanent, Channel: !permanent}
}
