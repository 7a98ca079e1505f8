package postfix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// maxQueueName bounds what may become the value of a label.
const maxQueueName = 32

// ParseQueueJSON reads what "postqueue -j" printed (Postfix 3.1 and later):
// one object a line and no array, nothing for an empty queue. forced_expire
// came with 3.5, delay_reason may be missing or null, strings may hold invalid
// UTF-8. The messages that could be read are returned beside the error.
func ParseQueueJSON(printed []byte) ([]Message, error) {
	var l listing
	number := 0
	for line := range bytes.Lines(printed) {
		number++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		m, err := parseMessage(line)
		if m.ID != "" {
			l.add(m)
		}
		if err == nil {
			continue
		}
		if !bytes.HasSuffix(line, []byte("\n")) {
			err = fmt.Errorf("the listing ends in the middle: %w", err)
		}
		l.problem(fmt.Errorf("line %d: %w", number, err))
	}
	return l.messages, l.err()
}

// parseMessage reads one line of postqueue -j. A message whose recipients
// cannot be read is returned beside the error; any other error comes alone.
func parseMessage(line []byte) (Message, error) {
	var raw struct {
		Queue   string `json:"queue_name"`
		ID      string `json:"queue_id"`
		Arrival *int64 `json:"arrival_time"` // seconds since 1970
		Size    *int64 `json:"message_size"` // bytes

		Recipients json.RawMessage `json:"recipients"`
	}
	if err := json.Unmarshal(line, &raw); err != nil {
		return Message{}, err
	}
	switch {
	case raw.ID == "":
		return Message{}, errors.New("no queue_id")
	case !validQueueName(raw.Queue):
		return Message{}, fmt.Errorf("message %q: queue_name %.40q is none", raw.ID, raw.Queue)
	case raw.Arrival == nil || *raw.Arrival < 0:
		return Message{}, fmt.Errorf("message %q: no arrival_time", raw.ID)
	case raw.Size == nil || *raw.Size < 0:
		return Message{}, fmt.Errorf("message %q: no message_size", raw.ID)
	}
	m := Message{ID: raw.ID, Queue: raw.Queue, Arrival: time.Unix(*raw.Arrival, 0), Size: *raw.Size}
	return m, m.readRecipients(raw.Recipients)
}

// readRecipients keeps what delays the recipients of m.
func (m *Message) readRecipients(list json.RawMessage) error {
	if len(list) == 0 {
		return nil
	}
	var recipients []struct {
		Reason string `json:"delay_reason"` // missing or null where nothing delays it
	}
	if err := json.Unmarshal(list, &recipients); err != nil {
		return fmt.Errorf("message %q: its recipients are no list of such", m.ID)
	}
	for _, r := range recipients {
		if r.Reason != "" {
			m.delayed(r.Reason)
		}
	}
	return nil
}

// validQueueName tells whether s looks like the name of a queue, known or new.
func validQueueName(s string) bool {
	if s == "" || len(s) > maxQueueName {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
