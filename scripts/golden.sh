#!/usr/bin/env bash
# Rewrites the golden files of every package whose tests have some.
set -euo pipefail
grep -rl --include='*_test.go' 'testkit\.Golden' . | xargs -n1 dirname | sort -u | while read -r package; do
	go test "$package" -update
done
