#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Garbage collection: what comes back, what stays, and those who are at work meanwhile.

load common

# overwrite TIMES SIZE PATH: the same key again and again.
overwrite()
{
	local i

	for i in $(seq "$1"); do
		random_bytes "$2" "$i" >"$3"
	done
}

used()
{
	du -sk "$STORE" | cut -f1
}

# ---- What comes back ---------------------------------------------------------------------------

@test "gc: what was overwritten goes and its space comes back; a dry run counts the same" {
	mount_store
	mkdir "$MNT/main/ns"
	overwrite 12 3000000 "$MNT/main/ns/large"
	echo small >"$MNT/main/ns/small"
	commit_all main
	local before dry real
	dry=$(on_main gc --dry-run --json)
	before=$(used)
	is "$(on_main gc --dry-run --json)" "$dry"
	real=$(on_main gc --json)
	is "$(jq .reclaimed_nodes <<<"$real")" "$(jq .reclaimed_nodes <<<"$dry")"
	is "$(jq .reclaimed_bytes <<<"$real")" "$(jq .reclaimed_bytes <<<"$dry")"
	is "$(jq .nodes <<<"$real")" "$(jq .nodes <<<"$dry")"
	[ "$(jq .reclaimed_bytes <<<"$real")" -gt 30000000 ] || fail "$real"
	[ "$(used)" -lt $((before - 25000)) ] || fail "$before KiB before, $(used) after"
	is "$(on_main gc --json | jq .reclaimed_nodes)" 0
	random_bytes 3000000 12 | cmp - "$MNT/main/ns/large"
	file_is "$MNT/main/ns/small" small
	remount
	random_bytes 3000000 12 | cmp - "$MNT/main/ns/large"
}

# The 63rd chunk of these ends a node of the blob, so the zeros behind have one for themselves.
@test "gc: zeros at the end of a large value, in a node of their own, stay" {
	mount_store
	mkdir "$MNT/main/ns"
	python3 -c 'import random, sys
sys.stdout.buffer.write(random.Random(1).randbytes(5000000)[:4470030] + bytes(100000))' >"$T/content"
	cp "$T/content" "$MNT/main/ns/large"
	commit_all main
	is "$(on_main gc --json | jq .reclaimed_nodes)" 0
	remount
	cmp "$T/content" "$MNT/main/ns/large"
	on_main fsck
}

@test "gc in words: before, reclaimed, after, git" {
	mount_store
	mkdir "$MNT/main/ns"
	overwrite 3 200000 "$MNT/main/ns/k"
	run on_main gc --dry-run
	status_is 0
	output_has 'would reclaim'
	run on_main gc
	status_is 0
	[[ ${lines[0]} =~ ^before\ +[0-9]+\ nodes,\ .*iB$ ]] || fail "$output"
	[[ ${lines[1]} =~ ^reclaimed\ +[1-9][0-9]*\ nodes ]] || fail "$output"
	[[ ${lines[2]} =~ ^after ]] || fail "$output"
	[[ ${lines[3]} =~ ^git\ .*before ]] || fail "$output"
	run on_main -q gc
	is "$output" ""
	run on_main gc --prune=whenever
	status_is 2
	output_has whenever
}

@test "gc: a deleted branch can be had back for two weeks, or until --prune=now" {
	mount_store
	mkdir "$MNT/topic" "$MNT/topic/ns"
	random_bytes 100000 1 >"$MNT/topic/ns/k"
	commit_all topic
	local id
	id=$(store_git rev-parse topic)
	ctl "$MNT/main" -q branch -D topic
	on_main -q gc
	on_main -q branch again "$id"
	random_bytes 100000 1 | cmp - "$MNT/again/ns/k"
	on_main -q branch -D again
	remount # what the kernel knows of a branch keeps it
	on_main -q gc --prune=now
	run on_main branch again "$id"
	status_is 2
	store_git fsck --strict
}

@test "gc: tags, reflogs and snapshots that are open keep what they name" {
	mount_store
	mkdir "$MNT/topic" "$MNT/topic/ns"
	random_bytes 100000 1 >"$MNT/topic/ns/k"
	commit_all topic
	store_git tag kept topic
	random_bytes 100000 2 >"$MNT/topic/ns/k"
	commit_all topic
	exec 5<"$MNT/topic/ns/k"
	ctl "$MNT/main" -q branch -D topic
	on_main -q gc --prune=now
	random_bytes 100000 1 | cmp - "$MNT/.prollyfs/at/kept/ns/k"
	random_bytes 100000 2 | cmp - /dev/fd/5
	exec 5<&-
}

@test "gc: an empty FETCH_HEAD is nobody's damage, and all that one of several lines names stays" {
	mount_store
	mkdir "$MNT/main/ns"
	commit_all main
	: >"$STORE/git/FETCH_HEAD"
	: >"$STORE/git/ORIG_HEAD"
	on_main -q gc --prune=now
	local i ids=()
	for i in 1 2 3; do
		on_main -q branch "topic$i"
		random_bytes 100000 "$i" >"$MNT/topic$i/ns/k"
		commit_all "topic$i"
		ids+=("$(store_git rev-parse "topic$i")")
		on_main -q branch -D "topic$i"
	done
	{
		printf '%s\t\tbranch one of somewhere\n' "${ids[0]}"
		printf '%5000s\n' long
		printf '%s\tnot-for-merge\tbranch two of somewhere\n' "${ids[1]}"
		printf 'none\n%040d\n' 7
	} >"$STORE/git/FETCH_HEAD"
	remount # what the kernel knows of a branch keeps it
	on_main -q gc --prune=now
	for i in 1 2; do
		random_bytes 100000 "$i" | cmp - "$MNT/.prollyfs/at/${ids[i - 1]}/ns/k"
	done
	missing "$MNT/.prollyfs/at/${ids[2]}"
	store_git fsck --strict
	truncate -s 100G "$STORE/git/FETCH_HEAD" # it would be read for minutes
	run -2 on_main gc
	output_has "$STORE/git/FETCH_HEAD: 107374182400 bytes"
}

@test "gc: a pack with a .keep file stays, with its commits and all that they have" {
	mount_store
	mkdir "$MNT/topic" "$MNT/topic/ns"
	local i id objects=$STORE/git/objects kept
	for i in 1 2; do
		random_bytes 100000 "$i" >"$MNT/topic/ns/k"
		commit_all topic
	done
	id=$(store_git rev-parse topic)
	store_git repack -adq
	kept=$(basename "$objects"/pack/*.pack .pack)
	touch "$objects/pack/$kept.keep"
	ctl "$MNT/main" -q branch -D topic
	echo more >"$MNT/main/f"
	commit_all main
	remount # what the kernel knows of a branch keeps it
	on_main -q gc --prune=now
	present "$objects/pack/$kept.pack"
	present "$objects/pack/$kept.idx"
	random_bytes 100000 2 | cmp - "$MNT/.prollyfs/at/$id/ns/k"
	random_bytes 100000 1 | cmp - "$MNT/.prollyfs/at/$id~1/ns/k"
	store_git fsck --strict
	# until somebody takes the mark away
	rm "$objects/pack/$kept.keep"
	remount
	on_main -q gc --prune=now
	missing "$objects/pack/$kept.pack"
	missing "$MNT/.prollyfs/at/$id"
	store_git fsck --strict
}

@test "gc: the git repository is one pack without loose objects" {
	mount_store
	mkdir "$MNT/main/ns"
	local i
	for i in $(seq 40); do
		echo "$i" >"$MNT/main/ns/k"
		echo "commit -q -b main -m $i" >"$MNT/.prollyfs/ctl"
	done
	on_main -q gc
	is "$(find "$STORE/git/objects" -name '*.pack' | wc -l)" 1
	is "$(store_git count-objects)" "0 objects, 0 kilobytes"
	store_git commit-graph verify
	present "$STORE/git/objects/info/commit-graph"
	store_git fsck --strict
	is "$(store_git rev-list --count main)" "$(on_main log --json | wc -l)"
	echo more >"$MNT/main/ns/k"
	commit_all main
	store_git fsck --strict
}

@test "gc: what killed processes left in the git repository goes once it is an hour old" {
	mount_store
	on_main -q put ns/k value
	commit_all main
	local objects=$STORE/git/objects name
	local old=(tmp_obj_1 pack/tmp_pack_1 pack/pack_git2_1 pack/pack_git2_1idx.lock pack/pack-1.pack
		info/commit-graph.ABCDEF)
	for name in "${old[@]}"; do
		touch -d '2 hours ago' "$objects/$name"
		touch "$objects/${name}2"
	done
	mv "$objects/pack/pack-1.pack2" "$objects/pack/pack-2.pack"
	on_main -q gc --prune=now
	for name in "${old[@]}"; do
		[ ! -e "$objects/$name" ]
	done
	for name in tmp_obj_1 pack/tmp_pack_1 pack/pack_git2_1 pack/pack_git2_1idx.lock \
		info/commit-graph.ABCDEF; do
		present "$objects/${name}2"
	done
	present "$objects/pack/pack-2.pack"
	rm "$objects"/pack/pack-2.pack
	store_git fsck --strict
}

@test "gc of a store that nobody has mounted, of one of plain files, and on a read-only mount" {
	ctl . -q init "$STORE"
	random_bytes 100000 1 | ctl "$STORE" put ns/k
	random_bytes 100000 2 | ctl "$STORE" put ns/k
	[ "$(ctl "$STORE" gc --json | jq .reclaimed_bytes)" -ge 100000 ]
	random_bytes 100000 2 | cmp - <(ctl "$STORE" get ns/k)
	ctl . -q init "file://$T/plain"
	random_bytes 100000 1 | ctl "$T/plain" put ns/k
	random_bytes 100000 2 | ctl "$T/plain" put ns/k
	[ "$(ctl "$T/plain" gc --json | jq .reclaimed_bytes)" -ge 100000 ]
	random_bytes 100000 2 | cmp - <(ctl "$T/plain" get ns/k)
	mount_store "$STORE" "$MNT" -o ro
	on_main gc --dry-run
	run on_main gc
	status_is 2
}

# ---- When it is worth it -----------------------------------------------------------------------

# A store in which little is enough.
eager_store()
{
	ctl . -q init "${1:-$STORE}"
	store_git config prollyfs.gcSize 500k
}

collections()
{
	ctl "${1:-$MNT/main}" --json stats | jq .gc.collections
}

has_collected()
{
	[ "$(collections)" -ge "$1" ]
}

@test "a mount collects by itself when enough was written, and says so in its log" {
	eager_store
	mount_store
	mkdir "$MNT/main/ns"
	is "$(collections)" 0
	overwrite 10 300000 "$MNT/main/ns/k"
	wait_for 60 has_collected 1
	wait_for 60 grep -q 'gc: [1-9][0-9]* nodes .* reclaimed' "$T/daemon.log"
	[[ $(cat "$MNT/.prollyfs/stats") =~ gc\ +[1-9] ]]
	random_bytes 300000 10 | cmp - "$MNT/main/ns/k"
	remount
	random_bytes 300000 10 | cmp - "$MNT/main/ns/k"
}

@test "a mount collects what a deleted branch had when the time of grace is over" {
	eager_store
	mount_store
	mkdir "$MNT/topic" "$MNT/topic/ns"
	random_bytes 100000 1 >"$MNT/topic/ns/k"
	commit_all topic
	ctl "$MNT/main" -q branch -D topic
	is "$(collections)" 0
	store_git config gc.pruneExpire now
	remount
	wait_for 60 has_collected 1
	is "$(on_main gc --dry-run --json | jq .reclaimed_nodes)" 0
}

@test "gc.auto 0: nothing is collected unless somebody asks for it" {
	eager_store
	store_git config gc.auto 0
	local i
	for i in 1 2 3 4 5 6 7 8 9; do
		random_bytes 300000 "$i" | ctl "$STORE" -q put ns/k
	done
	is "$(collections "$STORE")" 0
	is "$(ctl "$STORE" --json stats | jq .gc.automatic)" false
	run ctl "$STORE" gc --auto
	status_is 0
	is "$output" ""
	store_git config --unset gc.auto
	[ "$(ctl "$STORE" --json gc --auto | jq .reclaimed_nodes)" -gt 0 ]
	run ctl "$STORE" gc --auto
	is "$output" ""
	is "$(collections "$STORE")" 1
}

@test "a store that nobody has mounted is collected after a command, at four times the limit" {
	eager_store
	local i
	for i in 1 2 3 4 5 6; do
		random_bytes 300000 "$i" | ctl "$STORE" -q put ns/k
		is "$(collections "$STORE")" 0
	done
	is "$(ctl "$STORE" gc --dry-run --auto --json | jq '.reclaimed_nodes > 0')" true
	random_bytes 300000 7 | ctl "$STORE" -q put ns/k
	is "$(collections "$STORE")" 1
	is "$(ctl "$STORE" gc --dry-run --json | jq '.reclaimed_bytes < 10000')" true
	random_bytes 300000 7 | cmp - <(ctl "$STORE" get ns/k)
	# One that fails says so, and changes nothing about the command.
	store_git config prollyfs.gcSize nonsense
	run ctl "$STORE" -q put ns/other value
	status_is 0
	output_has prollyfs.gcSize
	is "$(ctl "$STORE" get ns/other)" value
}

# ---- Others at work ----------------------------------------------------------------------------

# work BRANCH SEED: writes, overwrites, deletes and commits, and says at last what should be there.
work()
{
	python3 -c '
import hashlib, os, random, sys
top, source = sys.argv[1], random.Random(int(sys.argv[2]))
ctl = os.path.join(os.path.dirname(top), ".prollyfs", "ctl")
have = {}
os.makedirs(top + "/ns", exist_ok=True)
for i in range(250):
    key = "k%d" % source.randrange(30)
    what = source.randrange(10)
    if what == 0 and key in have:
        os.unlink(top + "/ns/" + key)
        del have[key]
    elif what == 1:
        with open(ctl, "w") as control:
            control.write("commit -q -b %s -m %d\n" % (os.path.basename(top), i))
    else:
        # few contents, so that most were garbage before
        content = random.Random(source.randrange(8)).randbytes(source.choice([50, 3000, 90000]))
        with open(top + "/ns/" + key, "wb") as file:
            file.write(content)
        have[key] = hashlib.sha256(content).hexdigest()
for key in sorted(have):
    print(have[key] + "  ns/" + key)
' "$MNT/$1" "$2" >"$T/should-$1"
}

holds()
{
	(cd "$MNT/$1" && sha256sum --quiet -c "$T/should-$1")
	is "$(find "$MNT/$1/ns" -type f | wc -l)" "$(wc -l <"$T/should-$1")"
}

@test "gc with writers at work: nothing that they write is lost" {
	mount_store
	mkdir "$MNT/one" "$MNT/two"
	work one 1 & local one=$!
	work two 2 & local two=$!
	local n=0
	while ! gone "$one" || ! gone "$two"; do
		on_main -q gc --prune=now
		n=$((n + 1))
	done
	wait "$one"
	wait "$two"
	echo "$n collections"
	holds one
	holds two
	on_main -q gc --prune=now
	remount
	holds one
	holds two
	store_git fsck --strict
	is "$(on_main gc --dry-run --prune=now --json | jq .reclaimed_nodes)" 0
}

@test "gc and backup: an input that does not end holds them off no longer than its pieces; what has come stays" {
	mount_namespace
	random_bytes 9000000 1 >"$T/value"
	mkfifo "$T/fifo"
	on_main put ns/slow <"$T/fifo" 3>&- & local put=$!
	exec 8>"$T/fifo"
	on_main put ns/other x 8>&-
	timeout 60 "$CTL" -C "$MNT/main" -q gc --prune=now 8>&-
	# more than all buffers on the way; what has come is on the disk then, before a collection begins
	head -c 7000000 "$T/value" >&8
	on_main put ns/other y 8>&-
	timeout 60 "$CTL" -C "$MNT/main" -q gc --prune=now 8>&-
	timeout 60 "$CTL" -C "$MNT/main" -q backup "$T/backup" 8>&-
	tail -c +7000001 "$T/value" >&8
	exec 8>&-
	wait "$put"
	on_main get ns/slow | cmp - "$T/value"
	on_main -q gc --prune=now
	remount
	on_main get ns/slow | cmp - "$T/value"
	on_main -q fsck
	is "$(on_main gc --dry-run --prune=now --json | jq .reclaimed_nodes)" 0
}

@test "gc: the daemon killed while it runs: everything is there, and the next one ends it" {
	mount_store
	mkdir "$MNT/main/ns"
	random_bytes 100000 7 >"$MNT/main/ns/kept"
	local i gc
	for i in 1 2 3; do
		overwrite 5 300000 "$MNT/main/ns/k"
		commit_all main
		random_bytes 300000 "$i" >"$MNT/main/ns/staged"
		on_main -q gc --prune=now 2>/dev/null & gc=$!
		kill_daemon
		wait "$gc" || true
		mount_store
		random_bytes 100000 7 | cmp - "$MNT/main/ns/kept"
		random_bytes 300000 5 | cmp - "$MNT/main/ns/k"
		random_bytes 300000 "$i" | cmp - "$MNT/main/ns/staged"
		store_git fsck --strict
	done
	on_main -q gc --prune=now
	is "$(on_main gc --dry-run --prune=now --json | jq .reclaimed_nodes)" 0
}
