// Package propertylist decodes property lists that somebody else may have
// written: bounded, and whatever is wrong with one is an error. It opens no
// files and knows no keys.
package propertylist

import (
	"errors"
	"fmt"

	"howett.net/plist"
)

// Dict decodes the dictionary in a property list file of at most limit bytes,
// XML or binary. The decoder panics on some damaged input, which is an error
// like any other.
func Dict(data []byte, limit int) (dict map[string]any, err error) {
	defer func() {
		if recover() != nil {
			dict, err = nil, errors.New("read property list: damaged")
		}
	}()
	if len(data) > limit {
		return nil, fmt.Errorf("read property list: more than %d KiB", limit>>10)
	}
	format, err := plist.Unmarshal(data, &dict)
	switch {
	case err != nil:
		return nil, errors.New("read property list: damaged")
	case format != plist.XMLFormat && format != plist.BinaryFormat:
		return nil, errors.New("read property list: neither XML nor binary")
	case dict == nil:
		return nil, errors.New("read property list: no dictionary")
	}
	return dict, nil
}
