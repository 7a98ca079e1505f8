//go:build !linux

package collectors

import (
	"errors"
	"fmt"
)

// statfs is how Linux is asked. Elsewhere programs are.
func statfs(path string) (usage, error) {
	return usage{}, fmt.Errorf("statfs %s: %w", path, errors.ErrUnsupported)
}
