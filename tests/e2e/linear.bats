# SPDX-License-Identifier: Apache-2.0
# Promise: a key that many read and write is one register: what they see of it, each could have seen if
# one did all of it.
# PROLLYFS_TEST_ROUNDS: how many histories (default 1, or 20 in the long suite).
load common

@test "the checker tells histories that are linearizable from those that are not" {
	python3 "$BATS_TEST_DIRNAME/registers_test.py"
}

@test "histories of eight clients beside merges, resets, restores, loads and collections" {
	need_fuse
	local seed rounds=${PROLLYFS_LONG:+20}
	for seed in $(seq "${PROLLYFS_TEST_ROUNDS:-${rounds:-1}}"); do
		mkdir "$T/mnt$seed"
		mount_store "$T/store$seed" "$T/mnt$seed"
		python3 "$BATS_TEST_DIRNAME/linear.py" "$T/mnt$seed" "$seed" 8 15
		unmount "$T/mnt$seed"
	done
}
