package poll

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// Bounds of sockets that wait to be used again. One of gosnmp's holds 64 KiB.
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
	link  link
	since time.Time
}

// take returns a socket for key, or nil.
func (i *idle) take(key string) link {
	i.mu.Lock()
	defer i.mu.Unlock()
	for at, k := range slices.Backward(i.kept) {
		if k.key == key && time.Since(k.since) < maxIdleAge {
			i.kept = append(i.kept[:at], i.kept[at+1:]...)
			return k.link
		}
	}
	return nil
}

// put keeps l, and closes those that are too old or too many.
func (i *idle) put(key string, l link) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.kept = append(i.kept, kept{key, l, time.Now()})
	for len(i.kept) > maxIdle || time.Since(i.kept[0].since) > maxIdleAge {
		_ = i.kept[0].link.Close() // nothing is lost with a datagram socket
		i.kept = i.kept[1:]
	}
}

func (i *idle) close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	var errs []error
	for _, k := range i.kept {
		errs = append(errs, k.link.Close())
	}
	i.kept = nil
	return errors.Join(errs...)
}
