package poll

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/gosnmp/gosnmp"
)

// Bounds of sockets that wait to be used again. Each holds 64 KiB.
const (
	maxIdle    = 64
	maxIdleAge = 3 * time.Minute
)

// idle holds sockets between scrapes, so that version 3 need not discover its
// engine and stretch its passwords each time.
type idle struct {
	mu   sync.Mutex
	kept []kept // oldest first
}

type kept struct {
	key   string
	g     *gosnmp.GoSNMP
	since time.Time
}

// take returns a socket for key, or nil.
func (i *idle) take(key string) *gosnmp.GoSNMP {
	i.mu.Lock()
	defer i.mu.Unlock()
	for at, k := range slices.Backward(i.kept) {
		if k.key == key && time.Since(k.since) < maxIdleAge {
			i.kept = append(i.kept[:at], i.kept[at+1:]...)
			return k.g
		}
	}
	return nil
}

// put keeps g, and closes those that are too old or too many.
func (i *idle) put(key string, g *gosnmp.GoSNMP) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.kept = append(i.kept, kept{key, g, time.Now()})
	for len(i.kept) > maxIdle || time.Since(i.kept[0].since) > maxIdleAge {
		_ = i.kept[0].g.Close() // nothing is lost with a datagram socket
		i.kept = i.kept[1:]
	}
}

func (i *idle) close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	var errs []error
	for _, k := range i.kept {
		errs = append(errs, k.g.Close())
	}
	i.kept = nil
	return errors.Join(errs...)
}
