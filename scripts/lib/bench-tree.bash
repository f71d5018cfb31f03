# SPDX-License-Identifier: Apache-2.0
# scripts/bench tree: the engine alone, on one core. Sourced by scripts/bench, which has $programs,
# $scratch, $rounds and $large.
#
# Beside it, on the same core and in the same rounds: RocksDB, and the rivals that are in the folder
# $PEERS. Such a program is called as `PROGRAM --n N --dir DIR --cap SECONDS` and prints figures as
# bench-tree does, one object a line. At ten million entries we are alone: that is for what the size
# costs, and rivals take an hour.

TREE_SIZES=(10000 100000 1000000)
TREE_LARGE=10000000
TREE_CAP=5 # seconds after which one workload ends

# Names in $PEERS; bench-rocksdb is measured anyway.
find_rivals()
{
	local file

	for file in "${PEERS:-/nonexistent}"/bench-* "${PEERS:-/nonexistent}"/floor-*; do
		[ -f "$file" ] && [ -x "$file" ] && [ "${file##*/}" != floor-rocksdb ] || continue
		printf '%s\n' "${file##*/}"
	done
}

# run_rival NAME N: one that fails is left out, not the figures of the others.
run_rival()
{
	mkdir "$scratch/rival"
	"${pin[@]}" "$PEERS/$1" --n "$2" --dir "$scratch/rival" --cap "$TREE_CAP" \
		>"$scratch/rival-figures" || {
		say "$1 failed at $2 entries"
		: >"$scratch/rival-figures"
	}
	grep '^{' "$scratch/rival-figures" >>"$scratch/figures" || true
	rm -rf --one-file-system "$scratch/rival"
}

# run_round N RIVAL...
run_round()
{
	local n=$1 program

	shift
	"${pin[@]}" "$programs/bench-tree" --n "$n" --dir "$scratch" --cap "$TREE_CAP" --tsv \
		>>"$scratch/figures"
	for program in bench-rocksdb bench-commit; do
		"${pin[@]}" "$programs/$program" --n "$n" --dir "$scratch" --tsv >>"$scratch/figures"
	done
	[ "$n" -lt "$TREE_LARGE" ] || return 0
	for program; do
		run_rival "$program" "$n"
	done
}

bench_tree()
{
	local sizes=("${TREE_SIZES[@]}") pin=() rivals=() n round

	! $large || sizes+=("$TREE_LARGE")
	! command -v taskset >/dev/null || pin=(taskset -c "$(($(nproc) - 1))")
	mapfile -t rivals < <(find_rivals)
	if [ "${#rivals[@]}" -gt 0 ]; then
		say "beside RocksDB and, from $PEERS, ${rivals[*]}"
	else
		say "beside RocksDB only: no rival (bench-*, floor-*) in PEERS=${PEERS:-}"
	fi
	for n in "${sizes[@]}"; do
		for ((round = 1; round <= rounds; round++)); do
			say "trees of $n entries, round $round of $rounds"
			run_round "$n" "${rivals[@]}"
		done
	done
}
