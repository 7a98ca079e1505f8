package collectors

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// noCoreStorage is what diskutil prints on a Mac that has none.
const noCoreStorage = `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict/></plist>`

// Every recorded file of CoreStorage is read to what its golden file says: a
// list on a Mac that answers for each UUID in it with the recorded volume.
func TestCoreStorageRecorded(t *testing.T) {
	recorded := func(name string) []byte {
		data, err := os.ReadFile(testkit.Samples(t, "raid-macos/"+name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	volume := recorded("cs-info-lv.plist")
	for _, name := range []string{"cs-list-empty.plist", "cs-list-enabled.plist"} {
		list := recorded(name)
		run := tools{"diskutil apfs list -plist": {Exit: 1, Stderr: []byte("did not recognize verb")}, "mount": {}, "diskutil cs list -plist": {Stdout: list}}
		found, err := parseCoreStorageList(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range found {
			answer := volume
			if c.group { // no group was recorded
				answer = []byte(strings.Replace(noCoreStorage, "<dict/>", "<dict><key>CoreStorageLogicalVolumeGroupStatus</key><string>Online</string></dict>", 1))
			}
			run["diskutil cs info -plist "+c.uuid] = minikeeper.Result{Stdout: answer}
		}
		c, err := newDisk(Deps{GOOS: "darwin", Run: run})
		if err != nil {
			t.Fatal(err)
		}
		testkit.Golden(t, filepath.Join("testdata", "disk", "recorded", name+".golden"), collected(t, c, ""))
	}
}

func TestCoreStorageIsBounded(t *testing.T) {
	entry := `<dict><key>CoreStorageUUID</key><string>5A000000-0000-4000-8000-%012d</string></dict>`
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, entry, i)
	}
	list := strings.Replace(noCoreStorage, "<dict/>", "<dict><key>CoreStorageLogicalVolumeGroups</key><array>"+b.String()+"</array></dict>", 1)
	found, err := parseCoreStorageList([]byte(list))
	if len(found) != coreStorageLimit || err == nil || !strings.Contains(err.Error(), "more than 64") {
		t.Errorf("%d found, %v", len(found), err)
	}
	found, err = parseCoreStorageList([]byte(strings.ReplaceAll(list, "5A000000-", "5A000000_")))
	if len(found) != 0 || err == nil || strings.Count(err.Error(), "\n") >= coreStorageLimit {
		t.Errorf("%d found, %v", len(found), err)
	}
}

func FuzzCoreStorage(f *testing.F) {
	f.Add([]byte(noCoreStorage))
	f.Add([]byte(`<?xml?><plist><dict><key>CoreStorageLogicalVolumeGroups</key><array><dict><key>CoreStorageUUID</key><string>5A000000-0000-4000-8000-000000000001</string></dict></array></dict></plist>`))
	f.Add([]byte(`<?xml?><plist><dict><key>CoreStorageLogicalVolumeStatus</key><string>Online</string><key>CoreStorageLogicalVolumeConversionState</key><string>Pausing</string></dict></plist>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, _ := parseCoreStorageList(data)
		if len(found) > coreStorageLimit {
			t.Errorf("%d volumes and groups", len(found))
		}
		found = append(found, coreStorage{uuid: "group", group: true}, coreStorage{uuid: "volume"})
		for i := range found {
			_ = found[i].parseInfo(data) // whatever it says, the samples must be whole
		}
		samples := coreStorageSamples(found)
		checkSamples(t, disk{}, samples)
		ones := make(map[string]float64)
		for _, s := range samples {
			ones[s.Name+" "+s.Labels[0].Value] += s.Value
		}
		for series, n := range ones {
			if n != 1 {
				t.Errorf("%s is in %v states", series, n)
			}
		}
	})
}
