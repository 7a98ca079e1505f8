package nbi

import (
	"slices"
	"testing"

	"howett.net/plist"
)

// FuzzPlist holds what must be true of any plist: reading it ends, an image
// has only known problems, and an index that can be set reads back.
func FuzzPlist(f *testing.F) {
	for _, dict := range []map[string]any{
		good(),
		with(map[string]any{"Index": nil, "Architectures": nil}),
		with(map[string]any{"EnabledMACAddresses": []string{"0:1:2:3:4:5"}, "RootPath": "http://a:b@c/d"}),
		with(map[string]any{"Sub": map[string]any{"Index": 3}, "Type": "Classic", "SharedImage": "x"}),
	} {
		f.Add(encode(f, dict, plist.XMLFormat))
		f.Add(encode(f, dict, plist.BinaryFormat))
	}
	f.Add([]byte("bplist00" + "\xd0\x08" + "\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09"))
	f.Fuzz(func(t *testing.T, data []byte) {
		i := parse(data, func(string) (bool, error) { return true, nil })
		for _, p := range i.Problems {
			if !slices.Contains(Problems(), p) {
				t.Errorf("problem %q", p)
			}
		}
		if i.Index < 0 || i.Index > MaxIndex || !i.Readable && i.Offered() {
			t.Errorf("%+v", i)
		}
		changed, _, err := replaceIndex(data, 5000)
		if err != nil {
			return
		}
		if again := parse(changed, func(string) (bool, error) { return true, nil }); again.Index != 5000 || again.Name != i.Name {
			t.Errorf("after the change: %+v, before: %+v", again, i)
		}
	})
}
