package nbi

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// ErrNoIndex says that all global indexes are taken.
var ErrNoIndex = errors.New("no free NetBoot index from 4096 to 65535")

const globalIndexes = MaxIndex - MinGlobalIndex + 1

// IndexFor returns the global index that content should have: always the same
// number, or the next free one after it where taken has that.
func IndexFor(content string, taken map[int]bool) (int, error) {
	sum := sha256.Sum256([]byte(content))
	return firstFree(MinGlobalIndex+int(binary.BigEndian.Uint64(sum[:8])%globalIndexes), taken)
}

// NextFree returns the first global index after index that taken does not
// have. After the last one it begins again with the first.
func NextFree(index int, taken map[int]bool) (int, error) {
	if index < MinGlobalIndex || index >= MaxIndex {
		index = MinGlobalIndex - 1
	}
	return firstFree(index+1, taken)
}

func firstFree(index int, taken map[int]bool) (int, error) {
	for n := range globalIndexes {
		if candidate := MinGlobalIndex + (index-MinGlobalIndex+n)%globalIndexes; !taken[candidate] {
			return candidate, nil
		}
	}
	return 0, ErrNoIndex
}

// Taken returns the indexes of images, but for those of the image called except.
func Taken(images []Image, except string) map[int]bool {
	taken := make(map[int]bool)
	for _, i := range images {
		if i.Index != 0 && i.NBI != except {
			taken[i.Index] = true
		}
	}
	return taken
}
