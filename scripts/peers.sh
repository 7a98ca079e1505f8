#!/usr/bin/env bash
# Makes the programs ready that the tests talk to. snmp_exporter is built into
# bin/peers. The others are Debian packages and are installed where this machine
# lets us: as root, with apt. Elsewhere it says which are missing; the tests
# that need them are skipped, each with its reason.
set -euo pipefail
cd "$(dirname "$0")/.."

go build -modfile=tools/peers/go.mod -o bin/peers/snmp_exporter github.com/prometheus/snmp_exporter ||
	echo "snmp_exporter cannot be built; the tests that compare with it are skipped"

# package: a program it brings
peers=(
	postfix:postqueue
	prometheus:promtool
	btrfs-progs:mkfs.btrfs
	util-linux:losetup
	rsync:rsync
	smartmontools:smartctl
	snmp:snmpget
	snmpd:snmpd
	e2fsprogs:mkfs.ext4
	systemd:systemd-analyze
)

missing=()
for peer in "${peers[@]}"; do
	PATH="$PATH:/usr/sbin:/sbin" command -v "${peer#*:}" >/dev/null || missing+=("${peer%%:*}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	echo "not installed, and only root with apt can: ${missing[*]}; the tests that need them are skipped"
	exit 0
fi

echo "installing for the tests: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
debconf-set-selections <<-SELECTIONS
	postfix postfix/main_mailer_type select Local only
	postfix postfix/mailname string localhost
SELECTIONS
# Packages must not start their services here: a test starts what it talks to.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	trap 'rm -f $policy' EXIT
fi
{
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends "${missing[@]}"
} >/tmp/minikeeper-peers.log 2>&1 || {
	tail -n 20 /tmp/minikeeper-peers.log
	echo "apt could not install: ${missing[*]}; the tests that need them are skipped"
}
