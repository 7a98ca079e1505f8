package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// A Secret is a password or token. It never prints: whatever shows it to
// people, logs or files writes [hidden] instead.
type Secret struct {
	File  string // where it is read from each time it is used, so that it can be changed; or empty
	Value string // what an environment variable held; or empty
}

// hidden is what is shown of a secret.
const hidden = "<secret>"

// maxSecret is more than any password or token has.
const maxSecret = 64 << 10

// IsZero tells whether there is no secret.
func (s Secret) IsZero() bool { return s == Secret{} }

// Read returns the secret, without the line end that editors leave behind.
func (s Secret) Read() (string, error) {
	if s.File == "" {
		return s.Value, nil
	}
	info, err := os.Stat(s.File)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecret {
		return "", fmt.Errorf("read secret %s: it is no file of less than %d KiB", s.File, maxSecret>>10)
	}
	b, err := os.ReadFile(s.File)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	value := strings.TrimRight(string(b), "\r\n")
	if value == "" {
		return "", fmt.Errorf("read secret %s: %w", s.File, errors.New("it is empty"))
	}
	return value, nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Secret) UnmarshalText(text []byte) error {
	s.Value = string(text)
	return nil
}

// Wants says what a secret looks like in the file.
func (Secret) Wants() string { return "an environment variable such as ${MAIL_PASSWORD}" }

// String implements [fmt.Stringer].
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return hidden
}

// GoString implements [fmt.GoStringer].
func (s Secret) GoString() string { return s.String() }

// Format implements [fmt.Formatter], so that no verb shows more.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText implements [encoding.TextMarshaler].
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
