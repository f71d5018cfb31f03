# SPDX-License-Identifier: Apache-2.0
# Promise: what people do with git's history they can do here, and it comes out as with git.
# PROLLYFS_TEST_ROUNDS: how many histories (default 1); PROLLYFS_TEST_STEPS: how long each is.
load common

@test "random histories, step by step beside git with a file for each key" {
	need_fuse
	local seed
	for seed in $(seq "${PROLLYFS_TEST_ROUNDS:-1}"); do
		mkdir "$T/mnt$seed"
		mount_store "$T/store$seed" "$T/mnt$seed"
		python3 "$BATS_TEST_DIRNAME/twin.py" "$T/mnt$seed" "$T/store$seed/git" "$T/twin$seed" \
			"$CTL" "$seed" "${PROLLYFS_TEST_STEPS:-50}"
		git --git-dir "$T/store$seed/git" fsck --strict
		unmount "$T/mnt$seed"
	done
}
