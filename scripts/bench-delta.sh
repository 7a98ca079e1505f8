#!/usr/bin/env bash
# Measures looking at, reading and hashing a tree beside rsync, one after the other
# in each round, and prints the medians. Both trees are warm in the page cache.
#
#   scripts/bench-delta.sh [ROUNDS [FILES [MEGABYTES]]]     (5, 100000, 4096)
#
# BENCH_DIR keeps the trees for the next time; without it they are removed.
set -euo pipefail
rounds=${1:-5} files=${2:-100000} megabytes=${3:-4096}
command -v rsync >/dev/null || { echo "bench-delta: rsync is not installed" >&2; exit 1; }
dir=${BENCH_DIR:-$(mktemp -d)}
[ -n "${BENCH_DIR:-}" ] || trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/logs" && rm -f "$dir"/logs/*
CGO_ENABLED=0 go build -trimpath -o "$dir/minikeeper" ./cmd/minikeeper

small() { # files of 2 to 16 kB, 200 in a folder
	mkdir -p "$1" && head -c 16000 /dev/urandom >"$dir/seed"
	awk -v n="$files" -v root="$1" 'BEGIN { srand(1); for (i = 0; i < n; i++) printf "%s/d%03d/e%05d file-%06d %d\n", root, int(i/4000), int(i/200), i, 2000 + int(rand() * 14000) }' |
		while read -r folder name size; do
			[ -d "$folder" ] || mkdir -p "$folder"
			{ echo "$name"; head -c "$size" "$dir/seed"; } >"$folder/$name"
		done
}
large() {
	mkdir -p "$1"
	for i in 1 2 3 4; do head -c "$((megabytes / 4))M" /dev/urandom >"$1/image$i.dmg"; done
}
for tree in small large; do
	[ -d "$dir/$tree" ] || $tree "$dir/$tree"
	[ -d "$dir/$tree.replica" ] || cp -a "$dir/$tree" "$dir/$tree.replica"
done

# run CASE PROGRAM COMMAND...: notes how long the command took, in microseconds.
run() {
	local log="$dir/logs/$1.$2" begin
	shift 2
	begin=$(date +%s%N)
	"$@" >/dev/null
	echo $((($(date +%s%N) - begin) / 1000)) >>"$log"
}
mk() { "$dir/minikeeper" manifest "$1" --state "$2" "$3"; }
fresh() { rm -rf "$dir/fresh" && mk build "$dir/fresh" "$1"; }

for tree in small large; do # warm up, and make the records
	mk build "$dir/state" "$dir/$tree.replica" >/dev/null
	rsync -anc "$dir/$tree/" "$dir/$tree.replica/"
done
for ((round = 0; round < rounds; round++)); do
	for tree in small large; do
		from="$dir/$tree/" to="$dir/$tree.replica"
		run "$tree-look" rsync rsync -an "$from" "$to/"
		run "$tree-look" ours mk build "$dir/state" "$to"
		run "$tree-look" floor find "$to" -size 0
		run "$tree-scrub" rsync rsync -anc "$from" "$to/"
		run "$tree-scrub" ours mk verify "$dir/state" "$to"
		run "$tree-scrub" floor sh -c 'find "$1" -type f -print0 | xargs -0 -n 500 -P 2 cat' sh "$to"
		run "$tree-hash" rsync rsync -anc "$from" "$to/"
		run "$tree-hash" ours fresh "$to"
		run "$tree-md5" rsync rsync -anc --checksum-choice=md5 "$from" "$to/"
		run "$tree-md5" ours fresh "$to"
	done
done

median() { if [ -f "$1" ]; then sort -n "$1" | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; else echo 0; fi; }
printf '%-34s %10s %10s %7s %10s\n' "case ($rounds rounds, medians, s)" rsync ours ratio floor
for tree in small large; do
	for case in "look:nothing changed" "scrub:scrub (XXH3)" "hash:all hashed (SHA-256)" "md5:all hashed, against md5"; do
		name="$tree-${case%%:*}"
		awk -v what="$tree: ${case#*:}" -v r="$(median "$dir/logs/$name.rsync")" -v o="$(median "$dir/logs/$name.ours")" -v f="$(median "$dir/logs/$name.floor")" \
			'BEGIN { printf "%-34s %10.3f %10.3f %6.1fx %10s\n", what, r / 1e6, o / 1e6, r / o, f ? sprintf("%.3f", f / 1e6) : "-" }'
	done
done
