# SPDX-License-Identifier: Apache-2.0
# Promise: much of everything: a million keys, large files, many branches, many writers.
load common

# memory_of PID: its resident memory, in KiB.
memory_of()
{
	awk '/^VmRSS/ { print $2 }' "/proc/$1/status"
}

peak_of()
{
	awk '/^VmHWM/ { print $2 }' "/proc/$1/status"
}

# reads MOST WORDS...: the command visits at most MOST nodes, and makes none but the empty tree, to
# compare with.
reads()
{
	run --separate-stderr on_main --work --json "${@:2}"
	local work=${stderr##*$'\n'}
	[ "$(json .nodes_read <<<"$work")" -le "$1" ] || fail "$stderr"
	[ "$(json .nodes_written <<<"$work")" -le 1 ] || fail "$stderr"
}

@test "a million keys by load, one of them by cat, and a branch, commit and merge over them" {
	mount_store
	entries 1 1000000 | on_main load ns
	file_is "$MNT/main/ns/k0777777" "value 777777"
	is "$(on_main --json root ns | json .keys)" 1000000
	commit_all main "a million"
	file_is "$MNT/main/ns/k0777777" "value 777777"
	mkdir "$MNT/side"
	echo side >"$MNT/side/ns/k0000001"
	commit_all side theirs
	echo main >"$MNT/main/ns/k1000000"
	run --separate-stderr on_main --work --json commit -m ours
	[ "$(json .bytes_written <<<"$stderr")" -le 65536 ] || fail "$stderr"
	run --separate-stderr on_main --work --json merge -m merged side
	is "$(json .result <<<"$output")" '"merged"'
	[ "$(json .nodes_read <<<"$stderr")" -le 60 ] || fail "$stderr"
	file_is "$MNT/main/ns/k0000001" side
	file_is "$MNT/main/ns/k1000000" main
	run --separate-stderr on_main --work --json diff main~1 main
	is "$(json .key <<<"$output")" '"k0000001"'
	[ "$(json .nodes_read <<<"$stderr")" -le 30 ] || fail "$stderr"
	reads 10 get ns/k0500000
	reads 10 get ns/k0500000x
	reads 10 prove ns/k0500000
	reads 10 root ns
	reads 10 status
	reads 40 diff main~1 main -- ns/k0000001
	is "$(on_main ls ns | wc -l)" 1000000
	is "$(ls -f "$MNT/main/ns" | wc -l)" 1000002
}

@test "a large file: written, read back equal, memory bounded; one byte in front stores < 1 %" {
	local size=$((128 << 20))
	[ -z "${PROLLYFS_LONG:-}" ] || size=$((2 << 30))
	mount_store "$STORE" "$MNT" -o cache=32M
	mkdir "$MNT/main/ns"
	random_bytes "$size" 11 >"$T/large"
	cp "$T/large" "$MNT/main/ns/large"
	cmp "$T/large" "$MNT/main/ns/large"
	commit_all main large
	cmp "$T/large" "$MNT/main/ns/large"
	local stored
	stored=$(on_main --json stats | json .bytes)
	{ printf x; cat "$T/large"; } >"$MNT/main/ns/large"
	run --separate-stderr on_main --work -q commit -m "one byte"
	status_is 0
	{ printf x; cat "$T/large"; } | cmp - "$MNT/main/ns/large"
	stored=$(($(on_main --json stats | json .bytes) - stored))
	[ "$stored" -lt $((size / 100)) ] || fail "$stored bytes stored again of $size"
	local peak
	peak=$(peak_of "$DAEMON")
	is_sanitized || [ "$peak" -lt $((400 << 10)) ] || fail "the daemon took $peak KiB"
	remount
	{ printf x; cat "$T/large"; } | cmp - "$MNT/main/ns/large"
}

@test "random writes in a large file: a few bytes cost a few chunks" {
	mount_store
	mkdir "$MNT/main/ns"
	random_bytes $((64 << 20)) 12 >"$MNT/main/ns/large"
	commit_all main large
	python3 - "$MNT/main/ns/large" <<'P'
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
for n in range(20):
    os.pwrite(fd, b"changed", n * 3000001)
P
	run --separate-stderr on_main --work -q commit -m changed
	[ "$(json .bytes_written <<<"$stderr")" -lt $((8 << 20)) ] || fail "$stderr"
	is "$(dd if="$MNT/main/ns/large" bs=1 skip=57000019 count=7 status=none)" changed
}

@test "fifty branches at once" {
	mount_store
	entries 1 1000 | on_main load ns
	commit_all main base
	for n in $(seq 50); do
		mkdir "$MNT/b$n"
		echo "branch $n" >"$MNT/b$n/ns/mine"
		echo "branch $n" >"$MNT/b$n/ns/k$(printf %07d "$n")"
	done
	is "$(ls "$MNT" | wc -l)" 51
	for n in $(seq 50); do
		commit_all "b$n" "on b$n"
		rm "$MNT/b$n/ns/mine"
		commit_all "b$n" "without"
	done
	for n in $(seq 50); do
		file_is "$MNT/b$n/ns/k$(printf %07d "$n")" "branch $n"
		on_main -q merge -m "merge $n" "b$n"
	done
	is "$(cat "$MNT/main/ns/"k00000[0-4]* | grep -c branch)" 49
	# the initial commit, the base, two on each branch, all merges but the first, a fast-forward
	is "$(store_git rev-list --count main)" $((2 + 100 + 49))
	store_git fsck --strict
	remount
	is "$(ls "$MNT" | wc -l)" 51
	file_is "$MNT/b50/ns/k0000050" "branch 50"
}

@test "eight writers in parallel on two branches while a third commits" {
	mount_store
	mkdir "$MNT/main/ns"
	echo x >"$MNT/main/ns/x"
	commit_all main base
	mkdir "$MNT/one" "$MNT/two" "$MNT/three"
	local n writers=() branch
	for n in 1 2 3 4 5 6 7 8; do
		branch=one
		[ $((n % 2)) = 0 ] || branch=two
		python3 -c '
import os, sys
directory, writer = sys.argv[1], sys.argv[2]
os.mkdir(directory + "/w" + writer)
for n in range(500):
    path = "%s/w%s/f%03d" % (directory, writer, n)
    with open(path, "w") as f:
        f.write("writer %s file %d\n" % (writer, n) * (n % 50 + 1))
    if n % 5 == 0:
        os.rename(path, path + ".renamed")
    if n % 7 == 0:
        with open(path if n % 5 else path + ".renamed", "a") as f:
            f.write("appended\n")
' "$MNT/$branch/ns" "$n" 3>&- &
		writers+=($!)
	done
	(
		for n in $(seq 30); do
			echo "$n" >"$MNT/three/ns/n"
			"$CTL" -C "$MNT/three" -q commit -m "three $n" || exit
			"$CTL" -C "$MNT/one" -q commit -m "one $n" || [ $? -eq 1 ] || exit
		done
	) 3>&- &
	local committer=$!
	for n in "${writers[@]}"; do
		wait "$n"
	done
	wait "$committer"
	for branch in one two; do
		commit_all "$branch" end || true
		is "$(find "$MNT/$branch/ns" -type f | wc -l)" 2001
		is "$(find "$MNT/$branch/ns" -name '*.renamed' | wc -l)" 400
		is "$(cat "$MNT/$branch/ns"/w*/* | grep -c appended)" 288
	done
	is "$(store_git rev-list --count main..three)" 30
	local copy
	copy=$(cd "$MNT/one/ns" && find . -type f | sort | xargs md5sum | md5sum)
	remount
	is "$(cd "$MNT/one/ns" && find . -type f | sort | xargs md5sum | md5sum)" "$copy"
	is "$(ctl "$MNT/one" --json status | json .changes)" '[]'
	store_git fsck --strict
}

@test "writers go on while a large commit runs" {
	mount_store
	entries 1 300000 | on_main load ns
	"$CTL" -C "$MNT/main" -q commit -m large 3>&- &
	local commit=$! n=0
	while kill -0 "$commit" 2>/dev/null && [ "$n" -lt 2000 ]; do
		n=$((n + 1))
		echo "$n" >"$MNT/main/ns/during"
	done
	wait "$commit"
	file_is "$MNT/main/ns/during" "$n"
	commit_all main "the rest" || true
	is "$(on_main --at main get ns/during)" "$n"
	is "$(on_main --json root ns | json .keys)" 300001
}

@test "a directory of 100,000 files: created, listed, removed" {
	mount_store
	mkdir "$MNT/main/ns"
	entries 1 100000 | on_main load ns
	is "$(ls -l "$MNT/main/ns" | tail -n +2 | wc -l)" 100000
	commit_all main
	rm -r "$MNT/main/ns"
	is "$(ls -A "$MNT/main")" ""
	commit_all main gone
	is "$(on_main --json root | json .keys)" 0
}

# work_at_most LIMIT COMMAND...: what it reads on branch main, in nodes.
work_at_most()
{
	run --separate-stderr on_main --work -q "${@:2}"
	status_is 0
	[ "$(json .nodes_read <<<"$stderr")" -le "$1" ] || fail "$*: $stderr"
}

@test "a million keys: taking back, picking and looking back cost what changed" {
	mount_store
	entries 1 1000000 | on_main load ns
	commit_all main "a million"
	for n in 1 2 3 4 5; do
		echo "$n" >"$MNT/main/ns/k0500000"
		commit_all main "step $n"
	done
	mkdir "$MNT/side"
	echo side >"$MNT/side/ns/k0000007"
	commit_all side side
	work_at_most 0 tag v1
	work_at_most 0 branch other main
	work_at_most 0 log -n 5 --graph
	work_at_most 0 log -n 5 main~3..main
	echo staged >"$MNT/main/ns/k0900000"
	work_at_most 10 status
	work_at_most 20 diff
	work_at_most 20 diff main~1 main
	work_at_most 20 merge --dry-run side
	work_at_most 20 show main~2
	work_at_most 0 log -n 5
	work_at_most 50 history ns/k0500000
	# blame says something of each key, and reads them once
	local nodes
	nodes=$("$CTL" -C "$MNT/main" --work --at main dump ns 2>&1 >/dev/null | json .nodes_read)
	[ "$("$CTL" -C "$MNT/main" --work blame ns 2>&1 >/dev/null | json .nodes_read)" -le $((nodes + 100)) ]
	is "$(on_main history --oneline ns/k0500000 | wc -l)" 6
	work_at_most 20 restore -s main~3 ns/k0500000
	work_at_most 20 restore .
	work_at_most 20 cherry-pick side
	work_at_most 20 revert main
	work_at_most 30 reset --hard main~4
	file_is "$MNT/main/ns/k0500000" 3
	work_at_most 30 reset --soft main~1
	is "$(on_main --json status | json .changes[].key)" '"k0500000"'
	work_at_most 30 commit -m "of one key"
}

@test "a lookup through the hundredth generation of branches costs what one through the first does" {
	mount_store
	entries 1 100000 | on_main load ns
	commit_all main base
	local n from=main first last
	for n in $(seq 100); do
		ctl "$MNT/$from" branch "c$n"
		echo "$n" >"$MNT/c$n/ns/own$n"
		commit_all "c$n" "generation $n"
		from=c$n
	done
	run --separate-stderr ctl "$MNT/c1" --work get ns/k0050000
	first=$(json .nodes_read <<<"$stderr")
	run --separate-stderr ctl "$MNT/c100" --work get ns/k0050000
	last=$(json .nodes_read <<<"$stderr")
	[ "$last" -le $((first + 1)) ] || fail "$last nodes instead of $first"
	is "$(ls "$MNT/c100/ns" | grep -c own)" 100
	is "$(ls "$MNT/c1/ns" | grep -c own)" 1
}
