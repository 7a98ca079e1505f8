#!/usr/bin/env bash
# Runs every fuzz target for the given time (default 30s), one after another.
set -euo pipefail
time=${1:-30s}
grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r package; do
	for target in $(grep -h '^func Fuzz' "$package"/*_test.go | sed 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/' | sort -u); do
		echo "== $package $target"
		go test "$package" -run='^$' -fuzz="^$target\$" -fuzztime="$time" -fuzzminimizetime=1x
	done
done
