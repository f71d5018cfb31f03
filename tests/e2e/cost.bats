#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What versions cost of the disk, in bytes: a history of many small commits, and branches.

load common

setup()
{
	common_setup
	mount_store
	entries 1 100000 | on_main load ns
	commit_all main base
}

# size_of DIRECTORY: of what is in its files, in KiB.
size_of()
{
	du -sk --apparent-size "$1" | cut -f1
}

# What the store has of the disk, in KiB; once it is opened anew, so that nothing is reserved for a log.
disk_used()
{
	remount
	du -sk "$STORE" | cut -f1
}

# make_commits N [NS]: of one key each, and says how many loose objects there were at most.
make_commits()
{
	local i loose most=0
	exec 4>"$MNT/main/.prollyfs/ctl"
	for ((i = 1; i <= $1; i++)); do
		echo "$i" >"$MNT/main/${2:-ns}/k$(printf %07d $((i * 7919 % 100000 + 1)))"
		echo "-q commit -m $i" >&4
		((i % 50)) || {
			loose=$(find "$STORE/git/objects" -type f -path '*/??/*' | wc -l)
			most=$((loose > most ? loose : most))
		}
	done
	exec 4>&-
	echo "$most"
}

# A thousand commits, and with PROLLYFS_LONG ten thousand: at most 200 MB, of which the git repository
# is 20 MB once it is collected.
@test "commits of a key cost 20 kB each, after gc 2 kB of them git's, and nothing is unreachable" {
	local n=1000 before loose disk
	[ -z "${PROLLYFS_LONG:-}" ] || n=10000
	disk=$(disk_used)
	before=$(size_of "$STORE")
	loose=$(make_commits "$n")
	echo "$loose loose objects at most"
	[ "$loose" -le 12000 ] || fail "$loose loose objects" # they are packed at some 6700
	disk=$(($(disk_used) - disk))
	echo "$(($(size_of "$STORE") - before)) KiB for $n commits, $(size_of "$STORE/git") of git; $disk of the disk"
	[ $(($(size_of "$STORE") - before)) -le $((n * 19)) ] || fail "too much for $n commits"
	# of that the loose objects, each of which takes a block
	[ "$disk" -le $((n * 16 + 30000)) ] || fail "$disk KiB of the disk for $n commits"
	on_main -q gc --prune=now
	echo "$(size_of "$STORE/git") KiB of git after gc"
	[ "$(size_of "$STORE/git")" -le $((n * 2)) ] || fail "$(du -ak "$STORE/git")"
	is "$(on_main gc --dry-run --prune=now --json | jq .reclaimed_nodes)" 0
	is "$(store_git count-objects)" "0 objects, 0 kilobytes"
	is "$(store_git rev-list --count main)" $((n + 2))
}

# loose_in FOLDER: how many objects of git's are in it.
loose_in()
{
	find "$STORE/git/objects/$1" -type f 2>/dev/null | wc -l
}

none_loose()
{
	[ "$(loose_in 17)" -eq 0 ]
}

# As git does, by one of 256 folders, which all fill at the same rate.
@test "loose objects are packed when they are many, and none is lost" {
	python3 -c '
import hashlib, os, sys, zlib
folder, n, made = sys.argv[1] + "/objects/17", 0, 0
os.makedirs(folder, exist_ok=True)
while made < 40:
    n += 1
    blob = b"blob %d\0%d" % (len(str(n)), n)
    name = hashlib.sha1(blob).hexdigest()
    if name.startswith("17"):
        made += 1
        with open(folder + "/" + name[2:], "wb") as file:
            file.write(zlib.compress(blob))
        print(name)' "$STORE/git" >"$T/names"
	echo x >"$MNT/main/ns/k0000001"
	commit_all main
	wait_for 60 none_loose
	store_git cat-file --batch-check <"$T/names" >"$T/found"
	is "$(grep -c ' blob ' "$T/found")" 40
	store_git fsck --strict
}

@test "a hundred branches by mkdir take at most 2 MB, and no node" {
	local before nodes
	before=$(disk_used)
	nodes=$(on_main --json stats | jq .nodes)
	mkdir "$MNT"/branch{1..100}
	is "$(on_main --json stats | jq .nodes)" "$nodes"
	before=$(($(disk_used) - before))
	echo "$before KiB"
	[ "$before" -le 2048 ] || fail "$before KiB"
	is "$(ls "$MNT" | wc -l)" 101
}

# A thousand, and with PROLLYFS_LONG ten thousand commits, of which all but two leave the namespace alone.
@test "history of a key reads its namespace only where that changed" {
	local n=1000
	[ -z "${PROLLYFS_LONG:-}" ] || n=10000
	echo changed >"$MNT/main/ns/k0000001"
	commit_all main change
	mkdir "$MNT/main/other"
	make_commits "$n" other >/dev/null
	run --separate-stderr on_main --work history --json ns/k0000001
	status_is 0
	is "$(jq -s 'flatten | length' <<<"$output")" 2
	[ "$(json .nodes_read <<<"$stderr")" -le 20 ] || fail "$stderr"
	# and where that changed, a path of it
	run --separate-stderr on_main --work history --json other/k0007920
	status_is 0
	[ "$(json .nodes_read <<<"$stderr")" -le $((3 * n)) ] || fail "$stderr"
}
