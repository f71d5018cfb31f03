# SPDX-License-Identifier: Apache-2.0
# What the tests share: a scratch directory a test, stores, mounts, and the way they end.
#
# A test makes what it needs in $T, which teardown removes: it unmounts whatever is mounted there and
# ends the daemons that this file started, by their ids. Nothing waits for a fixed time: what has to
# come about is looked for, up to a limit.

bats_require_minimum_version 1.5.0

: "${PROLLYFS_BUILD:=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)/build}"
PROLLYFS=$PROLLYFS_BUILD/src/prollyfs
CTL=$PROLLYFS_BUILD/src/prollyfs-ctl

common_setup()
{
	[ -x "$PROLLYFS" ] || { echo "$PROLLYFS is not built" >&2; return 1; }
	T=$(cd "$(mktemp -d "${TMPDIR:-/tmp}/e2e.XXXXXX")" && pwd -P)
	export T
	STORE=$T/store
	MNT=$T/mnt
	mkdir "$MNT" "$T/home"
	DAEMONS=()
	# A test's world: nobody's configuration, fixed people, one machine language.
	export LC_ALL=C.UTF-8 TZ=UTC HOME=$T/home GIT_CONFIG_NOSYSTEM=1 PYTHONDONTWRITEBYTECODE=1
	export GIT_AUTHOR_NAME='A U Thor' GIT_AUTHOR_EMAIL=author@example.org
	export GIT_COMMITTER_NAME='C O Mitter' GIT_COMMITTER_EMAIL=committer@example.org
	unset GIT_AUTHOR_DATE GIT_COMMITTER_DATE GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
	cd "$T" || return 1
}

common_teardown()
{
	cd /
	[ -n "${T:-}" ] || return 0
	unmount_all
	if [ -z "${BATS_TEST_COMPLETED:-}" ] && [ -s "$T/daemon.log" ]; then
		echo "what the daemons said:"
		tail -n 60 "$T/daemon.log"
	fi
	local pid
	for pid in "${DAEMONS[@]}"; do
		kill -9 "$pid" 2>/dev/null || true
	done
	chmod -R u+rwx "$T" 2>/dev/null || true
	rm -rf --one-file-system "$T"
}

setup()
{
	common_setup
}

teardown()
{
	common_teardown
}

# ---- Mounts --------------------------------------------------------------------------------------

need_fuse()
{
	[ -c /dev/fuse ] || skip "no /dev/fuse"
	command -v fusermount3 >/dev/null || skip "no fusermount3"
}

need_root()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root"
}

# A sanitizer takes memory of its own, and has to be in a program from its start.
is_sanitized()
{
	ldd "$PROLLYFS" | grep -qE 'lib(a|t)san'
}

is_mounted()
{
	awk -v at="$1" '{ gsub(/\\040/, " ", $5) } $5 == at { found = 1 } END { exit !found }' /proc/self/mountinfo
}

# mount_store [STORE [MOUNTPOINT [OPTION...]]]: makes the store if there is none, and mounts it. The
# daemon's id is then in $DAEMON. It stays in the foreground behind the scenes, so that it is this
# test's child; that prollyfs goes to the background by itself is in mount.bats.
# PROLLYFS_TEST_KERNEL: the minor version of an older kernel's protocol, which it takes this one for.
# PROLLYFS_TEST_DEAF: while there is a file of that name, the kernel does not hear which names changed.
mount_store()
{
	local store=${1:-$STORE} mountpoint=${2:-$MNT} shim=${PROLLYFS_TEST_KERNEL:-}${PROLLYFS_TEST_DEAF:-}
	shift $(($# < 2 ? $# : 2))

	need_fuse
	[ -z "$shim" ] || ! is_sanitized || skip "a sanitizer wants to be loaded first"
	LD_PRELOAD=${shim:+$PROLLYFS_BUILD/tests/kernel-shim.so} "$PROLLYFS" -f -o create "$@" "$store" "$mountpoint" >>"$T/daemon.log" 2>&1 3>&- &
	DAEMON=$!
	DAEMONS+=("$DAEMON")
	if ! wait_for 120 answers "$mountpoint" "$DAEMON" || gone "$DAEMON"; then
		echo "$store is not mounted:" >&2
		cat "$T/daemon.log" >&2
		return 1
	fi
}

# A store is mounted, with a namespace on its branch main, whose directory is NS.
mount_namespace()
{
	mount_store
	NS=$MNT/main/ns
	mkdir "$NS"
}

# A mount is there and answers, or its daemon has gone. (statfs is always asked of the filesystem, so
# neither a dead mount nor what is below a mount point passes for one.)
answers()
{
	gone "$2" || [ "$(stat -f -c %t "$1" 2>/dev/null)" = 65735546 ]
}

# wait_for SECONDS COMMAND...: until COMMAND succeeds.
wait_for()
{
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || {
			echo "waited in vain for: $*" >&2
			return 1
		}
		sleep 0.02
	done
}

# daemon_on MOUNTPOINT: the id of the process that serves it, for those that went to the background.
daemon_on()
{
	local process

	for process in /proc/[0-9]*; do
		[ "$(readlink "$process/exe" 2>/dev/null)" = "$(readlink -f "$PROLLYFS")" ] || continue
		tr '\0' '\n' <"$process/cmdline" 2>/dev/null | grep -qxF "$1" || continue
		echo "${process#/proc/}"
		return 0
	done
	return 1
}

gone()
{
	! kill -0 "$1" 2>/dev/null
}

# unmount [MOUNTPOINT [DAEMON]]: unmounts and waits until the daemon has closed the store.
unmount()
{
	local mountpoint=${1:-$MNT} daemon=${2:-$DAEMON}

	fusermount3 -u "$mountpoint"
	wait_for 120 gone "$daemon"
	wait "$daemon"
}

remount()
{
	unmount
	mount_store "$STORE" "$MNT" "$@"
}

# The daemon dies as by a power switch; the mount point is left dead.
kill_daemon()
{
	kill -9 "${1:-$DAEMON}"
	wait "${1:-$DAEMON}" 2>/dev/null || true
}

unmount_all()
{
	local mountpoint

	awk -v top="$T/" 'index($5, top) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
		while read -r mountpoint; do
			mountpoint=$(printf '%b' "$mountpoint")
			fusermount3 -u "$mountpoint" 2>/dev/null ||
				fusermount3 -u -z "$mountpoint" 2>/dev/null ||
				umount -l "$mountpoint" 2>/dev/null || true
		done
	for pid in "${DAEMONS[@]}"; do
		wait_for 120 gone "$pid" 2>/dev/null || true
	done
}

# ---- Commands ------------------------------------------------------------------------------------

# prollyfs-ctl on the branch (or mount, or store) whose path comes first.
ctl()
{
	local where=$1
	shift
	"$CTL" -C "$where" "$@"
}

# The same on branch main of the mount.
on_main()
{
	ctl "$MNT/main" "$@"
}

commit_all()
{
	local branch=$1
	shift
	ctl "$MNT/$branch" -q commit -m "${1:-a commit}"
}

# json FILTER: what jq says of standard input, on one line.
json()
{
	jq -c "$1"
}

store_git()
{
	git --git-dir="$STORE/git" "$@"
}

# head_of REV: the id of a commit.
head_of()
{
	store_git rev-parse "$1"
}

root_of()
{
	ctl "$@" root
}

# ---- Assertions: each says what it found ---------------------------------------------------------

fail()
{
	printf '%s\n' "$*" >&2
	return 1
}

# is ACTUAL EXPECTED
is()
{
	[ "$1" = "$2" ] || fail "is:        $(printf '%q' "$1")
should be: $(printf '%q' "$2")"
}

isnt()
{
	[ "$1" != "$2" ] || fail "should not be: $(printf '%q' "$1")"
}

# After `run`: the exit status, with the output when it is another.
status_is()
{
	# shellcheck disable=SC2154
	[ "$status" -eq "$1" ] || fail "exit status $status, should be $1; output: $output"
}

# output_has TEXT: after `run`, TEXT is somewhere in the output.
output_has()
{
	[[ $output == *"$1"* ]] || fail "no $(printf '%q' "$1") in: $output"
}

file_is()
{
	is "$(cat "$1")" "$2"
}

missing()
{
	[ ! -e "$1" ] && [ ! -L "$1" ] || fail "$1 is there"
}

present()
{
	[ -e "$1" ] || [ -L "$1" ] || fail "$1 is not there"
}

# errno_of PYTHON EXPRESSION: the name of the errno it fails with, or "ok". os, sys, fcntl are there.
errno_of()
{
	python3 -c '
import ctypes, errno, fcntl, os, sys
libc = ctypes.CDLL(None, use_errno=True)
NOREPLACE, EXCHANGE = 1, 2
def renameat2(old, new, flags):
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags):
        raise OSError(ctypes.get_errno(), "renameat2")
try:
    eval(sys.argv[1])
    print("ok")
except OSError as error:
    print(errno.errorcode[error.errno])
' "$1"
}

# random_bytes SIZE SEED >FILE: bytes that do not compress, the same for the same seed.
random_bytes()
{
	python3 -c '
import random, sys
size, source = int(sys.argv[1]), random.Random(int(sys.argv[2]))
while size > 0:
    n = min(size, 1 << 20)
    sys.stdout.buffer.write(source.randbytes(n))
    size -= n
' "$1" "$2"
}

# entries FIRST LAST [SUFFIX]: tab-separated entries for load, keys k0000001 and so on.
entries()
{
	awk -v first="$1" -v last="$2" -v suffix="${3:-}" \
		'BEGIN { for (i = first; i <= last; i++) printf "k%07d\tvalue %d%s\n", i, i, suffix }'
}
