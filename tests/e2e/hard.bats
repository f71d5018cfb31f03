# SPDX-License-Identifier: Apache-2.0
# Promise: programs that lean hard on a filesystem, and changes of a branch under those who use it,
# work as anywhere else.
load common

setup()
{
	common_setup
	mount_namespace
}

have()
{
	command -v "$1" >/dev/null || skip "no $1"
}

# ---- Programs ------------------------------------------------------------------------------------

# A tree with links of both kinds, attributes, odd modes and times, and a sparse file.
make_tree()
{
	mkdir -p "$1/a/b/c" "$1/empty"
	random_bytes 200000 1 >"$1/a/large"
	echo small >"$1/a/b/small"
	ln "$1/a/b/small" "$1/a/b/c/hard"
	ln -s ../large "$1/a/b/link"
	truncate -s 3M "$1/sparse"
	printf x | dd of="$1/sparse" bs=1 seek=1000000 conv=notrunc status=none
	chmod 750 "$1/a/b"
	chmod 400 "$1/a/large"
	touch -d '2003-04-05 06:07:08.123456789' "$1/a/large" "$1/a/b"
	setfattr -n user.one -v 1 "$1/a/large"
	setfattr -n user.two -v 2 "$1/a"
	local i
	for i in $(seq 50); do echo "$i" >"$1/empty.$i"; done
	# rsync takes times of one second for the same
	find "$1" -type l -exec touch -h -d '2004-05-06 07:08:09' {} +
}

# all DIR: what two copies have to agree in.
all()
{
	(cd "$1" && find . -mindepth 1 \( -type d -printf '%p d %m\n' -o -printf '%p %y %m %s %n %T@ %l\n' \) |
		sort && getfattr -R -d . 2>/dev/null)
}

@test "rsync -aHAX --delete, there and back" {
	have rsync
	make_tree "$T/tree"
	rsync -aHAX --delete "$T/tree/" "$NS/copy/"
	is "$(all "$NS/copy")" "$(all "$T/tree")"
	commit_all main
	rm -r "$T/tree/a/b/c" "$T/tree/empty.7"
	echo more >>"$T/tree/empty.8"
	mv "$T/tree/empty.9" "$T/tree/moved"
	rsync -aHAX --delete "$T/tree/" "$NS/copy/"
	is "$(all "$NS/copy")" "$(all "$T/tree")"
	is "$(rsync -aHAX --delete --out-format=%n "$T/tree/" "$NS/copy/")" ""
	rsync -aHAX --delete "$NS/copy/" "$T/back/"
	is "$(all "$T/back")" "$(all "$T/tree")"
	is "$(rsync -aHAXc --delete --out-format=%n "$NS/copy/" "$T/tree/")" ""
}

@test "tar --xattrs --sparse, out of the mount and into it" {
	make_tree "$T/tree"
	tar -C "$T/tree" --xattrs -cSf "$T/in.tar" .
	mkdir "$NS/copy"
	tar -C "$NS/copy" --xattrs -xpf "$T/in.tar"
	is "$(all "$NS/copy")" "$(all "$T/tree")"
	commit_all main
	tar -C "$NS/copy" --xattrs -cSf "$T/out.tar" .
	mkdir "$T/back"
	tar -C "$T/back" --xattrs -xpf "$T/out.tar"
	is "$(all "$T/back")" "$(all "$T/tree")"
	diff -r "$T/back" "$T/tree"
}

@test "cp -al, and what becomes of it" {
	make_tree "$NS/tree"
	cp -al "$NS/tree" "$NS/links"
	is "$(stat -c %h "$NS/tree/a/large" "$NS/links/a/b/small" | tr '\n' ' ')" "2 4 "
	is "$(stat -c %i "$NS/tree/a/large")" "$(stat -c %i "$NS/links/a/large")"
	commit_all main
	remount
	is "$(stat -c %h "$NS/tree/a/large" "$NS/links/a/b/small" | tr '\n' ' ')" "2 4 "
	echo changed >"$NS/links/a/b/small"
	file_is "$NS/tree/a/b/c/hard" changed
	rm -rf "$NS/links"
	is "$(stat -c %h "$NS/tree/a/large" "$NS/tree/a/b/small" | tr '\n' ' ')" "1 2 "
}

@test "pip install --target of hundreds of modules" {
	python3 -m pip --version >/dev/null 2>&1 || skip "no pip"
	python3 - "$T/thing-1-py3-none-any.whl" <<-'EOF'
		import sys, zipfile

		info = "thing-1.dist-info/"
		with zipfile.ZipFile(sys.argv[1], "w") as wheel:
		    wheel.writestr("thing/__init__.py", "")
		    for i in range(300):
		        wheel.writestr(f"thing/module{i}.py", f"VALUE = {i}\n")
		    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1\n")
		    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: us\n"
		                   "Root-Is-Purelib: true\nTag: py3-none-any\n")
		    wheel.writestr(info + "RECORD", "")
	EOF
	python3 -m pip install --quiet --no-index --disable-pip-version-check \
		--target "$NS/site" "$T/thing-1-py3-none-any.whl" 2>"$T/pip.log" || fail "$(cat "$T/pip.log")"
	is "$(PYTHONPATH=$NS/site python3 -c \
		'import thing.module7, thing.module200 as m; print(thing.module7.VALUE + m.VALUE)')" 207
	is "$(find "$NS/site" -name 'module*.py' | wc -l)" 300
	commit_all main
	is "$(PYTHONPATH=$NS/site python3 -c 'import thing.module199 as m; print(m.VALUE)')" 199
}

# A writer in the directory it stands in, whatever that is called meanwhile, and in ELSEWHERE.
start_standing_writer()
{
	python3 -c '
import os, sys
os.chdir(sys.argv[1])
n = 0
while not os.path.exists(sys.argv[3]):
    for path in "./new-%d" % n, "%s/%d" % (sys.argv[2], n):
        with open(path, "x") as f:
            f.write("%d\n" % n)
    os.rename("./new-%d" % n, "./kept-%d" % n)
    n += 1
open(sys.argv[3] + ".count", "w").write(str(n))
' "$1" "$2" "$3" 3>&- &
	wait_for 60 test -e "$2/0"
}

@test "a directory of many keys is renamed under those who write in it, and elsewhere" {
	mkdir "$NS/one" "$NS/elsewhere"
	(cd "$NS/one" && seq -f %05g 3000 | xargs touch)
	commit_all main
	start_standing_writer "$NS/one" "$NS/elsewhere" "$T/stop"
	local writer=$!
	for i in 1 2 3 4; do
		mv "$NS/one" "$NS/two"
		mkdir "$NS/taken"
		mv -T "$NS/two" "$NS/taken"
		mv "$NS/taken" "$NS/one"
	done
	touch "$T/stop"
	wait "$writer"
	local n
	n=$(cat "$T/stop.count")
	is "$(ls "$NS")" "elsewhere
one"
	is "$(ls "$NS/one" | wc -l)" $((3000 + n))
	is "$(ls "$NS/elsewhere" | wc -l)" "$n"
	is "$(cd "$NS/one" && cat kept-* | sort -n)" "$(seq 0 $((n - 1)))"
	commit_all main
	remount
	is "$(ls "$NS/one" | wc -l)" $((3000 + n))
}

@test "an editor saves, with backup and rename" {
	vim --version 2>/dev/null | grep -q +writebackup || skip "no vim that makes backups"
	echo one >"$NS/file"
	chmod 640 "$NS/file"
	vim -u NONE -es -c 'set backup writebackup backupdir=. backupskip= backupcopy=no' -c '%s/one/two/' -c wq "$NS/file" </dev/null || true
	file_is "$NS/file" two
	file_is "$NS/file~" one
	is "$(stat -c %a "$NS/file")" 640
	vim -u NONE -es -c 'set backupcopy=yes' -c '%s/two/three/' -c wq "$NS/file" </dev/null || true
	file_is "$NS/file" three
	is "$(find "$NS" -name '.*.sw*')" ""
}

# What NAME's files are: modes, links and contents.
edited()
{
	(cd "$1" && find . -type f ! -name '.*.sw?' -printf '%p %m %n\n' -exec md5sum {} + | sort)
}

@test "emacs saves as on any other filesystem: backups by renaming and copying, through links" {
	have emacs
	local dir
	mkdir "$T/plain" "$NS/edit"
	for dir in "$T/plain" "$NS/edit"; do
		printf 'one\n' >"$dir/file"
		ln "$dir/file" "$dir/hard"
		ln -s file "$dir/link"
		chmod 640 "$dir/file"
		emacs -Q --batch --eval "(progn
			(setq make-backup-files t backup-enable-predicate (lambda (name) t))
			(dolist (way '((file nil nil) (file t nil) (link nil t) (file nil t)))
				(setq backup-by-copying (nth 1 way) file-precious-flag (nth 2 way)
				      version-control t kept-new-versions 9)
				(find-file (concat \"$dir/\" (symbol-name (nth 0 way))))
				(goto-char (point-max))
				(insert (format \"%s\\n\" way))
				(save-buffer)
				(kill-buffer)))" 2>"$T/emacs.log" || fail "$(cat "$T/emacs.log")"
	done
	[ "$(grep -c . "$T/plain/file")" -eq 4 ]
	is "$(edited "$NS/edit")" "$(edited "$T/plain")"
	commit_all main
	remount
	is "$(edited "$NS/edit")" "$(edited "$T/plain")"
}

@test "nano saves, with and without a backup, what is typed at it" {
	have nano
	printf 'old\n' >"$NS/file"
	chmod 600 "$NS/file"
	TERM=xterm python3 - "$NS" <<-'EOF'
		import os, pty, sys

		def nano(keys, *arguments):
		    pid, terminal = pty.fork()
		    if pid == 0:
		        os.chdir(sys.argv[1])
		        os.execvp("nano", ["nano", "--ignorercfiles", *arguments])
		    shown = b""
		    try:
		        while chunk := os.read(terminal, 4096):
		            shown += chunk
		            if keys and keys[0][0] in shown:
		                os.write(terminal, keys.pop(0)[1])
		                shown = b""
		    except OSError:  # what a terminal says when the last program has left it
		        pass
		    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 and not keys, (keys, shown)

		# what is waited for, and what is typed then
		save = [(b"File Name", b"\r"), (b"Wrote", b"\x18")]
		nano([(b"Help", b"first \x0f")] + save, "file")
		nano([(b"Help", b"second \x0f")] + save, "--backup", "file")
		nano([(b"Help", b"made\x0f")] + save, "new")
	EOF
	file_is "$NS/file" "second first old"
	file_is "$NS/file~" "first old"
	file_is "$NS/new" made
	is "$(stat -c %a "$NS/file" "$NS/file~" | tr '\n' ' ')" "600 600 "
}

@test "npm install of a package with hundreds of files" {
	have npm
	local i
	mkdir -p "$T/thing/lib/deep" "$NS/app"
	for i in $(seq 400); do
		echo "module.exports = $i" >"$T/thing/lib/deep/part$i.js"
	done
	printf '#!/usr/bin/env node\nconsole.log(require("../lib/deep/part7.js") + 35)\n' >"$T/thing/lib/run.js"
	echo '{"name": "thing", "version": "1.0.0", "bin": {"thing": "lib/run.js"}}' >"$T/thing/package.json"
	tar -C "$T" --transform 's,^thing,package,' -czf "$T/thing.tgz" thing
	echo '{"name": "app", "version": "1.0.0"}' >"$NS/app/package.json"
	cd "$NS/app"
	npm install --offline --no-audit --no-fund --no-update-notifier "$T/thing.tgz" >"$T/npm.log" 2>&1 ||
		fail "$(cat "$T/npm.log")"
	is "$(find node_modules/thing -name 'part*.js' | wc -l)" 400
	is "$(node_modules/.bin/thing)" 42
	on_main -q commit -m installed
	npm uninstall --offline --no-audit --no-fund --no-update-notifier thing >"$T/npm.log" 2>&1 ||
		fail "$(cat "$T/npm.log")"
	missing node_modules/thing
	on_main -q reset --hard
	is "$(node_modules/.bin/thing)" 42
	cd "$T"
}

@test "a git repository of thousands of commits: cloned, rebased, gc'd, fsck'd" {
	git init -q -b trunk "$NS/big"
	python3 - <<-'EOF' | git -C "$NS/big" fast-import --quiet
		for i in range(1, 2001):
		    text = f"{i}\n" * (i % 7 + 1)
		    print(f"commit refs/heads/trunk\nmark :{i}\ncommitter C <c@x> {1700000000 + i} +0000\n"
		          f"data 2\nc\nM 644 inline d{i % 13}/e{i % 37}/f{i % 211}\ndata {len(text)}\n{text}")
		for i in range(50, 2001, 50):
		    print(f"commit refs/heads/side/{i}\ncommitter C <c@x> {1700000000 + i} +0000\n"
		          f"data 1\ns\nfrom :{i}\nM 644 inline side\ndata 2\ns\n")
	EOF
	cd "$NS/big"
	git reset -q --hard
	is "$(git rev-list --all --count)" 2040
	git clone -q "$NS/big" "$NS/clone"
	cd "$NS/clone"
	git checkout -q -b topic trunk~300
	for i in 1 2 3; do
		echo "$i" >"new$i"
		git add . && git commit -q -m "new $i"
	done
	git rebase -q trunk
	is "$(git rev-list --count HEAD)" 2003
	git worktree add -q "$NS/tree" topic~1
	git gc -q --prune=now
	git fsck --full --strict
	cd "$T"
	commit_all main
	remount
	is "$(git -C "$NS/clone" status --porcelain)" ""
	is "$(git -C "$NS/tree" status --porcelain)" ""
	git -C "$NS/clone" fsck --full --strict
	git -C "$NS/big" repack -q -a -d
	git -C "$NS/big" fsck --full
	diff -r --exclude=.git "$NS/big" "$NS/clone" | sort >"$T/differs"
	is "$(wc -l <"$T/differs")" 3
}

@test "an SQLite database in WAL mode: two processes write, two read, and every sum is whole" {
	python3 - "$NS/wal.db" <<-'EOF'
		import multiprocessing, sqlite3, sys

		path = sys.argv[1]
		db = sqlite3.connect(path)
		assert db.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
		with db:
		    db.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
		    db.executemany("INSERT INTO t VALUES (?, 0)", [(i,) for i in range(100)])

		def write(k):
		    own = sqlite3.connect(path, timeout=300, isolation_level=None)
		    for i in range(60):
		        own.execute("BEGIN IMMEDIATE")
		        own.execute("UPDATE t SET b = b + 1 WHERE a = ?", (k,))
		        own.execute("UPDATE t SET b = b - 1 WHERE a = ?", (k + 50,))
		        own.execute("COMMIT")

		def read(k):
		    own = sqlite3.connect(path, timeout=300)
		    for i in range(200):
		        assert own.execute("SELECT sum(b) FROM t").fetchone() == (0,)

		all = [multiprocessing.Process(target=what, args=(k,)) for what in (write, read) for k in (1, 2)]
		for one in all: one.start()
		for one in all: one.join()
		assert [one.exitcode for one in all] == [0] * 4
		assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
		assert db.execute("SELECT b FROM t WHERE a IN (1, 2, 51, 52)").fetchall() == [(60,), (60,), (-60,), (-60,)]
	EOF
	commit_all main
	is "$(sqlite3 "$MNT/.prollyfs/at/main/ns/wal.db" 'PRAGMA integrity_check' 2>/dev/null ||
		{ cp "$MNT/.prollyfs/at/main/ns/wal.db" "$T/wal.db" && sqlite3 "$T/wal.db" 'PRAGMA integrity_check'; })" ok
}

# ---- Many at once --------------------------------------------------------------------------------

@test "find -delete and rm -rf while others create" {
	local round makers=() i
	mkdir "$NS/d"
	for i in 1 2 3; do
		(for round in $(seq 150); do
			mkdir -p "$NS/d/$i/$round" && echo x >"$NS/d/$i/$round/file"
		done 2>/dev/null) &
		makers+=($!)
	done
	for round in 1 2 3 4 5; do
		find "$NS/d" -mindepth 1 -delete 2>/dev/null || true
		rm -rf "$NS/d/1" 2>/dev/null || true
	done
	wait "${makers[@]}" || true
	rm -rf "$NS/d"
	missing "$NS/d"
	is "$(ls -A "$NS")" ""
	commit_all main 2>/dev/null || true
	is "$(find "$NS" -mindepth 1)" ""
}

# ---- A branch that changes under those who use it ------------------------------------------------

@test "a merge while files are open, a process is in a directory, and one is writing" {
	mkdir -p "$NS/dir/sub"
	echo base >"$NS/dir/file"
	echo mine >"$NS/dir/sub/written"
	commit_all main
	mkdir "$MNT/other"
	echo theirs >"$MNT/other/ns/dir/file"
	echo new >"$MNT/other/ns/dir/sub/new"
	commit_all other
	exec 4<"$NS/dir/file" 5>>"$NS/dir/sub/written"
	(
		cd "$NS/dir/sub"
		on_main -q merge other
		file_is new new
		is "$(ls)" "new
written"
		is "$(pwd -P)" "$NS/dir/sub"
		is "$(cat ../file)" theirs
	)
	is "$(cat <&4)" base
	echo more >&5
	exec 4<&- 5>&-
	file_is "$NS/dir/sub/written" "mine
more"
	file_is "$NS/dir/file" theirs
}

@test "a reset while a file is open and a process is in a directory that goes" {
	echo first >"$NS/file"
	commit_all main
	mkdir "$NS/later"
	echo second >"$NS/file"
	echo x >"$NS/later/x"
	commit_all main
	exec 4<>"$NS/file"
	(
		cd "$NS/later"
		ctl "$MNT/main" -q reset --hard main~1
		is "$(ls -A . 2>/dev/null || true)" ""
		! touch new 2>/dev/null
	)
	is "$(cat <&4)" second
	echo orphan >&4
	exec 4>&-
	file_is "$NS/file" first
	missing "$NS/later"
}

@test "a branch deleted while a file is open, a process is in it, and one is writing" {
	mkdir "$MNT/other" "$MNT/other/ns"
	echo text >"$MNT/other/ns/file"
	commit_all other
	exec 4<"$MNT/other/ns/file" 5>"$MNT/other/ns/written"
	echo before >&5
	(
		cd "$MNT/other/ns"
		"$CTL" -C "$MNT" branch -D other
		! ls file 2>/dev/null
		! touch new 2>/dev/null
	)
	is "$(cat <&4)" text
	echo after >&5 || true
	exec 4<&- 5>&-
	is "$(ls "$MNT")" main
	# one of that name is another
	mkdir "$MNT/other"
	missing "$MNT/other/ns/file"
}

# ---- Hard links that are separated under those who use them --------------------------------------

@test "a name that was deleted and made again is not the file that its other names are" {
	echo keep >"$NS/one"
	ln "$NS/one" "$NS/two"
	exec 4<>"$NS/two"
	printf precious >&4
	on_main -q delete ns/one
	printf new >"$NS/one"
	printf ' things' >&4
	exec 4>&-
	for _ in cached remounted; do
		file_is "$NS/one" new
		file_is "$NS/two" "precious things"
		is "$(stat -c %h "$NS/one" "$NS/two" | tr '\n' ' ')" "1 1 "
		remount
	done
}

@test "nor is one that a merge replaced, though the file is being written" {
	echo CCC >"$NS/e"
	ln "$NS/e" "$NS/f"
	commit_all main
	mkdir "$MNT/side"
	rm "$MNT/side/ns/e"
	echo DDDDDD >"$MNT/side/ns/e"
	commit_all side
	cat "$NS/e" "$NS/f" >/dev/null
	exec 4<>"$NS/f"
	echo CCC >&4
	on_main -q merge side
	file_is "$NS/e" DDDDDD
	file_is "$NS/f" CCC
	echo EEEEEEEEE >"$NS/e"
	file_is "$NS/f" CCC
	printf F >&4
	exec 4>&-
	for _ in cached remounted; do
		file_is "$NS/e" EEEEEEEEE
		file_is "$NS/f" "CCC
F"
		remount
	done
}

@test "what becomes of a hard link becomes of its file, whichever name another has taken" {
	local names
	for names in "p q" "q p"; do
		rm -rf "$MNT/side" "$NS"/?
		echo CCC >"$NS/p"
		ln "$NS/p" "$NS/q"
		commit_all main
		remount
		"$CTL" -C "$MNT" -q branch side main
		rm "$MNT/side/ns/p"
		echo DDDDDD >"$MNT/side/ns/p"
		commit_all side
		(cd "$NS" && stat $names >/dev/null)
		on_main -q merge side
		chmod 600 "$NS/q"
		echo more >>"$NS/q"
		is "$(stat -c %a "$NS/p" "$NS/q" | tr '\n' ' ')" "644 600 "
		remount
		is "$(stat -c %a "$NS/p" "$NS/q" | tr '\n' ' ')" "644 600 "
		file_is "$NS/p" DDDDDD
		file_is "$NS/q" "CCC
more"
		"$CTL" -C "$MNT" -q branch -D side
	done
}

@test "a file whose known names are gone is there yet under the others" {
	echo text >"$NS/a"
	ln "$NS/a" "$NS/b"
	remount
	python3 - "$NS" <<'P'
import ctypes, os, sys
os.chdir(sys.argv[1])
file = os.open("a", os.O_PATH)
os.unlink("a")
held = "/proc/self/fd/%d" % file
assert os.fstat(file).st_nlink == 1, os.fstat(file)
os.chmod(held, 0o600)
os.setxattr(held, "user.note", b"text")
with open(held, "a") as more:
    more.write("more")
assert ctypes.CDLL(None).linkat(-100, held.encode(), -100, b"c", 0x400) == 0
assert os.fstat(file).st_nlink == 2, os.fstat(file)
os.unlink("b")
os.unlink("c")
assert os.fstat(file).st_nlink == 0, os.fstat(file)
os.chmod(held, 0o644)
with open("d", "w"):
    pass
P
	echo text >"$NS/a"
	ln "$NS/a" "$NS/b"
	remount
	python3 -c '
import os, sys
os.chdir(sys.argv[1])
file = os.open("a", os.O_PATH)
os.unlink("a")
os.chmod("/proc/self/fd/%d" % file, 0o600)
' "$NS"
	remount
	is "$(stat -c '%a %h' "$NS/b")" "600 1"
	is "$(stat -c '%a %h' "$NS/d")" "644 1"
}

@test "hard links that a merge, a reset or a restore leaves are counted anew, and are what is changed" {
	echo CCC | tee "$NS/p" >"$NS/u"
	ln "$NS/p" "$NS/q"
	ln "$NS/u" "$NS/v"
	commit_all main
	mkdir "$MNT/side"
	rm "$MNT/side/ns/p" "$MNT/side/ns/u"
	echo DDDDDD | tee "$MNT/side/ns/p" >"$MNT/side/ns/u"
	commit_all side
	remount
	is "$(stat -c %h "$NS/p" "$NS/q" "$NS/v" | tr '\n' ' ')" "2 2 2 " # u is not known
	exec 4<"$NS/q"
	on_main -q merge side
	is "$(stat -Lc %h /proc/self/fd/4)" 1
	exec 4<&-
	is "$(stat -c %h "$NS/v")" 1
	file_is "$NS/p" DDDDDD
	chmod 600 "$NS/q"
	chown 1234 "$NS/q" 2>/dev/null || true
	is "$(stat -c '%a %h' "$NS/q")" "600 1"
	local owner
	owner=$(stat -c %u "$NS/q")
	remount
	is "$(stat -c '%a %u %h' "$NS/q")" "600 $owner 1"
	[ "$(id -u)" -ne 0 ] || is "$owner" 1234

	echo twice >"$NS/q"
	ln "$NS/v" "$NS/w"
	ln "$NS/v" "$NS/x"
	commit_all main
	remount
	is "$(stat -c %h "$NS/v")" 3
	on_main -q restore --source=main~1 ns/w
	is "$(stat -c %h "$NS/v")" 2
	ln "$NS/v" "$NS/y"
	ln "$NS/v" "$NS/z"
	remount
	is "$(stat -c %h "$NS/v")" 4
	on_main -q reset --hard main
	is "$(stat -c %h "$NS/v")" 3
	remount
	is "$(stat -c %h "$NS/v" "$NS/w" "$NS/x" | tr '\n' ' ')" "3 3 3 "
}

@test "what is held and was replaced behind the kernel is stale: nothing is set that would be lost" {
	echo CCC >"$NS/p"
	ln "$NS/p" "$NS/q"
	echo one | tee "$NS/x" >"$NS/y"
	commit_all main
	mkdir "$MNT/side"
	rm "$MNT/side/ns"/?
	(cd "$MNT/side/ns" && echo DDDDDD | tee p q x >y)
	commit_all side
	python3 - "$NS" "$CTL" "$MNT/main" <<'P'
import ctypes, errno, os, subprocess, sys
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)

def link(held):
    if libc.linkat(-100, held.encode(), -100, b"made", 0x400):
        raise OSError(ctypes.get_errno(), "linkat")

opened = open("y")
held = ["/proc/self/fd/%d" % os.open(name, os.O_PATH) for name in ("p", "q", "x")]
subprocess.run([sys.argv[2], "-C", sys.argv[3], "-q", "merge", "side"], check=True)
try:
    link("/proc/self/fd/%d" % opened.fileno())
    raise SystemExit("the new one was linked")
except OSError as error:
    assert error.errno == errno.ENOENT, error
assert opened.read() == "one\n"
for is_seen in False, True:
    for path in held:
        for change in (os.stat, lambda path: os.chmod(path, 0o600), lambda path: os.utime(path, (1, 1)),
                       lambda path: os.setxattr(path, "user.note", b"text"), os.listxattr, link):
            try:
                change(path)
                raise SystemExit("%s of %s: done, seen: %s" % (change, path, is_seen))
            except OSError as error:
                assert error.errno == errno.ESTALE, error
    for name in "p", "q", "x":
        with open(name) as file:
            assert file.read() == "DDDDDD\n"
        assert os.stat(name).st_mode & 0o777 == 0o644
P
	missing "$NS/made"
}
