package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/postfix/instance"
)

// A Relay is a server's mail relay.
type Relay interface {
	Kind() string      // what it is, for people
	ConfigDir() string // for postfix -c; empty for the program's own
	Kill(ctx context.Context) error
	Stop(ctx context.Context) error
}

// errAsked is why a relay is simulated that could be real.
var errAsked = errors.New("as asked")

// newRelay starts a private postfix for the server in dir, or, where this
// machine cannot run one or run is nil, makes small programs that behave like
// one.
func newRelay(ctx context.Context, dir string, run minikeeper.Runner) (Relay, error) {
	err := errAsked
	if run != nil {
		var postfix *postfixRelay
		if postfix, err = startPostfix(ctx, dir, run); err == nil {
			return postfix, nil
		}
		if ctx.Err() != nil { // nothing is known of this machine then
			return nil, err
		}
	}
	simulated := &simulatedRelay{up: filepath.Join(dir, "bin", "relay-is-up"), because: err}
	for _, program := range []string{"postfix", "postqueue", "postconf"} {
		if err := copyFile("files/"+program, filepath.Join(dir, "bin", program), 0o755); err != nil {
			return nil, err
		}
	}
	return simulated, os.WriteFile(simulated.up, nil, 0o644)
}

func startPostfix(ctx context.Context, dir string, run minikeeper.Runner) (*postfixRelay, error) {
	i, err := instance.Create(ctx, run, instance.Options{Dir: filepath.Join(dir, "postfix")})
	if err != nil {
		return nil, err
	}
	if err := i.Start(ctx); err != nil {
		if stopping := context.WithoutCancel(ctx); i.Alive(stopping) {
			err = errors.Join(err, i.Stop(stopping))
		}
		return nil, err
	}
	return &postfixRelay{i}, nil
}

// postfixRelay is a real one.
type postfixRelay struct{ i *instance.Instance }

func (*postfixRelay) Kind() string        { return "real postfix" }
func (r *postfixRelay) ConfigDir() string { return r.i.ConfigDir }

func (r *postfixRelay) Kill(ctx context.Context) error {
	if !r.i.Alive(ctx) {
		return nil
	}
	return r.i.Kill()
}

func (r *postfixRelay) Stop(ctx context.Context) error {
	if !r.i.Alive(ctx) {
		return nil
	}
	return r.i.Stop(ctx)
}

// simulatedRelay is up while a file is there.
type simulatedRelay struct {
	up      string
	because error // why it is not a real one
}

func (r *simulatedRelay) Kind() string    { return fmt.Sprintf("simulated: %v", r.because) }
func (*simulatedRelay) ConfigDir() string { return "" }

func (r *simulatedRelay) Kill(context.Context) error {
	if err := os.Remove(r.up); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("kill simulated relay: %w", err)
	}
	return nil
}

func (r *simulatedRelay) Stop(ctx context.Context) error { return r.Kill(ctx) }
