// Package demo makes a small site out of folders on one machine: two servers
// with a share, NetBoot images, a mirror and a mail relay each, the origin
// that they copy from, a mailbox that takes mail, and the faults that can be
// done to them. The servers' keepers and the hub are started by the caller,
// from the configuration files that are written here.
//
// Nothing outside of the given folder is touched, and nothing listens on
// anything but the loopback interface.
package demo

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"text/template"
	"time"

	"github.com/minikeeper/minikeeper"
)

//go:embed files
var files embed.FS

// A World is the site.
type World struct {
	Dir     string
	Origin  string // the share that the servers copy
	Servers []*Server
	Mailbox *Mailbox
}

// A Server is one machine of the site: a folder with everything in it.
type Server struct {
	Name    string
	Dir     string
	Share   string // its copy of the share
	NetBoot string // its folder of NetBoot images
	Relay   Relay
}

// Config is the server's configuration file.
func (s *Server) Config() string { return filepath.Join(s.Dir, "minikeeper.yml") }

// HubConfig is the hub's configuration file.
func (w *World) HubConfig() string { return filepath.Join(w.Dir, "hub", "minikeeper.yml") }

// Create makes the site in dir, which must be empty or not exist. Relays are
// real postfix instances where this machine allows it; without run they are
// simulated.
func Create(ctx context.Context, dir string, run minikeeper.Runner) (*World, error) {
	dir, err := prepare(dir)
	if err != nil {
		return nil, err
	}
	w := &World{Dir: dir, Origin: filepath.Join(dir, "origin", "casper")}
	if err := makeShare(w.Origin); err != nil {
		return nil, err
	}
	if w.Mailbox, err = NewMailbox(ctx, filepath.Join(dir, "mail")); err != nil {
		return nil, err
	}
	for i, name := range []string{"lon-mini-1", "lon-mini-2"} {
		s, err := makeServer(ctx, w, name, 4100+100*i, run)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("make server %s: %w", name, err), w.Close())
		}
		w.Servers = append(w.Servers, s)
	}
	return w, nil
}

// closing bounds how long the relays may take to stop.
const closing = 30 * time.Second

// Close ends what Create started.
func (w *World) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	var errs []error
	for _, s := range w.Servers {
		errs = append(errs, s.Relay.Stop(ctx))
	}
	return errors.Join(append(errs, w.Mailbox.Close())...)
}

// prepare returns the absolute path of an empty folder.
func prepare(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("make demo folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make demo folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("make demo folder: %w", err)
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("make demo folder: %s is not empty; the demo wants a folder of its own", dir)
	}
	// postfix refuses folders below one that only root may pass.
	return dir, os.Chmod(dir, 0o755)
}

func makeServer(ctx context.Context, w *World, name string, index int, run minikeeper.Runner) (*Server, error) {
	s := &Server{Name: name, Dir: filepath.Join(w.Dir, name)}
	s.Share = filepath.Join(s.Dir, "shares", "casper")
	s.NetBoot = filepath.Join(s.Dir, "NetBoot", "NetBootSP0")
	if err := makeShare(s.Share); err != nil {
		return nil, err
	}
	if err := makeImage(s.NetBoot, "Install-"+name, index); err != nil {
		return nil, err
	}
	if err := copyFile("files/diskutil", filepath.Join(s.Dir, "bin", "diskutil"), 0o755); err != nil {
		return nil, err
	}
	if err := setMirror(s, "files/mirror-online.txt"); err != nil {
		return nil, err
	}
	relay, err := newRelay(ctx, s.Dir, run)
	if err != nil {
		return nil, err
	}
	s.Relay = relay
	return s, nil
}

// WriteKeeperConfigs writes the configuration of each keeper, for people to
// read and for the caller to start them from. Keepers choose their own ports.
func (w *World) WriteKeeperConfigs() error {
	for _, s := range w.Servers {
		err := render("files/keeper.yml.tmpl", s.Config(), struct {
			World  *World
			Server *Server
		}{w, s})
		if err != nil {
			return err
		}
	}
	return nil
}

// WriteHubConfig writes the configuration of the hub, which is to listen on
// listen, and of its remedies. keepers says where each server's keeper listens.
func (w *World) WriteHubConfig(listen string, keepers map[string]string, remedies map[string][]byte) error {
	for name, src := range remedies {
		path := filepath.Join(w.Dir, "hub", "remedies", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write remedies: %w", err)
		}
		if err := os.WriteFile(path, Trust(src), 0o644); err != nil {
			return fmt.Errorf("write remedies: %w", err)
		}
	}
	return render("files/hub.yml.tmpl", w.HubConfig(), struct {
		World   *World
		Listen  string
		Keepers map[string]string
	}{w, listen, keepers})
}

// Trust lets the remedies in the file src act by themselves, and shortens their
// waits, so that a demonstration takes seconds.
func Trust(src []byte) []byte {
	for _, change := range []struct{ from, to string }{
		{`(?m)^(\s*mode:) shadow$`, "$1 auto"},
		{`(?m)^(\s*cooldown:) .*$`, "$1 5s"},
		{`(?m)^(\s*attempts:) .*$`, "$1 {max: 100, per: 24h}"},
		{`(?m)^(\s*stable_for:) .*$`, "$1 2s"},
		{`(?m)^(\s*within:) .*$`, "$1 1m"},
		{`(?m)^\s*# shadow only says .*\n\s*# each run.*\n`, ""},
	} {
		src = regexp.MustCompile(change.from).ReplaceAll(src, []byte(change.to))
	}
	return src
}

// render fills the embedded template name into the file at path.
func render(name, path string, data any) error {
	t, err := template.ParseFS(files, name)
	if err != nil {
		return fmt.Errorf("render %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("render %s: %w", path, err)
	}
	out, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("render %s: %w", path, err)
	}
	if err := t.Execute(out, data); err != nil {
		return errors.Join(fmt.Errorf("render %s: %w", path, err), out.Close())
	}
	return out.Close()
}

// copyFile writes the embedded file called name to path.
func copyFile(name, path string, mode os.FileMode) error {
	source, err := files.ReadFile(name)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(path, source, mode); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
