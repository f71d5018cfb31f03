# SPDX-License-Identifier: Apache-2.0
# scripts/bench tree: the engine alone, on one core. Sourced by scripts/bench, which has $programs,
# $scratch, $rounds and $large.

TREE_SIZES=(10000 100000 1000000)
TREE_LARGE=10000000
TREE_CAP=5 # seconds after which one workload ends

bench_tree()
{
	local sizes=("${TREE_SIZES[@]}") pin=() n round program

	! $large || sizes+=("$TREE_LARGE")
	! command -v taskset >/dev/null || pin=(taskset -c "$(($(nproc) - 1))")
	for n in "${sizes[@]}"; do
		for ((round = 1; round <= rounds; round++)); do
			say "trees of $n entries, round $round of $rounds"
			"${pin[@]}" "$programs/bench-tree" --n "$n" --dir "$scratch" --cap "$TREE_CAP" \
				--tsv >>"$scratch/figures"
			for program in bench-rocksdb bench-commit; do
				"${pin[@]}" "$programs/$program" --n "$n" --dir "$scratch" --tsv \
					>>"$scratch/figures"
			done
		done
	done
}
