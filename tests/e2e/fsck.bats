#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Verifying a store: what is sound, and each damage by its name. Plain files, so that the test can
# damage one of them.

load common

# A store of plain files: 3,000 keys and a large value on main, one more commit on topic, which
# shares most of them, and something large staged.
make_store()
{
	ctl . -q init "file://$STORE"
	entries 1 3000 | ctl "$STORE" -q load ns
	random_bytes 300000 1 | ctl "$STORE" -q put ns/large
	ctl "$STORE" -q commit -m one
	ctl "$STORE" -q branch topic
	ctl "$STORE" -q -b topic put ns/k0000001 changed
	ctl "$STORE" -q -b topic commit -m two
	random_bytes 300000 2 | ctl "$STORE" -q put ns/staged
}

# In a copy of the store.
restore()
{
	rm -rf "$STORE"
	cp -a "$T/whole" "$STORE"
}

@test "fsck: a sound store, mounted or not; text and JSON" {
	make_store
	run ctl "$STORE" fsck
	status_is 0
	is "$output" "nothing is damaged"
	is "$(ctl "$STORE" --json fsck)" ""
	mount_store
	on_main fsck
	run ctl "$MNT/main" -q fsck
	is "$output" ""
}

@test "fsck: each node lost, and each changed, is found and nothing is taken for sound" {
	local empty
	ctl . -q init "file://$T/empty"
	ctl "$T/empty" -q gc # and there is the tree without entries, which is made whenever it is needed
	empty=$(cd "$T/empty" && find nodes -type f)
	make_store
	ctl "$STORE" -q gc --prune=now
	mv "$STORE" "$T/whole"
	local file n=0
	while read -r file; do
		restore
		if [ $((n % 2)) -eq 0 ]; then
			rm "$STORE/$file"
		else
			chmod u+w "$STORE/$file"
			printf X | dd of="$STORE/$file" bs=1 seek=40 conv=notrunc status=none
		fi
		run ctl "$STORE" --json fsck
		[ "$status" -ne 0 ] || fail "$file: not found to be damaged"
		n=$((n + 1))
	done < <(cd "$T/whole" && find nodes -type f | grep -vxF "$empty" | sort | awk 'NR % 3 == 1')
	[ "$n" -ge 8 ] || fail "only $n nodes"
}

@test "fsck: a lost chunk is named by its keys, a lost node by its range, with all branches and commits" {
	make_store
	mv "$STORE" "$T/whole"
	local file hash seen_chunk='' seen_node='' one two
	one=$(git --git-dir="$T/whole/git" rev-parse main)
	two=$(git --git-dir="$T/whole/git" rev-parse topic)
	while read -r file; do
		restore
		rm "$STORE/$file"
		run ctl "$STORE" --json fsck
		[ "$status" -ne 0 ] || continue # the other commit's alone, or garbage
		if [[ $output == *'"main/ns/large"'* && $output == *'"topic/ns/large"'* ]]; then
			is "$status" 1
			[[ $output == *"$one"* && $output == *"$two"* ]] || fail "$output"
			seen_chunk=1
		fi
		if [[ $output == *'"main/ns/k'*'..k'* && $output == *'"topic/ns/k'*'..k'* ]]; then
			is "$status" 1
			hash=$(basename "$(dirname "$file")")$(basename "$file")
			[[ $output == *'"kind":"tree"'* || $output == *'"kind": "tree"'* ]] || fail "$output"
			[[ $output == *"$one"* && $output == *"$two"* ]] || fail "$output"
			seen_node=1
		fi
		[ -z "$seen_chunk" ] || [ -z "$seen_node" ] || break
	done < <(cd "$T/whole" && find nodes -type f | sort)
	is "$seen_chunk$seen_node" 11
}

@test "fsck: a commit that is damaged in the git repository" {
	make_store
	local id
	ctl "$STORE" -q -b topic put ns/k0000002 changed
	ctl "$STORE" -q -b topic commit -m three
	id=$(store_git rev-parse 'topic~1^{tree}')
	chmod u+w "$STORE/git/objects/${id:0:2}/${id:2}"
	echo damaged >"$STORE/git/objects/${id:0:2}/${id:2}"
	run ctl "$STORE" fsck
	status_is 1
	output_has git
	output_has "$(store_git rev-parse topic~1)"
}

@test "fsck: a large value that is staged and lost" {
	ctl . -q init "file://$STORE"
	random_bytes 300000 2 | ctl "$STORE" -q put ns/staged
	rm "$(find "$STORE/nodes" -type f -size +8k | head -n 1)"
	run ctl "$STORE" fsck
	status_is 1
	output_has staged
	output_has main/ns/staged
}

# ---- Repair --------------------------------------------------------------------------------------

@test "fsck --repair: a mount takes back what is damaged on the disk from its cache" {
	ctl . -q init "cached-file://$STORE"
	entries 1 3000 | ctl "$STORE" -q load ns
	ctl "$STORE" -q commit -m one
	mount_store
	(cd "$MNT/main/ns" && cat -- *) | sha256sum >"$T/before"
	local file n=0
	for file in $(find "$STORE/nodes/tree" -type f -size +2k | sort | head -n 3); do
		chmod u+w "$file"
		printf X | dd of="$file" bs=1 seek=40 conv=notrunc status=none
		n=$((n + 1))
	done
	is "$n" 3
	run on_main --json fsck
	status_is 1
	run on_main --json fsck --repair
	status_is 0
	output_has '"repaired"'
	on_main fsck
	remount
	(cd "$MNT/main/ns" && cat -- *) | sha256sum | diff "$T/before" -
}

@test "fsck --repair: what nobody holds stays damaged; a read-only mount repairs nothing" {
	make_store
	rm "$(find "$STORE/nodes/chunk" -type f | sort | head -n 1)"
	run ctl "$STORE" fsck --repair
	status_is 1
	output_has damaged
	mount_store "$STORE" "$MNT" -o ro
	run on_main fsck --repair
	status_is 2
	output_has read-only
}

@test "a branch whose reference is damaged: others are read, it gives EIO, and repair brings it back" {
	make_store
	mv "$STORE/git/refs/heads/topic" "$T/topic"
	echo nonsense >"$STORE/git/refs/heads/topic"
	mount_store
	file_is "$MNT/main/ns/k0000001" "value 1"
	is "$(errno_of "os.stat('$MNT/topic/ns')")" EIO
	grep -q topic "$T/daemon.log"
	ls "$MNT" >"$T/names" 2>/dev/null || true
	grep -qx main "$T/names"
	run on_main gc
	status_is 2
	output_has topic
	run on_main fsck
	status_is 1
	output_has "reference refs/heads/topic"
	run on_main fsck --repair
	status_is 0
	diff "$T/topic" "$STORE/git/refs/heads/topic"
	file_is "$MNT/topic/ns/k0000001" changed
	on_main fsck
}

@test "a branch whose reference was lost keeps what is staged, is named, and is taken back" {
	"$CTL" init "$STORE" >/dev/null
	ctl "$STORE" -q put ns/k v
	ctl "$STORE" -q commit -m c
	ctl "$STORE" -q branch side
	ctl "$STORE" -q -b side put ns/staged 'not committed'
	store_git pack-refs --all
	: >"$STORE/git/packed-refs"
	run -2 ctl "$STORE" status
	[ "$output" = "prollyfs-ctl: branch main: its reference is missing, but was not deleted" ]
	run -2 ctl "$STORE" branch side HEAD
	run -1 ctl "$STORE" --json fsck
	[ "$(grep -c '"kind":"reference","object":"refs/heads/\(main\|side\)"' <<<"$output")" -eq 2 ]
	run -2 ctl "$STORE" gc --prune=now
	[[ $output == *"refs/heads/main is missing, but was not deleted" ]]
	run -0 ctl "$STORE" fsck --repair
	[ "$(ctl "$STORE" -b side get ns/staged)" = 'not committed' ]
	[ "$(ctl "$STORE" get ns/k)" = v ]
	# one that git deletes goes, with what is staged on it
	store_git branch -q -D side
	run -2 ctl "$STORE" -b side status
	run -0 ctl "$STORE" fsck
	ctl "$STORE" -q branch side
	run -1 ctl "$STORE" -b side get ns/staged
}
