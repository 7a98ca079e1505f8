package collectors

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/minikeeper/minikeeper/internal/command"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// A Mac's programs, as scripts on the PATH that answer one command line each
// and refuse all others. Between them and the collectors is the real runner.
func TestSimulatedMac(t *testing.T) {
	testkit.Peers(t, "sh")
	bin := t.TempDir()
	for name, script := range map[string]string{
		"AssetCacheManagerUtil": `[ "$*" = "status -j" ] || exit 64
echo "2026-11-20 08:00:00.000 AssetCacheManagerUtil[100:2000] Fetching status" >&2
echo '{"name":"status","result":{"Activated":true,"Active":true,"CacheFree":-5,"TotalBytesReturnedToClients":7}}'`,
		"smartctl": `case "$*" in
"--scan -j") echo '{"smartctl":{"exit_status":0},"devices":[{"name":"disk0","type":"nvme"},{"name":"disk4","type":"sat"}]}' ;;
"-j -x -n standby disk0") echo '{"smartctl":{"exit_status":4},"device":{"name":"disk0"},"smart_status":{"passed":true}}'; exit 4 ;;
"-j -x -n standby -d sat disk4") echo '{"smartctl":{"exit_status":2,"messages":[{"string":"Device is in STANDBY mode, exit(2)"}]}}'; exit 2 ;;
*) exit 1 ;;
esac`,
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	deps := Deps{Run: command.NewLocal(bin), GOOS: "darwin", Root: t.TempDir()}
	for _, name := range []string{"caching", "smart"} {
		c, err := Builtin()[name](deps)
		if err != nil {
			t.Fatal(err)
		}
		testkit.Golden(t, filepath.Join("testdata", name, "simulated-mac.golden"), collected(t, c, deps.Root))
	}
}
