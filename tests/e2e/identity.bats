# SPDX-License-Identifier: Apache-2.0
# Promise: what did not change looks the same: number, times, size, links, blocks. What changed, however
# it changed, never looks older.
load common

setup()
{
	common_setup
	mount_namespace
}

# shape DIR: all that stat tells of what is below it. (Access times and directories' sizes aside.)
shape()
{
	(cd "$1" && find . -mindepth 1 -printf '%p %i %y %m %U %G %s %n %b %T@ %C@\n' | sort)
}

# Files of all kinds, staged in several ways.
make_files()
{
	mkdir -p "$1/dir/sub" "$1/empty"
	echo one >"$1/one"
	random_bytes 300000 1 >"$1/dir/large"
	truncate -s 5M "$1/dir/sparse"
	ln -s one "$1/link"
	ln "$1/one" "$1/dir/sub/hard"
	mkfifo "$1/fifo"
	cp /bin/true "$1/dir/sub/program"
	chmod 640 "$1/one"
	touch -d '2001-02-03 04:05:06.789' "$1/dir/large"
	printf 'loaded/a\t1\nloaded/b\t2\n' | on_main load ns
	setfattr -n user.note -v text "$1/dir/large"
}

@test "a commit changes nothing that can be seen" {
	make_files "$NS"
	local before
	before=$(shape "$NS")
	commit_all main
	is "$(shape "$NS")" "$before"
	commit_all main 2>/dev/null || true
	is "$(shape "$NS")" "$before"
}

@test "nor does unmounting and mounting, staged or committed" {
	make_files "$NS"
	local before
	before=$(shape "$NS")
	remount
	is "$(shape "$NS")" "$before"
	commit_all main
	remount
	is "$(shape "$NS")" "$before"
	is "$(getfattr --only-values -n user.note "$NS/dir/large")" text
}

@test "nor does renaming the directory that it is in" {
	local before round
	mkdir "$NS/a"
	make_files "$NS/a"
	ln "$NS/a/one" "$NS/outside"
	before=$(shape "$NS/a")
	for round in staged committed; do
		mv "$NS/a" "$NS/b"
		mv "$NS/b" "$MNT/main/space"
		mv "$MNT/main/space" "$NS/a"
		is "$(shape "$NS/a")" "$before"
		remount
		is "$(shape "$NS/a")" "$before"
		is "$(stat -c %z "$NS/outside")" "$(stat -c %z "$NS/a/one")"
		[ "$round" = committed ] || commit_all main
	done
}

@test "all names of a file have its times when one of them was renamed" {
	make_files "$NS"
	mv "$NS/one" "$NS/other"
	remount
	is "$(stat -c %z "$NS/dir/sub/hard")" "$(stat -c %z "$NS/other")"
}

@test "nor a crash" {
	make_files "$NS"
	local before
	before=$(shape "$NS")
	kill_daemon
	mount_store
	is "$(shape "$NS")" "$before"
}

@test "nor a merge of other keys, a new branch, or a tag" {
	make_files "$NS"
	commit_all main
	local before
	before=$(shape "$NS")
	mkdir "$MNT/other"
	is "$(shape "$MNT/other/ns" | cut -d' ' -f1,3-)" "$(echo "$before" | cut -d' ' -f1,3-)"
	mkdir "$MNT/other/more"
	echo new >"$MNT/other/more/key"
	echo new >"$MNT/other/ns/added"
	commit_all other
	echo ours >"$MNT/main/ours"
	commit_all main
	on_main -q merge other
	file_is "$NS/added" new
	is "$(shape "$NS" | grep -v '^./added ')" "$before"
	on_main tag v1
	is "$(shape "$NS" | grep -v '^./added ')" "$before"
	remount
	is "$(shape "$NS" | grep -v '^./added ')" "$before"
}

@test "a new branch has the same files with the same times" {
	make_files "$NS"
	commit_all main
	mkdir "$MNT/other"
	# a hard link's group is the branch's own
	is "$(cd "$MNT/other/ns" && find . -mindepth 1 -printf '%p %y %m %U %s %n %T@\n' | sort)" \
		"$(cd "$NS" && find . -mindepth 1 -printf '%p %y %m %U %s %n %T@\n' | sort)"
}

# mtime FILE: in nanoseconds.
mtime()
{
	stat -c %.9Y "$1" | tr -d .
}

@test "a key that changed is never older than it was: merge, reset, restore, revert, checkout of another" {
	echo one >"$NS/key"
	echo same >"$NS/same"
	commit_all main
	mkdir "$MNT/other"
	echo two >"$MNT/other/ns/key"
	touch -d '2001-01-01' "$MNT/other/ns/key"
	commit_all other
	local last same command
	same=$(stat -c '%i %y %z' "$NS/same")
	last=$(mtime "$NS/key")
	for command in 'merge other' 'revert -m x HEAD' 'reset --hard main~1' 'cherry-pick main@{2}'; do
		# shellcheck disable=SC2086
		on_main -q $command >/dev/null 2>&1 || continue
		[ "$(mtime "$NS/key")" -ge "$last" ] || fail "$command: older"
		[ "$(date -d "$(stat -c %y "$NS/key")" +%Y)" -ge 2020 ] || fail "$command: of old"
		last=$(mtime "$NS/key")
	done
	echo three >"$NS/key"
	last=$(mtime "$NS/key")
	on_main restore ns/key
	[ "$(mtime "$NS/key")" -ge "$last" ] || fail "restore: older"
	is "$(stat -c '%i %y %z' "$NS/same")" "$same"
}

@test "whether a file is executable is versioned, who else may what is not: the x bits follow" {
	echo x >"$NS/f"
	chmod 644 "$NS/f"
	commit_all main plain
	mkdir "$MNT/side"
	chmod 755 "$MNT/side/ns/f"
	commit_all side executable
	chmod 600 "$NS/f"
	on_main -q commit --allow-empty -m mine
	on_main -q merge side
	is "$(stat -c %a "$NS/f")" 700
	on_main -q reset --hard HEAD~1
	is "$(stat -c %a "$NS/f")" 600
	chmod 711 "$NS/f"
	commit_all main executable
	on_main -q reset --hard HEAD~1
	is "$(stat -c %a "$NS/f")" 600
}

@test "what nobody gave attributes to has sensible ones" {
	printf 'a\t1\nd/b\t2\n' | on_main load ns
	commit_all main
	"$CTL" -C "$MNT" -q branch copy main
	mkdir "$MNT/third"
	echo merged >"$MNT/third/ns/c"
	commit_all third
	ctl "$MNT/copy" -q merge third
	local file now
	now=$(date +%s)
	for file in "$NS/a" "$NS/d" "$NS/d/b" "$MNT/copy/ns/a" "$MNT/copy/ns/c" "$MNT/copy/ns" \
		"$MNT/.prollyfs/at/main/ns/a" "$MNT" "$MNT/main"; do
		[ "$(stat -c %Y "$file")" -gt $((now - 86400)) ] || fail "$file: $(stat -c %y "$file")"
		[ "$(stat -c %Y "$file")" -le $((now + 1)) ] || fail "$file: $(stat -c %y "$file")"
		is "$(stat -c %u "$file")" "$(id -u)"
	done
}

@test "what a branch was born with keeps its time over the branch's commits" {
	mkdir "$NS/d"
	echo one >"$NS/key"
	echo two >"$NS/d/key"
	GIT_COMMITTER_DATE='2024-05-06T07:08:09Z' commit_all main
	echo later >"$NS/later"
	commit_all main
	unmount
	store_git branch made-by-git main~1
	mount_store
	"$CTL" -C "$MNT" branch at-revision main~1
	local branch before
	for branch in made-by-git at-revision; do
		before=$(shape "$MNT/$branch/ns")
		is "$(stat -c %Y "$MNT/$branch/ns/key")" 1714979289
		echo new >"$MNT/$branch/other"
		commit_all "$branch"
		remount
		is "$(shape "$MNT/$branch/ns")" "$before"
	done
}

@test "a branch that git makes is there, though it was looked for before" {
	commit_all main
	missing "$MNT/theirs"
	missing "$MNT/theirs/ns/key"
	store_git branch theirs main
	ls "$MNT" | grep -qx theirs
	present "$MNT/theirs"
	is "$(ls -d "$MNT/theirs/ns")" "$MNT/theirs/ns"
	missing "$MNT/deep"
	store_git branch deep/one main
	present "$MNT/deep/one/ns"
}

@test "sizes, blocks and link counts are true; du and df tell something useful" {
	make_files "$NS"
	is "$(stat -c %h "$NS/one" "$NS/dir/sub/hard" "$NS/link" | tr '\n' ' ')" "2 2 1 "
	[ "$(stat -c %b "$NS/dir/large")" -ge $((300000 / 512)) ]
	[ "$(stat -c %b "$NS/dir/large")" -le $((300000 / 512 + 300)) ]
	is "$(stat -c %b "$NS/dir/sparse")" 0
	is "$(du -b --apparent-size "$NS/dir/sparse" | cut -f1)" $((5 << 20))
	[ "$(du -s -B1 "$NS/dir/sub/program" | cut -f1)" -ge "$(stat -c %s /bin/true)" ]
	# hard links are counted once
	is "$(du -c -b "$NS/one" "$NS/dir/sub/hard" | tail -1 | cut -f1)" 4
	is "$(df --output=size -B1M "$MNT" | tail -1)" "$(df --output=size -B1M "$STORE" | tail -1)"
}

@test "git status, make, rsync and incremental tar do nothing after a commit and a remount" {
	(
		cd "$NS"
		git init -q .
		echo 'all: out' >Makefile
		printf 'out: in\n\tcp in out\n\techo made >>log\n' >>Makefile
		echo source >in
		make -s
		git add Makefile in
		git commit -q -m first
		git status >/dev/null
		tar --listed-incremental="$T/snapshot" -cf "$T/full.tar" .
	)
	rsync -a "$NS/" "$T/mirror/"
	sha256sum <"$NS/.git/index" >"$T/index"
	commit_all main
	mkdir "$MNT/other"
	echo x >"$MNT/other/elsewhere"
	commit_all other
	on_main -q merge other
	remount
	make -C "$NS" -s
	is "$(cat "$NS/log")" made
	is "$(rsync -a --out-format=%n "$NS/" "$T/mirror/" | grep -v '/$' || true)" ""
	# the index would have other times if files had
	(cd "$NS" && git update-index --refresh)
	is "$(sha256sum <"$NS/.git/index")" "$(cat "$T/index")"
	is "$(cd "$NS" && tar --no-check-device --listed-incremental="$T/snapshot" -cvf "$T/next.tar" . |
		grep -v '/$' | grep -v '^./.git/index' || true)" ""
}
