package collectors

import (
	"math"
	"strings"
	"testing"
)

func checkFilesystems(t *testing.T, found []filesystem) {
	t.Helper()
	for _, fs := range found {
		samples := fs.samples()
		checkSamples(t, disk{}, samples)
		for _, s := range samples {
			if s.Value < 0 || math.IsNaN(s.Value) {
				t.Error(s)
			}
		}
	}
}

func FuzzMountinfo(f *testing.F) {
	f.Add("36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n")
	f.Add("1 1 8:1 / / rw - ext4 /dev/sda1 ro\n2 1 8:1 /a /b\\1 rw - ext4 /dev/sda1 rw\n")
	f.Fuzz(func(t *testing.T, text string) {
		mounts, _ := parseMountinfo(text)
		chosen := storage(mounts)
		devices, places := make(map[string]bool), make(map[string]bool)
		for _, m := range chosen {
			if devices[m.device] || places[m.mountpoint] || !strings.HasPrefix(m.mountpoint, "/") {
				t.Errorf("%+v among %+v", m, chosen)
			}
			devices[m.device], places[m.mountpoint] = true, true
		}
	})
}

func FuzzBSDMount(f *testing.F) {
	f.Add("/dev/disk2 on /Volumes/Shared Items (hfs, local, read-only)\nmap auto_home on /home (autofs)\n")
	f.Fuzz(func(t *testing.T, text string) {
		mounts, _ := parseBSDMount(text)
		for _, m := range mounts {
			if !strings.HasPrefix(m.mountpoint, "/") {
				t.Errorf("%+v", m)
			}
		}
	})
}

func FuzzDF(f *testing.F) {
	f.Add("Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/disk2 97 87 -10 90% /\nmap auto_home 0 0 0 100% /home\n")
	f.Fuzz(func(t *testing.T, text string) {
		found, err := parseDF(text, map[string]mount{"/": {mountpoint: "/"}})
		checkFilesystems(t, found)
		if (len(found) == 0) == (err == nil) {
			t.Errorf("%d found, error %v", len(found), err)
		}
	})
}

func FuzzAPFSList(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0"?><plist version="1.0"><dict><key>Containers</key><array><dict><key>ContainerReference</key><string>disk3</string><key>CapacityFree</key><integer>7</integer><key>Volumes</key><array><dict><key>Name</key><string>Data</string></dict></array></dict></array></dict></plist>`))
	f.Add([]byte(`<?xml?><plist><dict><key>Containers</key><string>x</string></dict></plist>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, _ := parseAPFSList(data)
		checkFilesystems(t, found)
	})
}

// The error names what is not understood and does not repeat it all.
func TestErrorsAreShort(t *testing.T) {
	long := strings.Repeat("nonsense ", 1000) + "\n"
	for _, err := range []error{
		second(parseMountinfo(long)), second(parseBSDMount(long)), second(parseAppleRAID(long)), second(parseAPFSList([]byte(long))),
	} {
		if err == nil || len(err.Error()) > 2*firstLineLimit {
			t.Errorf("%v", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
