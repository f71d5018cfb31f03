# SPDX-License-Identifier: Apache-2.0
# Promise: real tools work on real files, through the mount, and find there what they put there.
load common

setup()
{
	common_setup
	mount_namespace
}

# A tree of some thousand files of the system, of many sizes, with links.
SOURCE=/usr/include
big_enough()
{
	[ "$(find "$SOURCE" -type f | wc -l)" -ge 2000 ] || fail "$SOURCE has too few files"
}

# listing DIRECTORY: all that cp -a keeps, without the times of directories' changes.
listing()
{
	(cd "$1" && find . ! -type d -printf '%P %y %m %U %G %s %T@ %l\n' -o -type d -printf '%P %y %m %U %G %T@\n' |
		sort)
}

@test "cp -a of thousands of files, and diff -r" {
	big_enough
	cp -a "$SOURCE" "$NS/"
	diff -r --no-dereference "$SOURCE" "$NS/include"
	is "$(listing "$NS/include" | md5sum)" "$(listing "$SOURCE" | md5sum)"
	commit_all main "headers"
	diff -r --no-dereference "$SOURCE" "$NS/include"
	is "$(listing "$NS/include" | md5sum)" "$(listing "$SOURCE" | md5sum)"
	remount
	diff -r --no-dereference "$SOURCE" "$NS/include"
	is "$(listing "$NS/include" | md5sum)" "$(listing "$SOURCE" | md5sum)"
	is "$(on_main --json status | json '.changes | length')" 0
	cp -a "$NS/include" "$T/out"
	diff -r --no-dereference "$SOURCE" "$T/out"
}

@test "tar out and in" {
	tar -C "$SOURCE" -cf "$T/in.tar" .
	mkdir "$NS/t"
	tar -C "$NS/t" -xpf "$T/in.tar"
	tar -C "$NS/t" --sort=name -cf "$T/out.tar" .
	tar -C "$SOURCE" --sort=name -cf "$T/again.tar" .
	cmp "$T/out.tar" "$T/again.tar"
	tar -C "$NS/t" -df "$T/in.tar"
}

@test "tar straight into a branch: its directories are namespaces" {
	mkdir -p "$T/tree/one/deep" "$T/tree/two"
	echo a >"$T/tree/top"
	echo b >"$T/tree/one/deep/b"
	echo c >"$T/tree/two/c"
	tar -C "$T/tree" -cf - . | tar -C "$MNT/main" -xpf -
	file_is "$MNT/main/one/deep/b" b
	is "$(on_main --json status | json '[.changes[].path] | sort')" '["one/deep/b","top","two/c"]'
}

@test "rsync -a twice: the second moves nothing" {
	rsync -a "$SOURCE/" "$NS/r/"
	run rsync -a --itemize-changes --stats "$SOURCE/" "$NS/r/"
	status_is 0
	output_has "Number of regular files transferred: 0"
	is "$(grep -c '^[<>ch.*]' <<<"$output" || true)" 0
	commit_all main
	run rsync -a --itemize-changes --checksum "$SOURCE/" "$NS/r/"
	is "$output" ""
	remount
	run rsync -a --itemize-changes "$SOURCE/" "$NS/r/"
	is "$output" ""
	touch "$NS/r/extra"
	run rsync -a --delete --itemize-changes "$SOURCE/" "$NS/r/"
	output_has "*deleting   extra"
	run rsync -a --itemize-changes "$NS/r/" "$T/back/"
	diff -r --no-dereference "$SOURCE" "$T/back"
}

@test "grep -r, find, du, ls -R and sort see what the source has" {
	cp -a "$SOURCE/linux" "$NS/"
	is "$(cd "$NS/linux" && grep -rl 'define' . | sort | md5sum)" \
		"$(cd "$SOURCE/linux" && grep -rl 'define' . | sort | md5sum)"
	is "$(cd "$NS/linux" && find . -name '*.h' -size +3k | sort | md5sum)" \
		"$(cd "$SOURCE/linux" && find . -name '*.h' -size +3k | sort | md5sum)"
	is "$(cd "$NS/linux" && ls -R | md5sum)" "$(cd "$SOURCE/linux" && ls -R | md5sum)"
	is "$(du -s --apparent-size -b --exclude='*/' "$NS/linux/fuse.h" | cut -f1)" \
		"$(stat -c %s "$SOURCE/linux/fuse.h")"
	is "$(find "$MNT" -path '*.prollyfs*' | wc -l)" 0
}

@test "sed -i, sort -o, and an editor's write-temp-and-rename" {
	seq 1000 | sort -R --random-source=<(yes) >"$NS/numbers"
	sort -n -o "$NS/numbers" "$NS/numbers"
	is "$(cat "$NS/numbers")" "$(seq 1000)"
	sed -i 's/^5$/five/' "$NS/numbers"
	is "$(sed -n 5p "$NS/numbers")" five
	perl -pi.bak -e 's/^7$/seven/' "$NS/numbers"
	is "$(sed -n 7p "$NS/numbers")" seven
	is "$(sed -n 7p "$NS/numbers.bak")" 7
	python3 - "$NS/numbers" <<'P'
import os, sys
path = sys.argv[1]
for n in range(200):
    with open(path + ".tmp", "w") as f:
        f.write("version %d\n" % n)
        f.flush()
        os.fsync(f.fileno())
    os.replace(path + ".tmp", path)
    assert open(path).read() == "version %d\n" % n
P
	# vim: the old file away under another name, a new one under its own, then the old one deleted
	mv "$NS/numbers" "$NS/numbers~"
	echo edited >"$NS/numbers"
	rm "$NS/numbers~"
	file_is "$NS/numbers" edited
	is "$(ls "$NS")" "numbers
numbers.bak"
}

@test "rm -r of thousands of files" {
	cp -a "$SOURCE" "$NS/"
	commit_all main
	rm -r "$NS/include"
	is "$(ls -A "$NS")" ""
	commit_all main
	is "$(on_main ls -r ns)" ""
}

@test "git: init, add, commit, fsck, clone inside a namespace" {
	cd "$NS"
	git -c init.defaultBranch=trunk init -q repo
	cp -a "$SOURCE/linux" repo/
	cd repo
	git add .
	git commit -q -m "first"
	git checkout -q -b side
	sed -i 's/FUSE/fuse/' linux/fuse.h
	git commit -q -a -m "second"
	git checkout -q trunk
	git mv linux/fs.h linux/filesystem.h
	git commit -q -m "third"
	git merge -q -m merged side
	git gc -q
	git fsck --strict
	is "$(git status --porcelain)" ""
	is "$(git log --oneline | wc -l)" 4
	git clone -q "$NS/repo" "$NS/clone"
	git -C "$NS/clone" fsck --strict
	diff -r --exclude=.git "$NS/repo" "$NS/clone"
	cd "$T"
	commit_all main
	remount
	git -C "$NS/repo" fsck --strict
	is "$(git -C "$NS/repo" status --porcelain)" ""
	git clone -q "$NS/clone" "$T/clone"
	diff -r --exclude=.git "$NS/repo" "$T/clone"
}

@test "an SQLite database: journal and WAL modes, integrity, commits under it" {
	local db=$NS/data.db
	sqlite3 "$db" 'CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);
		CREATE INDEX i ON t(b);
		WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000)
		INSERT INTO t SELECT x, printf("row %08d", x) FROM n;'
	is "$(sqlite3 "$db" 'SELECT count(*), sum(a) FROM t')" "20000|200010000"
	commit_all main one
	sqlite3 "$db" 'UPDATE t SET b = "changed" WHERE a % 100 = 0; DELETE FROM t WHERE a > 19000;'
	is "$(sqlite3 "$db" 'PRAGMA integrity_check; SELECT count(*) FROM t WHERE b = "changed"')" "ok
190"
	is "$(sqlite3 "$db" 'BEGIN; DELETE FROM t; ROLLBACK; SELECT count(*) FROM t')" 19000
	sqlite3 "$db" 'VACUUM; PRAGMA integrity_check' | grep -qx ok
	local n writers=()
	for n in 1 2 3 4; do
		for k in $(seq 20); do
			sqlite3 -cmd '.timeout 20000' "$db" "INSERT INTO t(b) VALUES('writer $n')"
		done &
		writers+=($!)
	done
	wait "${writers[@]}"
	is "$(sqlite3 "$db" 'SELECT count(*) FROM t')" 19080
	commit_all main two
	remount
	is "$(sqlite3 "$db" 'PRAGMA integrity_check; SELECT count(*) FROM t')" "ok
19080"
	cp "$MNT/.prollyfs/at/main~1/ns/data.db" "$T/old.db"
	is "$(sqlite3 "$T/old.db" 'SELECT count(*), sum(a) FROM t')" "20000|200010000"
}

@test "a C program is built inside" {
	printf '#include <stdio.h>\nint main(void) { return printf("built inside\\n") < 0; }\n' >"$NS/hello.c"
	(cd "$NS" && cc -o hello hello.c)
	is "$("$NS/hello")" "built inside"
	commit_all main
	remount
	is "$("$NS/hello")" "built inside"
}

@test "shell: redirections, here-documents, pipes, globs, cd between branches" {
	cd "$MNT/main/ns"
	cat >list <<'L'
pear
apple
L
	sort list | tee sorted >/dev/null
	is "$(echo *)" "list sorted"
	mkdir ../../trial ../../trial/ns
	cd ../../trial/ns
	is "$(pwd)" "$MNT/trial/ns"
	echo plum >list
	is "$(cat ../../*/ns/list | sort | tr '\n' ' ')" "apple pear plum "
	is "$(cd .. && basename "$PWD")" trial
}
