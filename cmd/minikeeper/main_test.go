package main

import (
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"minikeeper": main})
}

// TestScripts runs the real binary as testdata/script says. UPDATE=1 rewrites
// what the scripts compare with.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       os.Getenv("UPDATE") == "1",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PORT", freePort(t))
			env.Values[daemonsKey{}] = make(daemons)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":   cmdExits,
			"daemon":  cmdDaemon,
			"signal":  cmdSignal,
			"stop":    cmdStop,
			"fetch":   cmdFetch,
			"await":   cmdAwait,
			"mailbox": cmdMailbox,
			"sql":     cmdSQL,
		},
	})
}

// freePort is a TCP port of the loopback interface that nobody listens on.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
