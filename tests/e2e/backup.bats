# SPDX-License-Identifier: Apache-2.0
# Promise: `backup DIR` copies a store, mounted or not, as it is at one moment; a backup is a store that
# has everything, the next one costs what is new, and nothing else is ever replaced by one.
load common

setup()
{
	common_setup
	B=$T/backup
}

# N bytes that nothing makes smaller.
make_bytes()
{
	python3 -c 'import random, sys; sys.stdout.buffer.write(random.Random(1).randbytes(int(sys.argv[1])))' "$1"
}

# A store with some of everything.
make_store()
{
	"$CTL" init ${1:+"$1"://}"$STORE" >/dev/null
	for i in 1 2 3; do
		echo "value $i" | ctl "$STORE" -q put "ns/key$i"
		ctl "$STORE" -q commit -m "commit $i"
	done
	yes large | head -c 300000 | ctl "$STORE" -q put ns/large
	ctl "$STORE" -q commit -m large
	ctl "$STORE" -q branch side main~1
	ctl "$STORE" -q tag v1 main~2
	ctl "$STORE" -q -b side put ns/staged 'not committed'
	make_bytes 3000000 | ctl "$STORE" -q put ns/staged-large
}

# Everything that a store holds, as text.
tell()
{
	local branch

	for branch in $(ctl "$1" --json branch | jq -r .name); do
		echo "branch $branch"
		ctl "$1" -b "$branch" log
		ctl "$1" -b "$branch" reflog
		ctl "$1" -b "$branch" status
		ctl "$1" -b "$branch" dump ns | sha256sum
		ctl "$1" --at "$branch" dump ns | sha256sum
	done
	ctl "$1" tag
	git --git-dir="$1/git" for-each-ref
}

# The number FIELD of the last backup's JSON, in $output.
figure()
{
	jq ".$1" <<<"$output"
}

# The backup is a sound store, and has what the store has.
check_backup()
{
	run ctl "$B" fsck
	[ "$output" = "nothing is damaged" ]
	diff <(tell "$STORE") <(tell "$B")
}

@test "a backup of a closed store has everything, and is its owner's" {
	make_store
	run -0 ctl "$STORE" backup "$B"
	[[ ${lines[0]} =~ ^backup\ +[0-9]+\ bytes\ in\ [0-9]+\ files$ ]]
	[[ ${lines[1]} =~ ^copied\ +[0-9]+\ bytes\ in\ [0-9]+\ files$ ]]
	[ "$(stat -c %a "$B")" = 700 ]
	[ ! -e "$B.partial" ] && [ ! -e "$STORE/checkpoint" ]
	check_backup
}

@test "the same of the file back end" {
	make_store file
	run -0 ctl "$STORE" -q backup "$B"
	[ -z "$output" ]
	check_backup
	run -0 ctl "$STORE" --json backup "$B"
	[ "$(figure copied_bytes)" -lt 200000 ]
	check_backup
}

@test "branches and tags are in a backup whatever they are called" {
	make_store file
	for branch in tmp_work incoming dir/incoming tmp_dir/x; do
		ctl "$STORE" -q branch "$branch" main
		echo "$branch" | ctl "$STORE" -q -b "$branch" put ns/committed
		ctl "$STORE" -q -b "$branch" commit -m "$branch"
		echo "$branch" | ctl "$STORE" -q -b "$branch" put ns/staged
	done
	ctl "$STORE" -q tag tmp_v1 main
	git --git-dir="$STORE/git" branch other main
	mkdir -p "$STORE/git/objects/ab" # and what a killed git leaves
	touch "$STORE/git/refs/heads/other.lock" "$STORE/git/objects/ab/tmp_obj_1"
	run -0 ctl "$STORE" -q backup "$B"
	[ ! -e "$B/git/refs/heads/other.lock" ] && [ ! -e "$B/git/objects/ab/tmp_obj_1" ]
	check_backup
	[ "$(ctl "$B" -b dir/incoming get ns/staged)" = dir/incoming ]
}

@test "a backup of a mounted store has what was written when it began" {
	mount_namespace
	echo one >"$NS/a"
	commit_all main one
	echo two >"$NS/b"
	# by a process of its own: each that has it open and ends would close it
	coproc HOLDER { exec python3 -uc '
import sys
file = open(sys.argv[1], "wb", buffering=0)
file.write(b"written to a file that is open\n")
print("written")
sys.stdin.read()' "$NS/open"; }
	local holder=$HOLDER_PID written
	read -r written <&"${HOLDER[0]}"
	run -0 ctl "$MNT" --json backup "$B"
	[ "$(figure directory)" = "\"$B\"" ]
	eval "exec ${HOLDER[1]}>&-"
	wait "$holder"
	echo later >"$NS/c"
	[ "$(ctl "$B" get ns/b)" = two ]
	[ "$(ctl "$B" get ns/open)" = 'written to a file that is open' ]
	run -1 ctl "$B" get ns/c
	run -0 ctl "$B" fsck
	[ "$(git --git-dir="$B/git" log --format=%s main)" = "$(git --git-dir="$STORE/git" log --format=%s main)" ]
}

@test "the second backup copies what is new" {
	make_store
	run -0 ctl "$STORE" --json backup "$B"
	local all first
	all=$(figure bytes)
	[ "$(figure copied_bytes)" -eq "$all" ] && [ "$(figure copied_files)" -eq "$(figure files)" ]
	[ "$all" -gt 1000000 ]
	first=$(find "$B/data" -name '*.sst' -size +500k -printf '%i\n' | sort)
	[ -n "$first" ]
	[ -z "$(comm -12 <(find "$STORE" -type f -printf '%i\n' | sort) <(find "$B" -type f -printf '%i\n' | sort))" ]
	echo new | ctl "$STORE" -q put ns/new
	ctl "$STORE" -q commit -m new
	run -0 ctl "$STORE" --json backup "$B"
	echo "copied $(figure copied_bytes) of $(figure bytes)"
	[ "$(figure copied_bytes)" -lt 300000 ]
	[ "$(find "$B/data" -name '*.sst' -size +500k -printf '%i\n' | sort)" = "$first" ]
	check_backup
	# what is damaged in the backup is not what the store has
	[ "$(du -sb --apparent-size "$B" | cut -f1)" -gt "$all" ]
}

@test "a backup that was read is replaced, one that was changed is not" {
	make_store
	ctl "$STORE" -q backup "$B"
	ctl "$B" fsck
	[ "$(ctl "$B" get ns/key1)" = 'value 1' ]
	mount_store "$B" "$MNT" -o ro
	[ "$(cat "$MNT/main/ns/key2")" = 'value 2' ]
	run -2 ctl "$STORE" backup "$B"
	[[ $output == "prollyfs-ctl: $B is mounted on $MNT by process "* ]]
	unmount
	ctl "$STORE" -q backup "$B"
	check_backup

	echo own | ctl "$B" -q put ns/own
	run -2 ctl "$STORE" backup "$B"
	[ "$output" = "prollyfs-ctl: $B is not empty, and no backup" ]
	[ "$(ctl "$B" get ns/own)" = own ]

	rm -r "$B"
	ctl "$STORE" -q backup "$B"
	mount_store "$B"
	unmount
	run -2 ctl "$STORE" backup "$B"
	[ "$output" = "prollyfs-ctl: $B is not empty, and no backup" ]
}

@test "a backup stays one where commands only list, or are refused, though its store is due to be collected" {
	local i
	ctl . -q init "$STORE"
	store_git config gc.auto 0
	for i in 1 2 3 4; do
		head -c 300000 /dev/urandom | ctl "$STORE" -q put ns/k
	done
	ctl "$STORE" -q backup "$B"
	git --git-dir="$B/git" config gc.auto 6700
	git --git-dir="$B/git" config prollyfs.gcSize 1k
	ctl "$B" branch
	ctl "$B" branch -v --contains main
	run ctl "$B" --at main put ns/k x
	status_is 2
	[ -e "$B/backup" ]
	is "$(ctl "$B" --json stats | jq .gc.collections)" 0
	ctl "$B" put ns/k x
	missing "$B/backup"
	is "$(ctl "$B" --json stats | jq .gc.collections)" 1
}

@test "a backup that was mounted to read one revision is replaced, one that was remounted and written is not" {
	need_root
	make_store
	ctl "$STORE" -q backup "$B"
	mount_store "$B" "$MNT" -o rev=main
	file_is "$MNT/ns/key2" 'value 2'
	unmount
	ctl "$STORE" -q backup "$B"

	mount_store "$B" "$MNT" -o ro
	"$PROLLYFS" -o remount,rw "$B" "$MNT"
	echo mine >"$MNT/main/ns/mine"
	unmount
	run -2 ctl "$STORE" backup "$B"
	[ "$output" = "prollyfs-ctl: $B is not empty, and no backup" ]
	[ "$(ctl "$B" get ns/mine)" = mine ]
}

@test "tables of one name that a backup made itself are not taken for the store's" {
	make_store
	ctl "$STORE" -q backup "$B"
	ctl "$B" fsck # writes tables and logs with the next numbers
	for i in 1 2 3 4; do
		echo "other $i" | ctl "$STORE" -q put "ns/other$i"
		ctl "$STORE" -q commit -m "other $i"
		ctl "$STORE" -q backup "$B"
		check_backup
	done
}

@test "nothing else is replaced, and no place that cannot be" {
	make_store
	mkdir "$T/full" "$T/empty"
	echo mine >"$T/full/file"
	run -2 ctl "$STORE" backup "$T/full"
	[ "$output" = "prollyfs-ctl: $T/full is not empty, and no backup" ]
	run -2 ctl "$STORE" backup "$T/full/file"
	[ "$output" = "prollyfs-ctl: $T/full/file exists and is no directory" ]
	run -2 ctl "$STORE" backup "$T/none/backup"
	[ "$output" = "prollyfs-ctl: $T/none: No such file or directory" ]
	run -2 ctl "$STORE" backup "$STORE/backup"
	[ "$output" = "prollyfs-ctl: $STORE/backup is in the store itself: a backup goes elsewhere" ]
	run -2 ctl "$STORE" backup "$STORE/git/refs/backup"
	[[ $output == *"is in the store itself"* ]]
	run -2 ctl "$STORE" backup "$STORE"
	[ "$output" = "prollyfs-ctl: $STORE is not empty, and no backup" ]
	ln -s "$T/empty" "$T/link"
	run -2 ctl "$STORE" backup "$T/link"
	[ "$output" = "prollyfs-ctl: $T/link exists and is no directory" ]
	[ "$(cat "$T/full/file")" = mine ]

	ctl "$STORE" -q backup "$T/empty"
	[ "$(stat -c %a "$T/empty")" = 700 ]
	"$CTL" init "$T/other" >/dev/null
	run -2 ctl "$T/other" backup "$T/empty"
	[ "$output" = "prollyfs-ctl: $T/empty is a backup of another store" ]
	mkdir "$B.partial"
	echo mine >"$B.partial/file"
	run -2 ctl "$STORE" backup "$B"
	[ "$output" = "prollyfs-ctl: $B.partial is in the way: the backup is built there" ]
	[ "$(cat "$B.partial/file")" = mine ] && [ ! -e "$B" ]
	mv "$B.partial/file" "$B.partial/backup"
	run -2 ctl "$STORE" backup "$B"
	[ "$(cat "$B.partial/backup")" = mine ]
	run -2 ctl "$STORE" backup
	run -2 ctl :memory: backup "$B"
}

# The marker comes first; what is cut off while it is written is begun again.
@test "a backup that was cut off at its very beginning is in nobody's way" {
	"$CTL" init "$STORE" >/dev/null
	ctl "$STORE" -q backup "$B"
	local length size
	size=$(stat -c %s "$B/backup")
	for length in 0 1 $((size - 10)); do
		mkdir "$B.partial"
		touch "$B.partial/lock"
		head -c "$length" "$B/backup" >"$B.partial/backup"
		ctl "$STORE" -q backup "$B"
		mkdir "$B.partial"
		head -c "$length" "$B/backup" >"$B.partial/backup"
		truncate -s "$size" "$B.partial/backup"
		ctl "$STORE" -q backup "$B"
		[ ! -e "$B.partial" ]
	done
	run -0 ctl "$B" fsck
}

@test "through a mount: not into one, not for a branch, not by a relative path" {
	mount_namespace
	run -2 ctl "$MNT" backup "$MNT/main/backup"
	[[ $output == *"is in a mount of a store: a backup goes elsewhere" ]]
	run ! bash -c "echo 'backup $MNT/x' >'$MNT/.prollyfs/ctl'"
	run ! bash -c "echo 'backup backup' >'$MNT/.prollyfs/ctl'"
	run ! bash -c "echo 'backup $B' >'$MNT/main/.prollyfs/ctl'"
	[ ! -e "$B" ] && [ ! -e backup ]
	echo "backup '$B'" >"$MNT/.prollyfs/ctl"
	run -0 ctl "$B" fsck
	# prollyfs-ctl knows where its caller is
	mkdir "$T/a b"
	(cd "$T/a b" && ctl "$MNT" -q backup ./copy/)
	run -0 ctl "$T/a b/copy" fsck
	ln -s "$T/a b" "$T/way"
	ctl "$MNT" -q backup way/../copy
	[ -d "$T/copy" ]
}

@test "a store moved to where its backup was restored goes on with its backups" {
	make_store
	ctl "$STORE" -q backup "$B"
	rm -r "$STORE"
	cp -a "$B" "$STORE"
	run -0 ctl "$STORE" --json backup "$B"
	[ "$(figure copied_bytes)" -lt 300000 ]
	check_backup
}

@test "backups while writers and committers are at work are each a moment of theirs" {
	mount_namespace
	python3 -c '
import os, subprocess, sys
ns, ctl, mount = sys.argv[1:]
for n in range(100000):
    for name in "a", "b":
        with open("%s/%s" % (ns, name), "w") as file:
            file.write("%d" % n)
    if subprocess.run([ctl, "-C", mount + "/main", "-q", "commit", "-m", "%d" % n]).returncode:
        sys.exit()
' "$NS" "$CTL" "$MNT" 3>&- &
	local writer=$! a b head
	wait_for 60 test -e "$NS/b"
	for i in $(seq 6); do
		ctl "$MNT" -q backup "$B"
		run -0 ctl "$B" fsck
		a=$(ctl "$B" get ns/a) b=$(ctl "$B" get ns/b 2>/dev/null || echo -1)
		echo "backup: a is ${a:-empty}, b is ${b:-empty}"
		# the second follows the first; a commit has both, and every one before is there
		head=$(git --git-dir="$B/git" log -1 --format=%s main)
		if [[ $head =~ ^[0-9]+$ ]]; then
			[ "$(git --git-dir="$B/git" rev-list --count main)" -eq $((head + 2)) ]
			[ "$(ctl "$B" --at main get ns/a)" = "$head" ]
			[ "$(ctl "$B" --at main get ns/b)" = "$head" ]
			[ -z "$a" ] || [ "$a" -ge "$head" ]
		fi
	done
	kill "$writer"
	wait "$writer" || true
	[ "$(cat "$NS/a" "$NS/b")" ] # one may have been emptied and not yet written
}

@test "a backup after a garbage collection has all that is left" {
	make_store
	ctl "$STORE" -q backup "$B"
	ctl "$STORE" -q reset --hard main~2
	ctl "$STORE" -q gc --prune=now
	ctl "$STORE" -q backup "$B"
	check_backup
}
