// Package collectors reads one kind of fact each from the machine that the
// program runs on: disks, mirrors, mail queues, boot images, replicas.
//
// A collector turns what a program printed or a file holds into samples, and
// nothing else: it changes nothing, keeps no schedule, judges nothing, logs
// nothing and does not know how samples are published. What cannot be read is
// left out and named in the error; it is never reported as zero.
package collectors

import (
	"context"
	"path/filepath"

	"github.com/minikeeper/minikeeper"
)

// A Collector reads one kind of fact.
type Collector interface {
	// Families lists every metric that Collect can ever return.
	Families() []minikeeper.Family

	// Collect reads its source once. It may return samples and an error
	// together: what was read before or beside the error is still exported.
	Collect(ctx context.Context) ([]minikeeper.Sample, error)
}

// Deps are the only doors a collector has to the world outside the process.
type Deps struct {
	Run      minikeeper.Runner
	GOOS     string // whose sources are read: "linux" or "darwin"
	Root     string // a folder that stands for "/"; empty for the machine itself
	Settings Settings
}

// path returns where the file that the machine knows as name is to be read.
func (d Deps) path(name string) string {
	if d.Root == "" {
		return name
	}
	return filepath.Join(d.Root, name)
}

// Settings holds the settings of every collector, each declared beside the
// collector that it is for. Zero values are the defaults.
type Settings struct {
	Caching CachingSettings
	DNS     DNSSettings
	Disk    DiskSettings
	Host    HostSettings
	Launchd LaunchdSettings
	NetBoot NetBootSettings
	Postfix PostfixSettings
	RAID    RAIDSettings
	Replica ReplicaSettings
	Smart   SmartSettings
	SyncLog SyncLogSettings
	Updates UpdatesSettings
}

// Builtin returns the constructors of all collectors by the name that they
// have in the configuration. A constructor fails only if its settings make no
// sense; it reads nothing.
func Builtin() map[string]func(Deps) (Collector, error) {
	return map[string]func(Deps) (Collector, error){
		"caching": newCaching,
		"disk":    newDisk,
		"dns":     newDNS,
		"host":    newHost,
		"launchd": newLaunchd,
		"netboot": newNetBoot,
		"postfix": newPostfix,
		"raid":    newRAID,
		"replica": newReplica,
		"smart":   newSmart,
		"synclog": newSyncLog,
		"updates": newUpdates,
	}
}
