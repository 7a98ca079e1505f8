#!/usr/bin/env bash
# Measures what the design makes promises about. Where there is a peer, both
# run in turn in one benchmark, and the ratio is what counts: machines are noisy.
# An argument is a pattern of benchmarks; all run without one.
set -euo pipefail
pattern=${1:-.}
packages=$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -n1 dirname | sort -u)
# shellcheck disable=SC2086 # one word for each package
go test -run='^$' -bench="$pattern" -benchmem -count=3 $packages
