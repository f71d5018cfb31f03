# SPDX-License-Identifier: Apache-2.0
# Promise: one process at a time has a store open; the others work through it or are told who has it,
# and one that died keeps nobody out.
load common

# library SCRIPT [ARGUMENT...]: in Python with the library: OPEN(STORE[, WAIT_MS]), the handle, or the
# message why there is none; CLOSE(HANDLE).
library()
{
	local so=$PROLLYFS_BUILD/core/libprollyfs.so

	[ -e "$so" ] || skip "no shared library"
	is_sanitized && skip "a sanitizer has to be in the program"
	python3 -c '
import ctypes, os, sys
class Options(ctypes.Structure):
    _fields_ = [("create", ctypes.c_bool), ("cache_size", ctypes.c_uint64), ("mount", ctypes.c_char_p),
                ("wait_ms", ctypes.c_uint)]
class Error(ctypes.Structure):
    _fields_ = [("domain", ctypes.c_uint32), ("code", ctypes.c_int), ("message", ctypes.c_char_p)]
lib = ctypes.CDLL(sys.argv[1])
lib.prolly_repo_open.restype = ctypes.c_bool
def OPEN(store, wait_ms=0):
    repo, error = ctypes.c_void_p(), ctypes.POINTER(Error)()
    options = Options(wait_ms=wait_ms)
    if lib.prolly_repo_open(store.encode(), ctypes.byref(options), ctypes.byref(repo), ctypes.byref(error)):
        return repo
    return error.contents.message.decode()
def CLOSE(repo):
    lib.prolly_repo_free(repo)
'"$1" "$so" "$STORE" "${@:2}"
}

@test "many mount one store at once: one has it, the others say who" {
	need_fuse
	ctl . -q init "$STORE"
	local i pid running=() ended=0
	for i in 1 2 3 4 5 6; do
		mkdir "$T/mnt$i"
		"$PROLLYFS" -f "$STORE" "$T/mnt$i" 2>"$T/said$i" 3>&- &
		DAEMONS+=("$!")
	done
	for i in 1 2 3 4 5 6; do
		wait_for 120 answers "$T/mnt$i" "${DAEMONS[i - 1]}"
		if is_mounted "$T/mnt$i"; then
			running+=("$i")
		else
			run -1 wait "${DAEMONS[i - 1]}"
			ended=$((ended + 1))
		fi
	done
	is "${#running[@]} $ended" "1 5"
	local winner=${running[0]}
	for i in 1 2 3 4 5 6; do
		[ "$i" = "$winner" ] || is "$(cat "$T/said$i")" \
			"prollyfs: $STORE is mounted on $T/mnt$winner by process ${DAEMONS[winner - 1]}"
	done
	ctl "$STORE" put ns/key value # through the one that has it
	file_is "$T/mnt$winner/main/ns/key" value
}

# put_or_told N: puts ns/N, as often as it takes if it is told who has the store.
put_or_told()
{
	local said
	until said=$("$CTL" -C "$STORE" put "ns/$1" "$1" 2>&1); do
		[[ $said == *"$STORE"*"process "[0-9]* ]] || { echo "$said"; return 1; }
	done
}

@test "commands at once on a store that is not mounted: one after the other, all of them" {
	ctl . -q init "$STORE"
	local i pids=()
	for i in {1..8}; do
		put_or_told "$i" 3>&- &
		pids+=("$!")
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	is "$(ctl "$STORE" ls ns | wc -l)" 8
}

@test "commands while a store is mounted and unmounted: here or through the mount, all of them" {
	need_fuse
	ctl . -q init "$STORE"
	local i pid
	{
		i=0
		until [ -e "$T/stop" ]; do
			put_or_told "$((i += 1))"
		done >"$T/said" 2>&1
		echo "$i" >"$T/count"
	} 3>&- &
	pid=$!
	for i in 1 2 3 4; do
		mount_store
		echo "$i" >"$MNT/main/mounted$i"
		wait_for 120 fusermount3 -q -u "$MNT" # while no command has it open
		wait_for 120 gone "$DAEMON"
		wait "$DAEMON"
	done
	touch "$T/stop"
	wait "$pid"
	is "$(cat "$T/said")" ""
	is "$(ctl "$STORE" ls ns | wc -l)" "$(cat "$T/count")"
	is "$(ctl "$STORE" ls . | grep -c mounted)" 4
}

@test "the library: told who has a store that is mounted, and in the way of no other process for long" {
	mount_store
	library '
assert OPEN(sys.argv[2]) == "%s is mounted on %s by process %s" % tuple(sys.argv[2:5])
' "$MNT" "$DAEMON"
	unmount
	local status=0
	library '
import subprocess
repo = OPEN(sys.argv[2])
assert not isinstance(repo, str), repo
assert OPEN(sys.argv[2]) == "%s is open in process %d" % (sys.argv[2], os.getpid())  # nor twice in one
done = subprocess.run([sys.argv[3], sys.argv[2], sys.argv[4]], capture_output=True, text=True)
assert done.returncode == 1 and done.stderr == "prollyfs: %s is open in process %d\n" % (sys.argv[2], os.getpid()), done
waiting = subprocess.Popen([sys.argv[5], "-C", sys.argv[2], "put", "ns/key", "value"])
CLOSE(repo)
assert waiting.wait() == 0
repo = OPEN(sys.argv[2], 60000)
assert not isinstance(repo, str), repo
if os.fork() == 0:
    os.kill(os.getpid(), 9)  # a child that dies has not had it
os.wait()
assert isinstance(OPEN(sys.argv[2]), str)
os.kill(os.getpid(), 9)
' "$PROLLYFS" "$MNT" "$CTL" || status=$?
	is "$status" 137
	is "$(ctl "$STORE" get ns/key)" value # whoever died has it no more
}

@test "a lock that was left by a crash: whatever it says, and whoever has its number now" {
	ctl . -q init "$STORE"
	ctl "$STORE" put ns/key value
	local text
	for text in "pid 999999999" "pid $$" "pid 1" "pid $$
mount $T" "pid 0" "" "no lock at all" "$(printf 'x%.0s' {1..20000})"; do
		printf '%s\n' "$text" >"$STORE/lock"
		is "$(ctl "$STORE" get ns/key)" value
		printf '%s\n' "$text" >"$STORE/lock"
		mount_store
		file_is "$MNT/main/ns/key" value
		kill_daemon
		is "$(ctl "$STORE" get ns/key)" value
		fusermount3 -u -z "$MNT"
	done
}

@test "a lock that is held and names another mount, or a file: no command goes there" {
	mount_store
	ctl . -q init "$T/other"
	mkdir -p "$T/files/.prollyfs"
	touch "$T/files/.prollyfs/ctl"
	python3 - "$T/other" "$CTL" "$MNT" "$T/files" <<'P'
import fcntl, os, struct, subprocess, sys
store, ctl, *mounts = sys.argv[1:]
locks, commands = [], []
for mount in mounts:
    place = store if not locks else store + "2"
    if locks:
        subprocess.run(["cp", "-a", store, place], check=True)
    fd = os.open(place + "/lock", os.O_RDWR)
    fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"pid %d\nmount %s\n" % (os.getpid(), mount.encode()), 0)
    locks.append(fd)
    commands.append(subprocess.Popen([ctl, "-C", place, "put", "ns/key", "value"], text=True,
                                     stderr=subprocess.PIPE))
for mount, command in zip(mounts, commands):
    said = command.communicate()[1]
    assert command.returncode == 2 and "mounted on %s, says its lock" % mount in said, said
P
	is "$(on_main ls -r)" ""
	[ ! -s "$T/files/.prollyfs/ctl" ]
}
