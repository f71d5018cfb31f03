# SPDX-License-Identifier: Apache-2.0
# Promise: many may write at once: each command is done whole or refused with a reason, none is lost.
# PROLLYFS_TEST_ROUNDS: how many seeds (default 1).
load common

@test "commits, merges, amends and names of six processes, by command and control file" {
	mount_store
	local seed
	for seed in $(seq "${PROLLYFS_TEST_ROUNDS:-1}"); do
		[ "$seed" = 1 ] || { unmount && STORE=$T/store$seed && mount_store; }
		python3 "$BATS_TEST_DIRNAME/writers.py" "$MNT" "$STORE/git" "$CTL" "$seed" 6 4
	done
}

@test "a reference that git moves meanwhile: the command is refused, or follows; nothing is lost" {
	mount_namespace
	echo 1 >"$NS/a"
	commit_all main one
	echo 2 >"$NS/a"
	commit_all main two
	mkdir "$MNT/side"
	# a lock that git holds
	touch "$STORE/git/refs/heads/side.lock"
	echo 3 >"$MNT/side/ns/a"
	run ctl "$MNT/side" commit -m three
	status_is 2
	output_has "side"
	is "$(ctl "$MNT/side" --json status | json '[.changes[].key]')" '["a"]'
	rm "$STORE/git/refs/heads/side.lock"
	commit_all side three
	# git puts the branch elsewhere under a staged change
	echo 4 >"$MNT/side/ns/b"
	three=$(head_of side)
	store_git update-ref refs/heads/side "$(head_of main~1)"
	run ctl "$MNT/side" commit -m four
	if [ "$status" -eq 0 ]; then
		is "$(store_git rev-parse side~1)" "$(head_of main~1)"
	else
		status_is 2
	fi
	file_is "$MNT/side/ns/b" 4
	is "$(store_git cat-file -t "$three")" commit
	store_git fsck --strict
}

@test "mkdir, rename and rmdir of one branch by many: one of each succeeds" {
	mount_namespace
	local n round wins
	for round in 1 2 3 4 5; do
		for n in 1 2 3 4 5 6; do
			(mkdir "$MNT/new$round" 2>/dev/null && echo made >>"$T/won$round") 3>&- &
		done
		wait $(jobs -p | grep -vx "$DAEMON") || true # all but one fail
		for n in 1 2 3 4 5 6; do
			(mv -T "$MNT/new$round" "$MNT/taken$round-$n" 2>/dev/null && echo taken >>"$T/won$round") 3>&- &
		done
		wait $(jobs -p | grep -vx "$DAEMON") || true
		wins=$(sort "$T/won$round" | uniq -c | tr -s ' \n' ' ')
		is "$wins" " 1 made 1 taken "
	done
	is "$(ls "$MNT" | wc -l)" 6
}
