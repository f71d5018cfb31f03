# SPDX-License-Identifier: Apache-2.0
# Promise: after kill -9 of the daemon at any moment everything whose close(2) returned is there, and
# a commit either happened or did not.
load common

setup()
{
	common_setup
	RANDOM=20261121
	mount_store
	mkdir "$MNT/main/a" "$MNT/main/b"
}

ROUNDS=${PROLLYFS_LONG:+40}
ROUNDS=${ROUNDS:-6}

# Kills the daemon after some milliseconds, ends the WRITERS, mounts again.
kill_and_remount()
{
	local delay=$((RANDOM % 700 + 50))

	echo "killed after $delay ms"
	sleep "$(printf '0.%03d' "$delay")"
	kill_daemon
	for pid in "${WRITERS[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	mount_store
}

# A writer of files of many sizes, which logs each once its close has returned: name, size, checksum.
start_writer()
{
	python3 -c '
import hashlib, os, random, sys
directory, log, seed = sys.argv[1], open(sys.argv[2], "a", buffering=1), sys.argv[3]
r = random.Random(seed)
n = 0
while True:
    n += 1
    name = "%s-%d" % (seed, n % 150)
    data = r.randbytes(r.choice([0, 1, 100, 1000, 5000, 70000, 400000]))
    try:
        fd = os.open(directory + "/" + name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        log.write("%s writing\n" % name)
        for at in range(0, len(data), 50000):
            os.write(fd, data[at:at + 50000])
        os.close(fd)
    except OSError:
        sys.exit()
    log.write("%s %d %s\n" % (name, len(data), hashlib.md5(data).hexdigest()))
' "$1" "$2" "$3" 3>&- &
	WRITERS+=($!)
	wait_for 120 present "$2"
}

# check_writer DIRECTORY LOG: each file that the log ends with as closed is there, whole.
check_writer()
{
	python3 -c '
import hashlib, os, sys
state = {}
for line in open(sys.argv[2]):
    name, *rest = line.split()
    state[name] = rest
checked = 0
for name, rest in state.items():
    if len(rest) == 2:
        data = open(sys.argv[1] + "/" + name, "rb").read()
        assert len(data) == int(rest[0]), (name, len(data), rest)
        assert hashlib.md5(data).hexdigest() == rest[1], name
        checked += 1
print(checked, "files checked")
' "$1" "$2"
}

@test "closed files are there after kill -9 under writers" {
	for round in $(seq "$ROUNDS"); do
		WRITERS=()
		start_writer "$MNT/main/a" "$T/log.a" "a$round"
		start_writer "$MNT/main/b" "$T/log.b" "b$round"
		kill_and_remount
		check_writer "$MNT/main/a" "$T/log.a"
		check_writer "$MNT/main/b" "$T/log.b"
	done
	[ "$(ls "$MNT/main/a" "$MNT/main/b" | wc -l)" -gt 50 ]
	commit_all main "what survived"
	check_writer "$MNT/main/a" "$T/log.a"
	check_writer "$MNT/main/b" "$T/log.b"
	store_git fsck --strict
}

# Renames DIR/one to DIR/two and back for as long as it goes; notes each end.
start_renamer()
{
	python3 -c '
import os, sys
names = [sys.argv[1] + "/one", sys.argv[1] + "/two"]
if not os.path.exists(names[0]):
    names.reverse()
log = open(sys.argv[2], "a", buffering=1)
while True:
    try:
        os.rename(*names)
    except OSError:
        sys.exit()
    log.write(os.path.basename(names[1]) + "\n")
    names.reverse()
' "$1" "$2" 3>&- &
	WRITERS+=($!)
}

@test "the rename of a directory of many keys happened or did not" {
	mkdir "$MNT/main/a/one"
	(cd "$MNT/main/a/one" && seq -f %05g 3000 | xargs touch)
	echo content >"$MNT/main/a/one/00007"
	commit_all main
	(cd "$MNT/main/a/one" && seq -f %05g 3001 4000 | xargs touch)
	echo one >"$T/log"
	for round in $(seq "$ROUNDS"); do
		WRITERS=()
		start_renamer "$MNT/main/a" "$T/log"
		kill_and_remount
		name=$(ls "$MNT/main/a")
		last=$(tail -n 1 "$T/log")
		echo "it is $name, and was $last"
		[ "$name" = one ] || [ "$name" = two ] # not both
		is "$(ls "$MNT/main/a/$name" | wc -l)" 4000
		file_is "$MNT/main/a/$name/00007" content
	done
	run "$CTL" -C "$MNT/main" commit -m "what survived"
	[ "$name" = one ] && n=1000 || n=7000
	[[ $output == *" $n keys changed"* ]]
	is "$(ls "$MNT/main/a/$name" | wc -l)" 4000
}

@test "a commit happened or did not, and what it did not take is still staged" {
	echo 0 >"$MNT/main/a/n"
	echo 0 >"$MNT/main/b/n"
	echo 0 >"$T/closed"
	commit_all main "n 0"
	for round in $(seq "$ROUNDS"); do
		(
			n=$(cat "$T/closed")
			while n=$((n + 1)); do
				{ echo "$n" >"$MNT/main/a/n"; } 2>/dev/null || exit
				{ echo "$n" >"$MNT/main/b/n"; } 2>/dev/null || exit
				echo "$n" >"$T/closed.new"
				mv "$T/closed.new" "$T/closed"
				"$CTL" -C "$MNT/main" -q commit -m "n $n" 2>/dev/null || exit
				echo "$n" >"$T/committed.new"
				mv "$T/committed.new" "$T/committed"
			done
		) 3>&- &
		WRITERS=($!)
		kill_and_remount
		# the head is a commit that was made, with both of its files, and its message says which
		local at closed committed
		closed=$(cat "$T/closed") committed=$(cat "$T/committed" 2>/dev/null || echo 0)
		at=$(store_git log -1 --format=%s main)
		is "$(on_main --at main get a/n)" "${at#n }"
		is "$(on_main --at main get b/n)" "${at#n }"
		[ "${at#n }" -ge "$committed" ] || fail "$at, but $committed was committed"
		# the working state has at least all that was closed; the write that was cut off may have
		# got as far as the truncation of its file
		local name value
		for name in a b; do
			value=$(cat "$MNT/main/$name/n")
			[ -z "$value" ] || [ "$value" -ge "$closed" ] || fail "$name: $value < $closed"
		done
		store_git fsck --strict
		echo $((closed + 1)) | tee "$MNT/main/a/n" "$MNT/main/b/n" >"$T/closed"
		on_main -q commit -m "n $((closed + 1))" || true
		store_git log --format=%s main | sort | uniq -c >"$T/subjects"
	done
}

@test "a file that is replaced by rename is always one version, whole" {
	for round in $(seq "$ROUNDS"); do
		(
			n=0
			while n=$((n + 1)); do
				{ yes "version $n" | head -2000 >"$MNT/main/a/new"; } 2>/dev/null || exit
				mv "$MNT/main/a/new" "$MNT/main/a/file" 2>/dev/null || exit
			done
		) 3>&- &
		WRITERS=($!)
		kill_and_remount
		[ ! -e "$MNT/main/a/file" ] || {
			is "$(wc -l <"$MNT/main/a/file")" 2000
			is "$(sort -u "$MNT/main/a/file" | wc -l)" 1
		}
	done
	present "$MNT/main/a/file"
}

@test "a load is there whole or not at all" {
	entries 1 200000 >"$T/entries"
	for round in $(seq "$ROUNDS"); do
		"$CTL" -C "$MNT/main" load "loaded$round" <"$T/entries" >/dev/null 2>&1 3>&- &
		WRITERS=($!)
		kill_and_remount
		local n
		n=$(on_main ls -r "loaded$round" 2>/dev/null | wc -l)
		[ "$n" -eq 0 ] || [ "$n" -eq 200000 ] || fail "$n entries of a load"
	done
}

@test "a merge happened or did not" {
	entries 1 20000 | on_main load a
	commit_all main base
	mkdir "$MNT/side"
	for round in $(seq "$ROUNDS"); do
		entries 1 20000 "-$round" | ctl "$MNT/side" load a
		commit_all side "side $round"
		echo "$round" >"$MNT/main/b/n"
		commit_all main "main $round"
		local before
		before=$(store_git rev-parse main)
		"$CTL" -C "$MNT/main" -q merge -m "merge $round" side >/dev/null 2>&1 3>&- &
		WRITERS=($!)
		kill_and_remount
		store_git fsck --strict
		if [ "$(store_git rev-parse main)" = "$before" ]; then
			isnt "$(cat "$MNT/main/a/k0000777")" "value 777-$round"
			on_main -q merge -m "merge $round" side
		fi
		is "$(cat "$MNT/main/a/k0000777")" "value 777-$round"
		is "$(cat "$MNT/main/a/k0020000")" "value 20000-$round"
		is "$(on_main --json status | json .changes)" '[]'
	done
}

@test "prollyfs-ctl killed in the middle of its work on an unmounted store" {
	unmount
	entries 1 100000 >"$T/entries"
	for round in $(seq "$ROUNDS"); do
		sed "s/\$/-$round/" "$T/entries" | ctl "$STORE" load a
		"$CTL" -C "$STORE" -q commit -m "commit $round" >/dev/null 2>&1 3>&- &
		local pid=$!
		sleep "$(printf '0.%03d' $((RANDOM % 400 + 10)))"
		kill -9 "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
		is "$(ctl "$STORE" get a/k0012345)" "value 12345-$round"
		case $(ctl "$STORE" --json status | json '.changes | length') in
		0) is "$(store_git log -1 --format=%s main)" "commit $round" ;;
		100000) isnt "$(store_git log -1 --format=%s main)" "commit $round" ;;
		*) fail "half a commit" ;;
		esac
		store_git fsck --strict
	done
}

@test "the lock of a process that was killed keeps nobody out" {
	echo x >"$MNT/main/a/k"
	kill_daemon
	SECONDS=0
	is "$(ctl "$STORE" get a/k)" x
	[ "$SECONDS" -le 5 ] || fail "it took $SECONDS s"
}

@test "a dead mount is cleared, though the kernel answers for it from its cache" {
	echo kept >"$MNT/main/a/file"
	stat "$MNT" "$MNT/main"
	kill_daemon
	stat "$MNT" || true
	mount_store
	file_is "$MNT/main/a/file" kept
}

@test "what fsync and msync wrote to an open file is there" {
	python3 - "$MNT/main/a" "$DAEMON" <<'P'
import mmap, os, signal, sys
os.chdir(sys.argv[1])
fd = os.open("synced", os.O_RDWR | os.O_CREAT)
os.write(fd, b"x" * 100000)
os.fsync(fd)
m = os.open("mapped", os.O_RDWR | os.O_CREAT)
os.ftruncate(m, 8192)
mapped = mmap.mmap(m, 8192)
mapped[5000:5005] = b"hello"
mapped.flush()
os.fsync(m)
os.kill(int(sys.argv[2]), signal.SIGKILL)
P
	wait "$DAEMON" 2>/dev/null || true
	mount_store
	is "$(stat -c %s "$MNT/main/a/synced")" 100000
	is "$(tr -d x <"$MNT/main/a/synced")" ""
	is "$(tr -d '\0' <"$MNT/main/a/mapped")" hello
}

@test "attributes, renames, links and directories survive as well" {
	echo x >"$MNT/main/a/f"
	chmod 741 "$MNT/main/a/f"
	touch -d '2001-02-03' "$MNT/main/a/f"
	mkdir -p "$MNT/main/a/d/e"
	mv "$MNT/main/a/f" "$MNT/main/a/d/g"
	ln "$MNT/main/a/d/g" "$MNT/main/a/h"
	ln -s h "$MNT/main/a/l"
	setfattr -n user.x -v y "$MNT/main/a/h"
	mkdir "$MNT/branch"
	kill_daemon
	mount_store
	is "$(stat -c '%a %Y %h' "$MNT/main/a/h")" "741 981158400 2"
	is "$(stat -c %i "$MNT/main/a/d/g")" "$(stat -c %i "$MNT/main/a/h")"
	file_is "$MNT/main/a/l" x
	[ -d "$MNT/main/a/d/e" ]
	missing "$MNT/main/a/f"
	is "$(getfattr --only-values -n user.x "$MNT/main/a/d/g")" y
	is "$(ls "$MNT")" "branch
main"
}
